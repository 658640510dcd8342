//! What can fail.

use libp2p::{Multiaddr, PeerId};

/// Why a network does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The seed is not one of an Ed25519 key.
    #[error("the key of this peer is invalid")]
    Key,
    /// A listen address cannot be bound.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: Multiaddr,
        /// What the system, or the transport, says.
        reason: String,
    },
    /// A name in the list of accepted protocols does not begin with a slash.
    #[error("the protocol name {0:?} does not begin with a slash")]
    Protocol(String),
    /// An address of the configuration does not name a peer.
    #[error("the address {0} does not end in /p2p/<peer id>")]
    NoPeer(Multiaddr),
}

/// Why there is no connection to a peer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No address is left to dial.
    #[error("no address of the peer may be dialled ({} left out by the address policy)", left_out.len())]
    NoAddress {
        /// Addresses that the policy does not permit, or that belong to another peer.
        left_out: Vec<Multiaddr>,
    },
    /// The peer is this one.
    #[error("the peer is this one")]
    Myself,
    /// Another peer answers at the address.
    #[error("{address} belongs to another peer, {found}")]
    WrongPeer {
        /// The address.
        address: Multiaddr,
        /// Who is there.
        found: PeerId,
    },
    /// A limit on connections is reached.
    #[error("too many connections")]
    Limit,
    /// No address answers.
    #[error("no address of the peer answers{}", attempts.first().map(|(address, reason)| format!(" ({address}: {reason})")).unwrap_or_default())]
    Unreachable {
        /// What happened at each address.
        attempts: Vec<(Multiaddr, String)>,
    },
    /// Nothing answered in time.
    #[error("the peer does not answer in time")]
    TimedOut,
    /// The network has ended.
    #[error("the network has ended")]
    Ended,
}

/// Why a stream cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The connection is closed.
    #[error("the connection is closed")]
    Closed,
    /// The peer does not speak the protocol.
    #[error("the peer does not support the protocol")]
    Unsupported,
    /// The name of the protocol does not begin with a slash.
    #[error("the name of the protocol is invalid")]
    InvalidProtocol,
    /// The peer did not answer in time.
    #[error("the peer does not answer in time")]
    TimedOut,
    /// The stream broke.
    #[error("cannot open a stream")]
    Io(#[source] std::io::Error),
}
