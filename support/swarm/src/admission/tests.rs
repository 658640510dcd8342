//! Which connections are admitted, and which ones give way.

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
        told(behaviour, id, peer, &endpoint);
        enter(behaviour, number, peer, Role::Listener, remote);
    }
    admitted
}

/// What libp2p says of a connection that was admitted.
fn told(behaviour: &mut Behaviour, id: ConnectionId, peer: PeerId, endpoint: &ConnectedPoint) {
    behaviour.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
        peer_id: peer,
        connection_id: id,
        endpoint,
        failed_addresses: &[],
        other_established: 0,
    }));
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
        told(behaviour, id, peer, &endpoint);
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
    let dialled = behaviour.handle_established_outbound_connection(id, peer, &remote, Endpoint::Dialer, PortUse::New);
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
        dialled(behaviour, id, PeerId::random(), remote, Endpoint::Dialer)
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
        behaviour.peers.0.is_empty() && behaviour.addresses.0.is_empty() && behaviour.pending_addresses.0.is_empty()
    );
}
