//! What happens in a network.

use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};

use crate::{Connection, Reachability, RelayState};

/// Something that happened. A subscriber that falls behind by more than 256 events misses the oldest ones.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The network listens on this address.
    Listening(Multiaddr),
    /// The network no longer listens on this address.
    NotListening {
        /// The address.
        address: Multiaddr,
        /// Why, if it was not asked to stop.
        error: Option<String>,
    },
    /// A connection is there.
    Connected(Connection),
    /// A connection is gone.
    Disconnected {
        /// Which one.
        connection: ConnectionId,
        /// The peer at its other end.
        peer: PeerId,
    },
    /// A connection turned out to take another path, or moved to another address.
    PathChanged(Connection),
    /// A peer can be reached at these addresses.
    Discovered {
        /// The peer.
        peer: PeerId,
        /// Its addresses.
        addresses: Vec<Multiaddr>,
        /// How it was found.
        by: DiscoveredBy,
    },
    /// What is known about how this peer can be reached has changed.
    Reachability(Reachability),
    /// A reservation at a relay was made, lost or refused.
    Relay(RelayState),
}

/// How a peer was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscoveredBy {
    /// Multicast DNS in the local network.
    Mdns,
    /// The distributed hash table.
    Dht,
    /// A rendezvous server.
    Rendezvous,
}
