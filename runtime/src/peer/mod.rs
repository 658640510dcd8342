//! Nodes that reach each other without the backbone: who they are, what they load from each other, and by which path.
//! `docs/peer-protocols.md` is the specification of what they say; [`transport::peer`] decides, this module drives it.

mod certificate;
mod drive;
mod path;
mod reads;
mod removed;
mod route;
#[cfg(test)]
mod testing;

pub use self::path::{Path, PathBytes};
pub(crate) use self::reads::{PeerContent, PeerFailure, PeerReads};
pub(crate) use self::route::{MAX_ROUTES, Route, Routes};
