//! The libp2p network of a node or a backbone: connections to peers, streams on them, discovery, relays.
//!
//! A [`Network`] is a task that owns libp2p's swarm. It hands out [`Connection`]s, opens streams on the one that is named, and passes the
//! streams that peers open to [`Inbound`]. It knows peers by their keys only: no token, no identity of enlace, no route. What is spoken on a
//! stream is decided above.
//!
//! Everything that a peer can make grow is bounded by [`Limits`], and what exceeds them is refused and counted, never lost silently. Which
//! addresses are dialled and told is decided by one [`AddressPolicy`].
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use swarm::{AddressPolicy, Config, Network, Seed};
//! let loopback = AddressPolicy { loopback: true, ..AddressPolicy::default() };
//! let (alice, mut inbound) = Network::start(Config {
//!     listen: vec!["/ip4/127.0.0.1/tcp/0".parse()?],
//!     accept: vec!["/greeting/1"],
//!     addresses: loopback,
//!     ..Config::new(Seed::new([1; 32]))
//! })
//! .await?;
//! let (bob, _) = Network::start(Config { addresses: loopback, ..Config::new(Seed::new([2; 32])) }).await?;
//!
//! let connection = bob.connect(alice.local_peer(), alice.dial_addresses()).await?;
//! let outgoing = connection.open("/greeting/1").await?;
//! let incoming = inbound.next().await.ok_or("the network ended")?;
//! assert_eq!(incoming.connection.peer(), bob.local_peer());
//! # drop(outgoing);
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod address;
mod admission;
mod behaviour;
mod closing;
mod config;
mod connect;
mod connection;
mod discovery;
mod driver;
mod error;
mod event;
mod gathered;
mod guard;
mod interfaces;
mod large_reads;
mod limits;
mod network;
mod path;
mod reachability;
mod relays;
mod rendezvous;
mod security;
mod servers;
#[cfg(test)]
mod silent;
mod state;
mod stream;
mod streams;
mod tls;
mod traffic;
mod transport;
mod upgrade;
mod yamux;

pub use address::AddressPolicy;
pub use admission::USE_TIME;
pub use config::{Config, Dht, Discovery, RelayLimits, RendezvousLimits, Seed, Services, Transports};
pub use connect::CONNECT_TIME;
pub use connection::{CHECK_TIME, Connection, KeepAlive, Role, TransportKind};
pub use error::{ConnectError, OpenError, StartError};
pub use event::{DiscoveredBy, Event};
pub use libp2p::swarm::ConnectionId;
pub use libp2p::{Multiaddr, PeerId};
pub use limits::{Limits, Refused};
pub use network::Network;
pub use path::PathKind;
pub use reachability::{NatStatus, Reachability, RelayState, RendezvousState};
pub use relays::RelayMetrics;
pub use rendezvous::{RendezvousError, RendezvousMetrics};
pub use security::offers_tls;
pub use stream::Stream;
pub use streams::{Inbound, InboundStream};

/// What an application needs to bring its own transport to [`Network::start_with`].
pub mod custom {
    pub use libp2p::core::muxing::StreamMuxerBox;
    pub use libp2p::core::transport::Boxed;

    /// A transport that yields authenticated and multiplexed connections.
    pub type Transport = Boxed<(libp2p::PeerId, StreamMuxerBox)>;
}
