//! The peer of a backbone: a relay and a rendezvous server for nodes that cannot reach each other directly.
//!
//! It forwards streams that peers encrypt for each other, and keeps addresses that peers have signed. It has a key of its own and
//! no access to records and blobs. Without the feature `peers` there is none, and nothing of this crate links a cipher.

#[cfg(not(feature = "peers"))]
mod absent;
#[cfg(feature = "peers")]
mod server;

/// What the peer of a backbone does, for its operator. Counts are those since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PeerMetrics {
    /// Open connections.
    pub connections: u64,
    /// Connections and streams that a limit refused.
    pub refused: u64,
    /// Reservations at the relay.
    pub reservations: u64,
    /// Reservations that were granted, without renewals.
    pub reservations_accepted: u64,
    /// Reservations that were refused.
    pub reservations_refused: u64,
    /// Open relayed connections.
    pub circuits: u64,
    /// Relayed connections that were granted.
    pub circuits_accepted: u64,
    /// Relayed connections that were refused.
    pub circuits_refused: u64,
    /// Bytes that peers sent on streams, of which nearly all are relayed; zero without a relay.
    pub received: u64,
    /// Bytes that peers were sent on streams; zero without a relay.
    pub sent: u64,
    /// Registrations at the rendezvous server.
    pub registrations: u64,
    /// Registrations that were accepted, renewals included.
    pub registrations_accepted: u64,
    /// Registrations that were refused.
    pub registrations_refused: u64,
    /// Lookups that were answered.
    pub lookups_accepted: u64,
    /// Lookups that were refused.
    pub lookups_refused: u64,
}

#[cfg(not(feature = "peers"))]
pub(crate) use absent::PeerServer;
#[cfg(feature = "peers")]
pub(crate) use server::PeerServer;
#[cfg(feature = "peers")]
pub use server::{PeerServices, RelayLimits, RendezvousLimits};
