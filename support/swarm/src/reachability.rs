//! What is known about how this peer can be reached.

use libp2p::{Multiaddr, PeerId};

/// How this peer can be reached, as far as it knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reachability {
    /// Whether peers reach it without help.
    pub nat: NatStatus,
    /// Addresses of this peer as others see them.
    pub observed: Vec<Multiaddr>,
    /// State of each relay of the configuration.
    pub relays: Vec<RelayState>,
    /// Whether multicast DNS is on and works.
    pub mdns: bool,
    /// Whether the distributed hash table is on.
    pub dht: bool,
    /// State of each rendezvous server of the configuration.
    pub rendezvous: Vec<RendezvousState>,
}

/// Whether peers on the internet reach this one without help.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NatStatus {
    /// Nobody has tried yet.
    #[default]
    Unknown,
    /// An address was confirmed from outside.
    Public,
    /// Peers that tried did not get through.
    Private,
}

/// State of a relay of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayState {
    /// Its peer id.
    pub peer: PeerId,
    /// Its address in the configuration.
    pub address: Multiaddr,
    /// Whether it holds a reservation of this peer, so that others reach it there.
    pub reserved: bool,
    /// Why the last attempt failed, until one succeeds.
    pub error: Option<String>,
}

/// State of a rendezvous server of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RendezvousState {
    /// Its peer id.
    pub peer: PeerId,
    /// Its address in the configuration.
    pub address: Multiaddr,
    /// Whether there is a connection to it.
    pub connected: bool,
}
