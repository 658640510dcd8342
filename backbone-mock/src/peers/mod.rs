//! The peer of a backbone: a relay and a rendezvous server for nodes that cannot reach each other directly.
//!
//! It forwards streams that peers encrypt for each other, and keeps addresses that peers have signed. It has a key of its own and
//! no access to records and blobs. Without the feature `peers` there is none, and nothing of this crate links a cipher.

#[cfg(not(feature = "peers"))]
mod absent;
#[cfg(feature = "peers")]
mod server;

#[cfg(not(feature = "peers"))]
pub(crate) use absent::PeerServer;
#[cfg(feature = "peers")]
pub(crate) use server::PeerServer;
#[cfg(feature = "peers")]
pub use server::{PeerServices, RelayLimits, RendezvousLimits};
