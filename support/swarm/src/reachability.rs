//! What is known about how this peer can be reached.

use libp2p::{Multiaddr, PeerId};

use crate::address::Scope;

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

impl NatStatus {
    /// What is known after somebody has tried an address. Private ones say nothing about other networks.
    pub(crate) fn after(self, address: &Multiaddr, was_reached: bool) -> Self {
        match (Scope::of(address), was_reached, self) {
            (Scope::Public, true, _) => Self::Public,
            (Scope::Public, false, Self::Unknown) => Self::Private,
            _ => self,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_tell_whether_other_networks_reach_this_peer() {
        use NatStatus::{Private, Public, Unknown};
        let public: Multiaddr = "/ip4/1.1.1.1/tcp/1".parse().unwrap();
        assert_eq!(Unknown.after(&public, true), Public);
        assert_eq!(Unknown.after(&public, false), Private);
        assert_eq!(Private.after(&public, true), Public);
        assert_eq!(Public.after(&public, false), Public, "another address of it was reached");
        for address in ["/ip4/192.168.1.2/tcp/1", "/ip4/127.0.0.1/tcp/1", "/ip6/fd00::1/tcp/1"] {
            let address = address.parse().unwrap();
            assert_eq!([Unknown, Private].map(|status| status.after(&address, true)), [Unknown, Private]);
            assert_eq!(Unknown.after(&address, false), Unknown);
        }
    }
}
