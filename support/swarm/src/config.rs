//! What a network is configured with.

use std::time::Duration;

use libp2p::Multiaddr;
use zeroize::Zeroizing;

use crate::{AddressPolicy, Limits};

/// Settings of a [`crate::Network`].
#[derive(Clone)]
pub struct Config {
    /// The Ed25519 key of the peer.
    pub seed: Seed,
    /// Addresses to listen on; port 0 lets the system choose. Empty: the network only dials.
    pub listen: Vec<Multiaddr>,
    /// Addresses at which others reach this peer, besides those that it finds out. They may have DNS names. A relay has to have one here, or
    /// listen on an address that [`AddressPolicy`] permits to tell.
    pub external: Vec<Multiaddr>,
    /// Transports that are used at all.
    pub transports: Transports,
    /// Names of the protocols whose streams [`crate::Inbound`] hands out. Each begins with a slash.
    pub accept: Vec<&'static str>,
    /// Ways to find peers, and to be found.
    pub discovery: Discovery,
    /// What this process does for others.
    pub services: Services,
    /// Which addresses are dialled and told.
    pub addresses: AddressPolicy,
    /// Bounds on what peers can make grow.
    pub limits: Limits,
    /// How long a connection without streams stays open, unless somebody holds a [`crate::KeepAlive`].
    pub idle_timeout: Duration,
    /// How long an attempt to connect may take until its handshake is complete, in either direction, and through a relay too.
    pub handshake_timeout: Duration,
    /// Name and version of the program, which peers see.
    pub agent: String,
}

impl Config {
    /// A network that only dials, over TCP and QUIC, without discovery and services.
    #[must_use]
    pub fn new(seed: Seed) -> Self {
        Self {
            seed,
            listen: Vec::new(),
            external: Vec::new(),
            transports: Transports::default(),
            accept: Vec::new(),
            discovery: Discovery::default(),
            services: Services::default(),
            addresses: AddressPolicy::default(),
            limits: Limits::default(),
            idle_timeout: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(10),
            agent: concat!("enlace/", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

/// The 32 bytes that an Ed25519 key is made from. Wiped when dropped, never shown.
#[derive(Clone)]
pub struct Seed(Zeroizing<[u8; 32]>);

impl Seed {
    /// Takes over the bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn keypair(&self) -> Result<libp2p::identity::Keypair, libp2p::identity::DecodingError> {
        // libp2p wipes the copy that it takes.
        libp2p::identity::Keypair::ed25519_from_bytes(*self.0)
    }
}

/// Transports to dial and to listen with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transports {
    /// TCP with TLS or Noise, and yamux.
    pub tcp: bool,
    /// QUIC.
    pub quic: bool,
    /// Addresses `/memory/<number>` within this process, for tests.
    pub memory: bool,
    /// Whether TLS is offered over TCP, memory and relays, before Noise, where the processor has instructions for AES. All peers understand Noise.
    pub tls: bool,
}

impl Default for Transports {
    fn default() -> Self {
        Self { tcp: true, quic: true, memory: false, tls: true }
    }
}

/// Ways to find peers and to be reached by them. What is off opens no socket.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// Multicast DNS in the local network.
    pub mdns: bool,
    /// A distributed hash table.
    pub dht: Option<Dht>,
    /// Rendezvous servers, each address ending in `/p2p/<peer id>`. They may have DNS names.
    pub rendezvous: Vec<Multiaddr>,
    /// Relays at which a reservation is kept, each address ending in `/p2p/<peer id>`. They may have DNS names.
    pub relays: Vec<Multiaddr>,
    /// Whether further rendezvous servers and relays may be named while the network runs, see [`crate::Network::use_servers`].
    pub servers_later: bool,
    /// Whether connections through relays are used: the own ones, and those that addresses of peers name. Relays are dialled like other peers.
    pub through_relays: bool,
    /// Turns relayed connections into direct ones where both NATs permit it, and asks other peers how this one can be reached.
    pub hole_punching: bool,
}

impl Default for Discovery {
    /// Nothing is looked for; connections through relays that somebody names are used.
    fn default() -> Self {
        Self {
            mdns: false,
            dht: None,
            rendezvous: Vec::new(),
            relays: Vec::new(),
            servers_later: false,
            through_relays: true,
            hole_punching: false,
        }
    }
}

/// A distributed hash table (Kademlia), separate from all with another protocol name.
#[derive(Clone, Debug)]
pub struct Dht {
    /// Name of its protocol, for example `/enlace/kad/1`.
    pub protocol: String,
    /// Addresses to join it at, each ending in `/p2p/<peer id>`. They may have DNS names.
    pub bootstrap: Vec<Multiaddr>,
    /// Whether to answer the queries of others.
    pub server: bool,
}

/// What this process does for others. Nothing by default.
#[derive(Clone, Debug, Default)]
pub struct Services {
    /// Relays connections between peers that cannot reach each other (circuit relay v2).
    pub relay: Option<RelayLimits>,
    /// Keeps registrations of peers, so that others find them.
    pub rendezvous: Option<RendezvousLimits>,
    /// Dials peers that ask for it, at public addresses, to tell them whether they can be reached (AutoNAT).
    pub dial_back: bool,
}

/// Bounds of the relay service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayLimits {
    /// Peers with a reservation at a time.
    pub reservations: usize,
    /// Reservations of one peer at a time.
    pub reservations_per_peer: usize,
    /// Relayed connections at a time.
    pub circuits: usize,
    /// Relayed connections of one peer at a time.
    pub circuits_per_peer: usize,
    /// Bytes that one relayed connection carries, both ways together.
    pub bytes_per_circuit: u64,
    /// How long one relayed connection lasts.
    pub duration_per_circuit: Duration,
    /// How long a reservation lasts without being renewed.
    pub reservation_duration: Duration,
}

impl Default for RelayLimits {
    /// 1 GiB and an hour for each connection: the limits that are usual for relays (128 KiB, 2 minutes) suffice to negotiate a hole punch and not to
    /// carry a file. A transfer that is larger goes on over the next connection or the backbone.
    fn default() -> Self {
        Self {
            reservations: 256,
            reservations_per_peer: 2,
            circuits: 64,
            circuits_per_peer: 4,
            bytes_per_circuit: 1 << 30,
            duration_per_circuit: Duration::from_secs(60 * 60),
            reservation_duration: Duration::from_secs(60 * 60),
        }
    }
}

/// Bounds of the rendezvous service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RendezvousLimits {
    /// Registrations at a time.
    pub registrations: usize,
    /// Registrations of one peer at a time, each in another namespace.
    pub registrations_per_peer: usize,
    /// The shortest time that a registration may be asked for, in whole seconds.
    pub shortest_ttl: Duration,
    /// The longest time that a registration may be asked for, in whole seconds.
    pub longest_ttl: Duration,
}

impl Default for RendezvousLimits {
    fn default() -> Self {
        Self {
            registrations: 4096,
            registrations_per_peer: 16,
            shortest_ttl: Duration::from_secs(30),
            longest_ttl: Duration::from_secs(60 * 60),
        }
    }
}
