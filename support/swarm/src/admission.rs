//! How many connections there may be.
//!
//! libp2p's own behaviour for this keeps an entry for each peer id that ever connected, which a stranger makes up at will. This one forgets.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::core::transport::PortUse;
use libp2p::core::{ConnectedPoint, Endpoint};
use libp2p::swarm::behaviour::{ConnectionEstablished, DialFailure, FromSwarm, ListenFailure};
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionId, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
    ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};

use crate::address::{self, Scope};
use crate::behaviour::PING_TIME;
use crate::connection::{Connection, Role, TransportKind};
use crate::limits::{Limits, Refusals};
use crate::streams::Registry;

/// For how long a connection whose streams have carried something, or that has just begun, keeps its place: a transfer hardly pauses for longer.
/// A new one of a peer that has as many as it may, all of which are younger, is closed at once.
pub const USE_TIME: Duration = Duration::from_secs(2);

/// After how long without a sign of life a connection is taken for dead rather than idle: a live one answers a ping in this time.
const OVERDUE_TIME: Duration = PING_TIME.saturating_add(USE_TIME);

/// Refuses connections beyond the limits. A new one of a peer that has as many as it may takes the place of one that the peer opened before.
pub(crate) struct Behaviour {
    limits: Limits,
    refusals: Arc<Refusals>,
    /// Which of those that are established are still open.
    registry: Arc<Registry>,
    /// Then none is replaced: a connection may carry what others relay, which nothing here counts.
    is_relay: bool,
    inbound: HashMap<ConnectionId, Origin>,
    outbound: HashSet<ConnectionId>,
    established: HashMap<ConnectionId, (PeerId, Origin)>,
    pending_addresses: Counts<IpAddr>,
    addresses: Counts<IpAddr>,
    peers: Counts<PeerId>,
    /// Those over QUIC, the inbound ones that are not established among them.
    quic: usize,
    quic_addresses: Counts<IpAddr>,
}

/// Where a connection is from, and by what.
#[derive(Clone, Copy)]
struct Origin {
    /// Of an inbound connection: see [`counted_host`].
    host: Option<IpAddr>,
    is_quic: bool,
}

impl Origin {
    fn inbound(remote: &Multiaddr) -> Self {
        Self { host: counted_host(remote), is_quic: has_quic_windows(remote) }
    }

    fn outbound(remote: &Multiaddr) -> Self {
        Self { host: None, is_quic: has_quic_windows(remote) }
    }
}

/// A limit is reached. [`crate::ConnectError::Limit`] is found by it.
#[derive(Debug, thiserror::Error)]
#[error("too many connections")]
pub(crate) struct LimitReached;

impl Behaviour {
    pub(crate) fn new(limits: Limits, refusals: Arc<Refusals>, registry: Arc<Registry>, is_relay: bool) -> Self {
        Self {
            limits,
            refusals,
            registry,
            is_relay,
            inbound: HashMap::new(),
            outbound: HashSet::new(),
            established: HashMap::new(),
            pending_addresses: Counts::default(),
            addresses: Counts::default(),
            peers: Counts::default(),
            quic: 0,
            quic_addresses: Counts::default(),
        }
    }

    fn check(&self, within: bool) -> Result<(), ConnectionDenied> {
        if within {
            return Ok(());
        }
        self.refusals.connection();
        Err(ConnectionDenied::new(LimitReached))
    }

    fn check_established(&self, has_place: bool, most: usize, host: Option<IpAddr>) -> Result<(), ConnectionDenied> {
        let from_host = host.map_or(0, |host| self.addresses.of(&host));
        self.check(has_place && self.established.len() < most && from_host < self.limits.connections_per_address)
    }

    /// Whether a peer may have one more connection, after one of its own gives way if the peer opens it.
    fn has_place(&self, peer: &PeerId, role: Role) -> bool {
        let most = self.limits.connections_per_peer;
        let open = self.registry.of_peer(peer);
        let gives_way = role == Role::Listener && self.least_used(&open).is_some();
        let open = open.len() - usize::from(gives_way);
        // Those that are closing may take their time, and as much memory as before.
        open < most && self.peers.of(peer) < most.saturating_mul(2)
    }

    /// Makes room for a connection of a peer that is established now: its host has proven that it is this peer, so it ends only what is its own.
    fn replace(&self, peer: &PeerId) {
        let open = self.registry.of_peer(peer);
        if open.len() >= self.limits.connections_per_peer
            && let Some(least_used) = self.least_used(&open)
        {
            tracing::debug!(%peer, address = %least_used.address(), "closing a connection for a newer one of the same peer");
            self.refusals.replaced();
            least_used.close();
        }
    }

    /// Of the connections of a peer that one of those it opened that gives way to a newer one: one that seems to be dead, else one that nobody uses,
    /// else the one without a sign of life for the longest time. None that carries something now.
    fn least_used<'a>(&self, open: &'a [Connection]) -> Option<&'a Connection> {
        let may_give_way = |connection: &&Connection| {
            !self.is_relay && connection.role() == Role::Listener && connection.idle_since().elapsed() >= USE_TIME
        };
        open.iter().filter(may_give_way).min_by_key(|connection| {
            let alive_at = connection.alive_at();
            (alive_at.elapsed() < OVERDUE_TIME, connection.is_used(), alive_at, connection.id())
        })
    }

    fn end_pending(&mut self, id: ConnectionId) {
        self.outbound.remove(&id);
        if let Some(origin) = self.inbound.remove(&id) {
            self.remove_quic(origin);
            if let Some(host) = origin.host {
                self.pending_addresses.remove(host);
            }
        }
    }

    /// Whether an inbound connection fits into the memory for QUIC, if it takes any.
    fn has_quic_place(&self, origin: Origin) -> bool {
        let most = self.limits.quic_connections();
        let from_host = origin.host.map_or(0, |host| self.quic_addresses.of(&host));
        !origin.is_quic || (self.quic < most - most / 8 && from_host < (most / 4).max(1))
    }

    fn add_quic(&mut self, origin: Origin) {
        if origin.is_quic {
            self.quic += 1;
            origin.host.into_iter().for_each(|host| self.quic_addresses.add(host));
        }
    }

    fn remove_quic(&mut self, origin: Origin) {
        if origin.is_quic {
            self.quic -= 1;
            origin.host.into_iter().for_each(|host| self.quic_addresses.remove(host));
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let origin = Origin::inbound(remote);
        let from_host = origin.host.map_or(0, |host| self.pending_addresses.of(&host));
        // Before the handshake, so that who dials goes on with the next address.
        self.check(
            self.inbound.len() < self.limits.pending_inbound
                && from_host < self.limits.pending_inbound_per_address
                && self.has_quic_place(origin),
        )?;
        if let Some(host) = origin.host {
            self.pending_addresses.add(host);
        }
        self.add_quic(origin);
        self.inbound.insert(id, origin);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.end_pending(id);
        let others = self.limits.connections - self.limits.connections / 8;
        let has_place = self.has_place(&peer, Role::Listener);
        self.check_established(has_place, others, counted_host(remote))?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        _: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.check(self.outbound.len() < self.limits.pending_outbound)?;
        self.outbound.insert(id);
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.end_pending(id);
        self.check(!has_quic_windows(remote) || self.quic < self.limits.quic_connections())?;
        let has_place = self.has_place(&peer, Role::of_dial(role, port, TransportKind::of(remote)));
        self.check_established(has_place, self.limits.connections, None)?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, connection_id, endpoint, .. }) => {
                let remote = endpoint.get_remote_address();
                let origin = if endpoint.is_listener() { Origin::inbound(remote) } else { Origin::outbound(remote) };
                if role_in(endpoint) == Role::Listener {
                    self.replace(&peer_id);
                }
                self.established.insert(connection_id, (peer_id, origin));
                self.peers.add(peer_id);
                self.add_quic(origin);
                if let Some(host) = origin.host {
                    self.addresses.add(host);
                }
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. }) => {
                if let Some((peer, origin)) = self.established.remove(&connection_id) {
                    self.peers.remove(peer);
                    self.remove_quic(origin);
                    if let Some(host) = origin.host {
                        self.addresses.remove(host);
                    }
                }
            }
            FromSwarm::DialFailure(DialFailure { connection_id, .. })
            | FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => self.end_pending(connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

/// Which side opened a connection. Of a punched hole it is one of both that dial.
fn role_in(endpoint: &ConnectedPoint) -> Role {
    match endpoint {
        ConnectedPoint::Listener { .. } => Role::Listener,
        ConnectedPoint::Dialer { address, role_override, port_use } => {
            Role::of_dial(*role_override, *port_use, TransportKind::of(address))
        }
    }
}

/// Whether QUIC leads to the peer itself: what a relay forwards is a stream of the connection to the relay.
fn has_quic_windows(remote: &Multiaddr) -> bool {
    address::is_quic(remote) && !address::is_relayed(remote)
}

/// The host that a limit per address counts, see [`address::host`]. None for this host and for relays.
fn counted_host(remote: &Multiaddr) -> Option<IpAddr> {
    if address::is_relayed(remote) || Scope::of(remote) == Scope::Loopback {
        return None;
    }
    address::host(remote)
}

/// How many there are of each; what has none takes no memory.
struct Counts<K>(HashMap<K, usize>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Counts<K> {
    fn of(&self, key: &K) -> usize {
        self.0.get(key).copied().unwrap_or(0)
    }

    fn add(&mut self, key: K) {
        *self.0.entry(key).or_default() += 1;
    }

    fn remove(&mut self, key: K) {
        if let Entry::Occupied(mut count) = self.0.entry(key) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests;
