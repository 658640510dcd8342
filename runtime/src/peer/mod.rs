//! Nodes that reach each other without the backbone: who they are, what they load from each other, and by which path.
//! `docs/peer-protocols.md` is the specification of what they say; [`transport::peer`] decides, this module drives it.

mod path;
mod reads;
mod reference;
mod route;

pub use self::path::{Path, PathBytes};
pub(crate) use self::reads::{PeerContent, PeerFailure, PeerReads};
pub use self::reference::dialable_reference;
pub(crate) use self::route::{MAX_ROUTES, Route, Routes};
