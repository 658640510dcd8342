//! Connecting to a peer: existing connections, then all direct addresses at once, then relays.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _, select_ok};
use libp2p::{Multiaddr, PeerId};

use crate::ConnectError;
use crate::address::{is_quic, is_relayed, named_peer, without_peer};
use crate::connection::Connection;
use crate::network::Network;
use crate::path::PathKind;
use crate::transport::Dialable;

/// How long connecting may take.
pub const CONNECT_TIME: Duration = Duration::from_secs(10);

/// How much earlier direct addresses are dialled than relays.
pub(crate) const HEAD_START: Duration = Duration::from_millis(300);

/// The most addresses of a peer that are dialled.
pub(crate) const CANDIDATES: usize = 16;

/// The addresses of a peer that may be dialled.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    pub(crate) direct: Vec<Multiaddr>,
    pub(crate) relayed: Vec<Multiaddr>,
    pub(crate) left_out: Vec<Multiaddr>,
}

impl Candidates {
    pub(crate) fn of(peer: PeerId, addresses: Vec<Multiaddr>, dialable: &Dialable) -> Self {
        let mut candidates = Self::default();
        for address in addresses {
            let of_another = named_peer(&address).is_some_and(|named| named != peer);
            let full = candidates.direct.len() + candidates.relayed.len() >= CANDIDATES;
            let kind = if is_relayed(&address) { &mut candidates.relayed } else { &mut candidates.direct };
            let bare = without_peer(address.clone());
            if kind.contains(&bare) {
                continue;
            }
            if of_another || full || !dialable.permits(&bare) {
                candidates.left_out.push(address);
            } else {
                kind.push(bare);
            }
        }
        candidates
    }
}

/// See [`Network::connect`].
pub(crate) async fn connect(
    network: &Network,
    peer: PeerId,
    addresses: Vec<Multiaddr>,
) -> Result<Connection, ConnectError> {
    if peer == network.local_peer() {
        return Err(ConnectError::Myself);
    }
    let existing = network.best_connection(&peer);
    if let Some(connection) = existing.as_ref().filter(|connection| connection.path() != PathKind::Relayed) {
        return Ok(connection.clone());
    }
    // Where it was found just now comes before hints that may be old.
    let addresses = network.found(&peer).into_iter().chain(addresses).collect();
    let candidates = Candidates::of(peer, addresses, network.dialable());
    let relayed = relayed(network, peer, existing, &candidates);
    match (candidates.direct.is_empty(), relayed) {
        (true, Some(relayed)) => relayed.await,
        (true, None) => Err(ConnectError::NoAddress { left_out: candidates.left_out }),
        (false, None) => network.dial(peer, candidates.direct).await,
        (false, Some(relayed)) => race(network.dial(peer, candidates.direct).boxed(), relayed).await,
    }
}

/// The relayed connection that there is, or how to make one.
fn relayed<'a>(
    network: &'a Network,
    peer: PeerId,
    existing: Option<Connection>,
    candidates: &Candidates,
) -> Option<BoxFuture<'a, Result<Connection, ConnectError>>> {
    match existing {
        Some(connection) => Some(std::future::ready(Ok(connection)).boxed()),
        None if candidates.relayed.is_empty() => None,
        None => Some(through_relays(network, peer, candidates.relayed.clone())),
    }
}

/// Relays by QUIC have a head start, because holes can be punched best from there.
fn through_relays(
    network: &Network,
    peer: PeerId,
    relayed: Vec<Multiaddr>,
) -> BoxFuture<'_, Result<Connection, ConnectError>> {
    let (quic, others): (Vec<_>, Vec<_>) = relayed.into_iter().partition(is_quic);
    match (quic.is_empty(), others.is_empty()) {
        (false, false) => race(network.dial(peer, quic).boxed(), network.dial(peer, others).boxed()).boxed(),
        (true, _) => network.dial(peer, others).boxed(),
        (_, true) => network.dial(peer, quic).boxed(),
    }
}

/// The first connection if it is there within the head start, else the one that is there first.
async fn race<'a>(
    first: BoxFuture<'a, Result<Connection, ConnectError>>,
    second: BoxFuture<'a, Result<Connection, ConnectError>>,
) -> Result<Connection, ConnectError> {
    let mut first = first;
    let head_start = pin!(tokio::time::sleep(HEAD_START));
    tokio::select! {
        result = &mut first => match result {
            Ok(connection) => Ok(connection),
            Err(_) => second.await,
        },
        () = head_start => select_ok([first, second]).await.map(|(connection, _)| connection),
    }
}
