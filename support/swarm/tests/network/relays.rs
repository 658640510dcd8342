//! Relays, hole punching, and what peers tell about reachability.

use std::io;
use std::time::Duration;

use futures_util::{AsyncReadExt as _, StreamExt as _};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::{Transport as _, upgrade};
use libp2p::{PeerId, Swarm, identity, noise, tcp, yamux};
use swarm::{
    Config, Discovery, Event, Limits, Multiaddr, NatStatus, Network, PathKind, RelayLimits, RelayState, Role, Services,
    TransportKind,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::*;

fn relay(seed: u8, limits: RelayLimits) -> Config {
    Config { services: Services { relay: Some(limits), ..Services::default() }, ..config(seed, &[TCP]) }
}

/// A peer that is reached at a relay only.
fn behind(seed: u8, relay: &Network) -> Config {
    let relays = full_addresses(relay);
    Config { discovery: Discovery { relays, ..Discovery::default() }, ..config(seed, &[]) }
}

async fn reserved(network: &Network) {
    until(|| network.reachability().relays.iter().all(|relay| relay.reserved)).await;
    until(|| !network.dial_addresses().is_empty()).await;
}

fn circuits(network: &Network) -> Vec<Multiaddr> {
    let told = network.dial_addresses().into_iter();
    told.filter(|address| address.to_string().contains("p2p-circuit")).collect()
}

#[tokio::test]
async fn a_peer_is_reached_at_its_relay() {
    let (relay, _keep) = start(relay(9, RelayLimits::default())).await;
    let (alice, inbound) = start(behind(1, &relay)).await;
    let (bob, _keep) = start(config(2, &[])).await;
    echo(inbound);
    reserved(&alice).await;
    assert_eq!(alice.listen_addresses(), alice.dial_addresses());
    let connection = soon(bob.connect(alice.local_peer(), alice.dial_addresses())).await.unwrap();
    assert_eq!((connection.path(), connection.transport()), (PathKind::Relayed, TransportKind::Relay));
    assert_eq!(connection.peer(), alice.local_peer());
    assert_eq!(soon(ask(&connection, b"hello")).await.unwrap(), b"hello");
    let at_alice = alice.best_connection(&bob.local_peer()).unwrap();
    assert_eq!((at_alice.path(), at_alice.transport()), (PathKind::Relayed, TransportKind::Relay));
    assert_eq!(
        (connection.address(), at_alice.address()),
        (alice.listen_addresses()[0].clone(), alice.listen_addresses()[0].clone())
    );
    let metrics = relay.relay_metrics();
    assert_eq!((metrics.reservations, metrics.circuits), (1, 1));
    // There and back, and what encrypts and multiplexes it.
    assert!(metrics.received >= 10 && metrics.sent >= 10, "{metrics:?}");
    assert!(metrics.received < 64 << 10 && metrics.sent < 64 << 10, "{metrics:?}");
    // The same one again, since there is no direct address.
    assert_eq!(soon(bob.connect(alice.local_peer(), alice.dial_addresses())).await.unwrap(), connection);
    connection.close();
    until(|| relay.relay_metrics().circuits == 0).await;
}

#[tokio::test]
async fn a_direct_address_wins_over_a_relay() {
    let (relay, _keep) = start(relay(9, RelayLimits::default())).await;
    let (alice, _keep) = start(Config { listen: config(1, &[TCP]).listen, ..behind(1, &relay) }).await;
    let (bob, _keep) = start(config(2, &[])).await;
    until(|| alice.dial_addresses().len() == 2).await;
    let connection = soon(bob.connect(alice.local_peer(), alice.dial_addresses())).await.unwrap();
    assert_eq!(connection.path(), PathKind::Lan);
    assert_eq!(relay.relay_metrics().circuits_accepted, 0);
}

#[tokio::test]
async fn a_relay_is_tried_when_no_direct_address_answers() {
    let (relay, _keep) = start(relay(9, RelayLimits::default())).await;
    let (alice, _keep) = start(behind(1, &relay)).await;
    let (bob, _keep) = start(config(2, &[])).await;
    reserved(&alice).await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("/ip4/127.0.0.1/tcp/{}", silent.local_addr().unwrap().port());
    let mut addresses = alice.dial_addresses();
    addresses.push(silent.parse().unwrap());
    let connection = soon(bob.connect(alice.local_peer(), addresses)).await.unwrap();
    assert_eq!(connection.path(), PathKind::Relayed);
}

#[tokio::test]
async fn without_relays_their_addresses_are_of_no_use() {
    let (relay, _keep) = start(relay(9, RelayLimits::default())).await;
    let (alice, _keep) = start(behind(1, &relay)).await;
    reserved(&alice).await;
    let off = Discovery { through_relays: false, ..Discovery::default() };
    let (bob, _keep) = start(Config { discovery: off, ..config(2, &[]) }).await;
    assert!(soon(bob.connect(alice.local_peer(), alice.dial_addresses())).await.is_err());
    assert_eq!(relay.relay_metrics().circuits_accepted, 0);
}

#[tokio::test]
async fn relayed_connections_at_their_bound() {
    let (relay, _keep) = start(relay(9, RelayLimits { circuits: 2, ..RelayLimits::default() })).await;
    let (alice, inbound) = start(behind(1, &relay)).await;
    echo(inbound);
    reserved(&alice).await;
    let (bob, _keep) = start(config(2, &[])).await;
    let (carol, _keep) = start(config(3, &[])).await;
    let (dave, _keep) = start(config(4, &[])).await;
    let first = soon(bob.connect(alice.local_peer(), alice.dial_addresses())).await.unwrap();
    let second = soon(carol.connect(alice.local_peer(), alice.dial_addresses())).await.unwrap();
    soon(ask(&first, b"x")).await.unwrap();
    soon(ask(&second, b"x")).await.unwrap();
    soon(dave.connect(alice.local_peer(), alice.dial_addresses())).await.unwrap_err();
    assert_eq!(relay.relay_metrics().circuits_refused, 1);
    first.close();
    until(|| relay.relay_metrics().circuits == 1).await;
    soon(dave.connect(alice.local_peer(), alice.dial_addresses())).await.unwrap();
}

#[tokio::test]
async fn bytes_of_a_relayed_connection_at_their_bound() {
    let (relay, _keep) = start(relay(9, RelayLimits { bytes_per_circuit: 256 << 10, ..RelayLimits::default() })).await;
    let (alice, mut inbound) = start(behind(1, &relay)).await;
    reserved(&alice).await;
    let (bob, _keep) = start(config(2, &[])).await;
    let connection = soon(bob.connect(alice.local_peer(), alice.dial_addresses())).await.unwrap();
    let mut stream = soon(connection.open(ECHO)).await.unwrap();
    let mut received = soon(inbound.next()).await.unwrap();
    let block = [0; 64 << 10];
    let mut passed = 0;
    let reading = async {
        let mut buffer = [0; 4096];
        while let Ok(1..) = received.stream.read(&mut buffer).await {
            passed += 1;
        }
    };
    let writing = async {
        // The relay ends the connection in the course of the fifth block at the latest.
        for _ in 0..64 {
            if stream.write_all(&block).await.is_err() {
                break;
            }
        }
    };
    soon(async { tokio::join!(reading, writing) }).await;
    soon(connection.closed()).await;
    let received = alice.best_connection(&bob.local_peer()).is_none();
    assert!(received && connection.sent() >= 192 << 10, "{} bytes, {passed} reads", connection.sent());
}

/// Opens a circuit and is silent on it until the peer at its end ends it.
async fn silent_circuit(seed: u8, circuit: Multiaddr) {
    let key = identity::Keypair::ed25519_from_bytes([seed; 32]).unwrap();
    let local = key.public().to_peer_id();
    let (circuits, behaviour) = libp2p::relay::client::new(local);
    let (ended, mut end) = tokio::sync::mpsc::unbounded_channel();
    let silent = circuits.and_then(move |mut connection, _| async move {
        let read = connection.read(&mut [0]).await;
        let _ = ended.send(read);
        Err::<(PeerId, StreamMuxerBox), _>(io::Error::from(io::ErrorKind::ConnectionAborted))
    });
    let direct = tcp::tokio::Transport::new(tcp::Config::new())
        .upgrade(upgrade::Version::V1Lazy)
        .authenticate(noise::Config::new(&key).unwrap())
        .multiplex(yamux::Config::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let both = silent.or_transport(direct).map(|either, _| either.into_inner()).boxed();
    let settings = libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(3600));
    let mut network = Swarm::new(both, behaviour, local, settings);
    network.dial(circuit).unwrap();
    loop {
        tokio::select! {
            _ = network.select_next_some() => {}
            read = end.recv() => {
                assert!(!matches!(read.unwrap(), Ok(1..)), "nobody speaks before the dialer does");
                return;
            }
        }
    }
}

#[tokio::test]
async fn handshakes_over_a_relay_that_do_not_go_on() {
    let (relay, _keep) = start(relay(9, RelayLimits::default())).await;
    let limits = Limits { pending_inbound: 1, ..Limits::default() };
    let handshake_timeout = Duration::from_secs(2);
    let (alice, _keep) = start(Config { limits, handshake_timeout, ..behind(1, &relay) }).await;
    reserved(&alice).await;
    soon(silent_circuit(3, full_addresses(&alice).remove(0))).await;
    // It took the only place, and gave it back.
    let (bob, _keep) = start(config(2, &[])).await;
    let connection = soon(bob.connect(alice.local_peer(), alice.dial_addresses())).await.unwrap();
    assert_eq!(connection.path(), PathKind::Relayed);
}

#[tokio::test]
async fn reservations_at_their_bound() {
    let (relay, _keep) = start(relay(9, RelayLimits { reservations: 1, ..RelayLimits::default() })).await;
    let (alice, _keep) = start(behind(1, &relay)).await;
    reserved(&alice).await;
    let (bob, _keep) = start(behind(2, &relay)).await;
    until(|| bob.reachability().relays[0].error.is_some()).await;
    assert!(!bob.reachability().relays[0].reserved && bob.dial_addresses().is_empty());
    until(|| relay.relay_metrics().reservations_refused > 0).await;
    assert_eq!(relay.relay_metrics().reservations, 1);
    soon(alice.shutdown()).await;
    // The next attempt succeeds.
    reserved(&bob).await;
}

#[tokio::test]
async fn a_reservation_is_made_again_when_the_relay_is_back() {
    let (first, keep) = start(relay(9, RelayLimits::default())).await;
    let (alice, _keep) = start(behind(1, &first)).await;
    let mut events = alice.subscribe();
    reserved(&alice).await;
    let told = alice.dial_addresses();
    let address = first.listen_addresses();
    soon(first.shutdown()).await;
    drop((first, keep));
    let state = |wanted: bool| {
        move |event: &Event| match event {
            Event::Relay(state) if state.reserved == wanted => Some(state.clone()),
            _ => None,
        }
    };
    let made: RelayState = event(&mut events, state(true)).await;
    let lost = event(&mut events, state(false)).await;
    assert_eq!(made.peer, lost.peer);
    assert!(lost.error.is_some());
    until(|| alice.dial_addresses().is_empty()).await;
    let (_second, _keep) = start(Config { listen: address, ..relay(9, RelayLimits::default()) }).await;
    event(&mut events, state(true)).await;
    until(|| alice.dial_addresses() == told).await;
}

#[tokio::test]
async fn a_relayed_connection_becomes_a_direct_one() {
    for listen in [TCP, QUIC] {
        becomes_direct(listen).await;
    }
}

async fn becomes_direct(listen: &str) {
    let (relay, _keep) =
        start(Config { listen: config(9, &[listen]).listen, ..relay(9, RelayLimits::default()) }).await;
    let punching = |seed: u8| {
        let behind = behind(seed, &relay);
        let discovery = Discovery { hole_punching: true, ..behind.discovery.clone() };
        Config { listen: config(seed, &[listen]).listen, discovery, ..behind }
    };
    let (alice, _keep) = start(punching(1)).await;
    let (bob, inbound) = start(punching(2)).await;
    echo(inbound);
    for network in [&alice, &bob] {
        reserved(network).await;
        until(|| !network.reachability().observed.is_empty()).await;
    }
    let mut events = alice.subscribe();
    let relayed = soon(alice.connect(bob.local_peer(), circuits(&bob))).await.unwrap();
    assert_eq!(relayed.path(), PathKind::Relayed);
    let changed = event(&mut events, |event| match event {
        Event::PathChanged(connection) => Some(connection.clone()),
        _ => None,
    })
    .await;
    assert_eq!((changed.peer(), changed.path()), (bob.local_peer(), PathKind::Punched));
    // The other side dials too, and what it opened may be better still: on this host it counts as the local network.
    let best = soon(alice.connect(bob.local_peer(), Vec::new())).await.unwrap();
    assert!(best.path() <= PathKind::Punched, "{best:?}");
    assert_eq!(soon(ask(&changed, b"hello")).await.unwrap(), b"hello");
    until(|| bob.best_connection(&alice.local_peer()).is_some_and(|best| best.path() != PathKind::Relayed)).await;
    // Each connection has one end that opened it, whoever dialled in which role.
    let count = |network: &Network, other: &Network, role: Role| {
        let connections = network.connections().into_iter();
        connections.filter(|connection| connection.peer() == other.local_peer() && connection.role() == role).count()
    };
    until(|| {
        count(&alice, &bob, Role::Dialer) == count(&bob, &alice, Role::Listener)
            && count(&alice, &bob, Role::Listener) == count(&bob, &alice, Role::Dialer)
    })
    .await;
}

#[tokio::test]
async fn a_peer_learns_from_others_that_it_can_be_reached() {
    let dial_back = Services { dial_back: true, ..Services::default() };
    let (server, _keep) = start(Config { services: dial_back, ..config(9, &[TCP]) }).await;
    let asking = Discovery { hole_punching: true, ..Discovery::default() };
    let (alice, _keep) = start(Config { discovery: asking, ..config(1, &[TCP]) }).await;
    assert_eq!(alice.reachability().nat, NatStatus::Unknown);
    let _kept = connect(&alice, &server).await.keep_alive();
    until(|| alice.external_addresses().contains(&alice.listen_addresses()[0])).await;
    assert_eq!(
        alice.reachability().nat,
        NatStatus::Unknown,
        "the loopback interface says nothing about other networks"
    );
}
