//! Nodes that reach each other without the backbone: who they are, what they load from each other, and by which path.
//! `docs/peer-protocols.md` is the specification of what they say; [`transport::peer`] decides, this module drives it.

mod announce;
mod ask;
mod away;
mod certificate;
mod code;
mod connections;
mod devices;
mod drive;
mod error;
mod exchange;
mod hint;
mod network;
mod on_path;
mod passed_on;
mod path;
mod place;
mod rate;
mod reads;
mod reference;
mod removed;
mod route;
mod serve;
mod services;
mod settings;
mod tasks;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use self::certificate::{CERTIFICATE_VALIDITY, Certifier, DeviceKeys, is_fresh};
pub use self::code::{CodeEnd, MAX_OFFERS, OfferedCode, check_code, receive_code, receive_code_at};
pub(crate) use self::drive::Time;
pub use self::error::PeersError;
pub(crate) use self::network::{PeerNetwork, PeerParts, REDIAL_PAUSE};
pub use self::passed_on::{PassedOn, best_addresses, is_for_others};
pub(crate) use self::path::Sender;
pub use self::path::{Path, PathBytes, PathLog};
pub(crate) use self::reads::{PeerContent, PeerFailure, PeerReads};
pub use self::reference::dialable_reference;
pub(crate) use self::removed::{removed_devices, says_removed};
pub(crate) use self::route::{MAX_ROUTES, Origin, Route, Routes};
pub(crate) use self::serve::PeerServer;
pub(crate) use self::settings::tellable;
