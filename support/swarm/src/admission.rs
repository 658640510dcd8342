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
mod tests {
    use std::ops::{Deref, DerefMut};

    use tokio::time::advance;

    use super::*;
    use crate::PathKind;
    use crate::connection::HandlerEnd;

    /// The behaviour, and the other ends of what it has admitted.
    struct Admission {
        behaviour: Behaviour,
        ends: HashMap<usize, HandlerEnd>,
    }

    impl Deref for Admission {
        type Target = Behaviour;

        fn deref(&self) -> &Behaviour {
            &self.behaviour
        }
    }

    impl DerefMut for Admission {
        fn deref_mut(&mut self) -> &mut Behaviour {
            &mut self.behaviour
        }
    }

    fn behaviour(limits: Limits) -> Admission {
        let behaviour = Behaviour::new(limits, Arc::default(), Arc::default(), false);
        Admission { behaviour, ends: HashMap::new() }
    }

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    fn pending(behaviour: &mut Behaviour, id: usize, remote: &Multiaddr) -> bool {
        let local = address("/ip4/203.0.113.200/tcp/1");
        behaviour.handle_pending_inbound_connection(ConnectionId::new_unchecked(id), &local, remote).is_ok()
    }

    fn established(behaviour: &mut Admission, number: usize, peer: PeerId, remote: &Multiaddr) -> bool {
        let (id, local) = (ConnectionId::new_unchecked(number), address("/ip4/203.0.113.200/tcp/1"));
        let admitted = behaviour.handle_established_inbound_connection(id, peer, &local, remote).is_ok();
        let endpoint = ConnectedPoint::Listener { local_addr: local, send_back_addr: remote.clone() };
        if admitted {
            behaviour.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id: peer,
                connection_id: id,
                endpoint: &endpoint,
                failed_addresses: &[],
                other_established: 0,
            }));
            enter(behaviour, number, peer, Role::Listener, remote);
        }
        admitted
    }

    fn enter(behaviour: &mut Admission, number: usize, peer: PeerId, role: Role, remote: &Multiaddr) {
        let id = ConnectionId::new_unchecked(number);
        let (connection, end) = Connection::new(id, peer, role, remote, None, PathKind::Direct);
        behaviour.registry.enter(connection);
        behaviour.ends.insert(number, end);
    }

    fn closed(behaviour: &mut Admission, id: usize, peer: PeerId, remote: &Multiaddr) {
        let local_addr = address("/ip4/203.0.113.200/tcp/1");
        let endpoint = ConnectedPoint::Listener { local_addr, send_back_addr: remote.clone() };
        behaviour.on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
            peer_id: peer,
            connection_id: ConnectionId::new_unchecked(id),
            endpoint: &endpoint,
            cause: None,
            remaining_established: 0,
        }));
        behaviour.registry.remove(ConnectionId::new_unchecked(id));
        behaviour.ends.remove(&id);
    }

    fn is_open(behaviour: &Admission, id: usize) -> bool {
        behaviour.registry.get(ConnectionId::new_unchecked(id)).is_some_and(|connection| connection.is_open())
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_of_a_peer_takes_the_place_of_its_idlest_one() {
        let limits = Limits { connections_per_peer: 3, ..Limits::default() };
        let (mut behaviour, peer, other) = (behaviour(limits), PeerId::random(), PeerId::random());
        let remote = address("/ip4/203.0.113.1/tcp/1");
        assert!(established(&mut behaviour, 100, other, &remote));
        for id in 0..3 {
            assert!(established(&mut behaviour, id, peer, &remote));
        }
        assert_eq!(behaviour.refusals.total().replaced, 0);
        // The oldest one is still in use.
        advance(USE_TIME).await;
        behaviour.ends[&0].traffic.add_sent(1);
        behaviour.ends[&2].traffic.add_received(1);
        // While the former ones close there are as many again at most.
        for (new, replaced) in [(3, 1), (4, 0), (5, 2)] {
            assert!(established(&mut behaviour, new, peer, &remote), "{new}");
            assert!(!is_open(&behaviour, replaced) && is_open(&behaviour, new), "{new} in place of {replaced}");
            advance(USE_TIME).await;
        }
        assert!(!established(&mut behaviour, 6, peer, &remote));
        assert!((3..6).all(|id| is_open(&behaviour, id)), "who is refused replaces nothing");
        let total = behaviour.refusals.total();
        assert_eq!((total.replaced, total.connections), (3, 1));
        closed(&mut behaviour, 1, peer, &remote);
        assert!(established(&mut behaviour, 6, peer, &remote) && !is_open(&behaviour, 3));
        assert!(is_open(&behaviour, 100), "another peer has its own places");
    }

    #[tokio::test(start_paused = true)]
    async fn what_carries_something_now_is_not_replaced() {
        let limits = Limits { connections_per_peer: 2, ..Limits::default() };
        let (mut behaviour, peer) = (behaviour(limits), PeerId::random());
        let remote = address("/ip4/203.0.113.1/tcp/1");
        assert!(established(&mut behaviour, 0, peer, &remote) && established(&mut behaviour, 1, peer, &remote));
        assert!(!established(&mut behaviour, 2, peer, &remote), "both have just begun");
        advance(USE_TIME).await;
        behaviour.ends[&0].traffic.add_sent(1);
        behaviour.ends[&1].traffic.add_received(1);
        for _ in 0..2 {
            assert!(!established(&mut behaviour, 2, peer, &remote));
            assert!(is_open(&behaviour, 0) && is_open(&behaviour, 1));
            advance(USE_TIME / 2 - Duration::from_millis(1)).await;
        }
        advance(Duration::from_millis(2)).await;
        assert!(established(&mut behaviour, 2, peer, &remote) && !is_open(&behaviour, 0));
        let total = behaviour.refusals.total();
        assert_eq!((total.replaced, total.connections), (1, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn dead_connections_give_way_first_and_used_ones_last() {
        let limits = Limits { connections_per_peer: 3, ..Limits::default() };
        let (mut behaviour, peer) = (behaviour(limits), PeerId::random());
        let remote = address("/ip4/203.0.113.1/tcp/1");
        assert!((0..3).all(|id| established(&mut behaviour, id, peer, &remote)));
        let keep = |id: usize| behaviour.registry.get(ConnectionId::new_unchecked(id)).unwrap().keep_alive();
        let _kept = [keep(1), keep(2)];
        advance(OVERDUE_TIME - Duration::from_millis(1)).await;
        // The last one answers no ping any more; the first one is the only one that nobody uses.
        behaviour.ends[&1].traffic.add_answer();
        advance(Duration::from_millis(1)).await;
        behaviour.ends[&0].traffic.add_answer();
        for (new, replaced) in [(3, 2), (4, 0)] {
            assert!(established(&mut behaviour, new, peer, &remote));
            assert!(!is_open(&behaviour, replaced) && is_open(&behaviour, 1), "{new} in place of {replaced}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_relay_replaces_nothing() {
        let limits = Limits { connections_per_peer: 2, ..Limits::default() };
        let (mut behaviour, peer) = (behaviour(limits), PeerId::random());
        behaviour.is_relay = true;
        let remote = address("/ip4/203.0.113.1/tcp/1");
        assert!(established(&mut behaviour, 0, peer, &remote) && established(&mut behaviour, 1, peer, &remote));
        advance(2 * OVERDUE_TIME).await;
        assert!(!established(&mut behaviour, 2, peer, &remote));
        assert!(is_open(&behaviour, 0) && is_open(&behaviour, 1));
        let total = behaviour.refusals.total();
        assert_eq!((total.replaced, total.connections), (0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_punched_hole_replaces_where_the_peer_opens_it() {
        let (remote, peer) = (address("/ip4/203.0.113.1/tcp/1"), PeerId::random());
        let quic = address("/ip4/203.0.113.1/udp/1/quic-v1");
        let mut behaviour = behaviour(Limits { connections_per_peer: 4, ..Limits::default() });
        assert!((0..4).all(|id| established(&mut behaviour, id, peer, &remote)));
        advance(USE_TIME).await;
        assert!(!dialled(&mut behaviour, 4, peer, &quic, Endpoint::Listener), "of both one dials as usual");
        assert!(!dialled(&mut behaviour, 4, peer, &remote, Endpoint::Dialer));
        assert!((0..4).all(|id| is_open(&behaviour, id)));
        assert!(dialled(&mut behaviour, 4, peer, &remote, Endpoint::Listener));
        assert!(!is_open(&behaviour, 0) && (1..4).all(|id| is_open(&behaviour, id)));
        assert_eq!(behaviour.refusals.total().replaced, 1);
    }

    /// A dial of this side that may use its port again.
    fn dialled(behaviour: &mut Behaviour, id: usize, peer: PeerId, remote: &Multiaddr, role: Endpoint) -> bool {
        let (id, port) = (ConnectionId::new_unchecked(id), PortUse::Reuse);
        let admitted = behaviour.handle_established_outbound_connection(id, peer, remote, role, port).is_ok();
        let endpoint = ConnectedPoint::Dialer { address: remote.clone(), role_override: role, port_use: port };
        if admitted {
            behaviour.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id: peer,
                connection_id: id,
                endpoint: &endpoint,
                failed_addresses: &[],
                other_established: 0,
            }));
        }
        admitted
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_replaced_where_other_limits_refuse_or_this_side_has_dialled() {
        let limits = Limits { connections_per_peer: 2, connections_per_address: 2, ..Limits::default() };
        let (mut behaviour, peer) = (behaviour(limits), PeerId::random());
        let (remote, elsewhere) = (address("/ip4/203.0.113.1/tcp/1"), address("/ip4/203.0.113.2/tcp/1"));
        assert!(established(&mut behaviour, 0, peer, &remote) && established(&mut behaviour, 1, peer, &remote));
        advance(USE_TIME).await;
        assert!(!established(&mut behaviour, 2, peer, &remote), "too many of the address");
        assert!(is_open(&behaviour, 0) && is_open(&behaviour, 1));
        assert!(established(&mut behaviour, 2, peer, &elsewhere), "it has moved");
        assert!(!is_open(&behaviour, 0));

        let (limits, dialled) = (Limits { connections_per_peer: 1, ..Limits::default() }, PeerId::random());
        let mut behaviour = self::behaviour(limits);
        enter(&mut behaviour, 0, dialled, Role::Dialer, &remote);
        advance(USE_TIME).await;
        assert!(!established(&mut behaviour, 1, dialled, &remote));
        assert!(is_open(&behaviour, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn own_dials_replace_nothing() {
        let (remote, peer) = (address("/ip4/203.0.113.1/tcp/1"), PeerId::random());
        let mut behaviour = behaviour(Limits { connections_per_peer: 1, ..Limits::default() });
        assert!(established(&mut behaviour, 0, peer, &remote));
        advance(USE_TIME).await;
        let id = ConnectionId::new_unchecked(1);
        let dialled =
            behaviour.handle_established_outbound_connection(id, peer, &remote, Endpoint::Dialer, PortUse::New);
        assert!(dialled.is_err() && is_open(&behaviour, 0));
    }

    #[test]
    fn one_address_gets_its_share_of_handshakes_and_connections() {
        let limits = Limits { pending_inbound_per_address: 2, connections_per_address: 2, ..Limits::default() };
        for (same, also_same, other) in [
            ("/ip4/203.0.113.1/tcp/1", "/ip4/203.0.113.1/udp/2/quic-v1", "/ip4/203.0.113.2/tcp/1"),
            ("/ip6/2001:db8:0:1::1/tcp/1", "/ip6/2001:db8:0:1:ffff::2/tcp/1", "/ip6/2001:db8:0:2::1/tcp/1"),
            ("/ip4/203.0.113.1/tcp/1", "/ip6/::ffff:203.0.113.1/tcp/2", "/ip6/::ffff:203.0.113.2/tcp/1"),
        ] {
            let (same, also_same, other) = (address(same), address(also_same), address(other));
            let mut behaviour = behaviour(limits);
            assert!(pending(&mut behaviour, 1, &same) && pending(&mut behaviour, 2, &also_same));
            assert!(!pending(&mut behaviour, 3, &same) && pending(&mut behaviour, 4, &other));
            let peers: Vec<_> = (0..4).map(|_| PeerId::random()).collect();
            assert!(established(&mut behaviour, 1, peers[0], &same) && pending(&mut behaviour, 3, &same));
            assert!(established(&mut behaviour, 2, peers[1], &also_same));
            assert!(!established(&mut behaviour, 3, peers[2], &same));
            assert!(established(&mut behaviour, 4, peers[3], &other));
            closed(&mut behaviour, 1, peers[0], &same);
            assert!(pending(&mut behaviour, 5, &same) && established(&mut behaviour, 5, peers[2], &same));
            assert_eq!(behaviour.refusals.total().connections, 2);
        }
    }

    #[test]
    fn connections_over_quic_fit_into_their_memory() {
        let limits = Limits { quic_window: 1024, quic_memory: 16 * 1024, ..Limits::default() };
        let mut behaviour = behaviour(limits);
        let remote = |host: usize, by: &str| address(&format!("/ip4/203.0.113.{host}/{by}"));
        let arrive = |behaviour: &mut Admission, id: usize, remote: &Multiaddr| {
            pending(behaviour, id, remote) && established(behaviour, id, PeerId::random(), remote)
        };
        let (quic, tcp) = ("udp/1/quic-v1", "tcp/1");
        for id in 0..14 {
            // A quarter of them from one host.
            assert!(arrive(&mut behaviour, id, &remote(1 + id / 4, quic)), "{id}");
            let is_host_full = id % 4 == 3;
            assert_eq!(pending(&mut behaviour, 100 + id, &remote(1 + id / 4, quic)), !is_host_full && id < 13, "{id}");
            behaviour.end_pending(ConnectionId::new_unchecked(100 + id));
        }
        assert!(
            !pending(&mut behaviour, 14, &remote(9, quic))
                && !pending(&mut behaviour, 14, &address("/ip4/127.0.0.1/udp/1/quic-v1"))
        );
        assert!(arrive(&mut behaviour, 14, &remote(9, tcp)));
        // The rest is for those that this side opens.
        let dial = |behaviour: &mut Behaviour, id: usize, remote: &Multiaddr| {
            let (id, peer) = (ConnectionId::new_unchecked(id), PeerId::random());
            let (role_override, port_use) = (Endpoint::Dialer, PortUse::New);
            let admitted = behaviour.handle_established_outbound_connection(id, peer, remote, role_override, port_use);
            let endpoint = ConnectedPoint::Dialer { address: remote.clone(), role_override, port_use };
            if admitted.is_ok() {
                behaviour.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
                    peer_id: peer,
                    connection_id: id,
                    endpoint: &endpoint,
                    failed_addresses: &[],
                    other_established: 0,
                }));
            }
            admitted.is_ok()
        };
        assert!(dial(&mut behaviour, 20, &remote(9, quic)) && dial(&mut behaviour, 21, &remote(9, quic)));
        assert!(!dial(&mut behaviour, 22, &remote(9, quic)) && dial(&mut behaviour, 22, &remote(9, tcp)));
        let peer = behaviour.established[&ConnectionId::new_unchecked(0)].0;
        closed(&mut behaviour, 0, peer, &remote(1, quic));
        closed(&mut behaviour, 20, PeerId::random(), &remote(9, quic));
        closed(&mut behaviour, 21, PeerId::random(), &remote(9, quic));
        assert!(pending(&mut behaviour, 30, &remote(9, quic)));
    }

    #[test]
    fn this_host_and_peers_over_relays_share_no_address() {
        let limits = Limits { connections_per_address: 1, ..Limits::default() };
        let circuit = "/ip4/203.0.113.1/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp/p2p-circuit";
        for remote in ["/ip4/127.0.0.1/tcp/1", "/memory/1", circuit] {
            let mut behaviour = behaviour(limits);
            assert!((0..4).all(|id| established(&mut behaviour, id, PeerId::random(), &address(remote))));
        }
    }

    #[test]
    fn nothing_is_remembered_of_those_who_have_gone() {
        let mut behaviour = behaviour(Limits::default());
        for id in 0..1000 {
            let by = ["tcp/1", "udp/1/quic-v1"][id % 2];
            let (peer, remote) = (PeerId::random(), address(&format!("/ip4/203.0.113.{}/{by}", id % 250)));
            assert!(pending(&mut behaviour, id, &remote) && established(&mut behaviour, id, peer, &remote));
            closed(&mut behaviour, id, peer, &remote);
        }
        assert!(behaviour.inbound.is_empty() && behaviour.established.is_empty());
        assert!(behaviour.quic == 0 && behaviour.quic_addresses.0.is_empty());
        assert!(
            behaviour.peers.0.is_empty()
                && behaviour.addresses.0.is_empty()
                && behaviour.pending_addresses.0.is_empty()
        );
    }
}
