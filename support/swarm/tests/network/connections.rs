//! Connecting, and what a connection says about itself.

use std::time::Duration;

use swarm::{ConnectError, Event, Multiaddr, Network, PathKind, Role, StartError, TransportKind};
use tokio::io::AsyncReadExt as _;

use crate::support::*;

#[tokio::test]
async fn two_networks_connect_over_each_transport() {
    for (listen, transport) in [(MEMORY, TransportKind::Memory), (TCP, TransportKind::Tcp), (QUIC, TransportKind::Quic)]
    {
        let (alice, inbound) = start(config(1, &[listen])).await;
        let (bob, _keep) = start(config(2, &[])).await;
        echo(inbound);
        let connection = connect(&bob, &alice).await;
        assert_eq!(connection.peer(), alice.local_peer());
        assert_eq!(connection.transport(), transport);
        assert_eq!(connection.role(), Role::Dialer);
        assert_eq!(connection.path(), PathKind::Lan);
        assert_eq!(Some(&connection.address()), alice.listen_addresses().first());
        let other_end = only_connection(&alice).await;
        assert_eq!((other_end.peer(), other_end.role()), (bob.local_peer(), Role::Listener));
        assert_eq!(soon(ask(&connection, b"hello")).await.unwrap(), b"hello");
        assert_eq!((connection.sent(), connection.received()), (5, 5));
    }
}

#[tokio::test]
async fn an_existing_connection_is_used_again() {
    let (alice, _keep) = start(config(1, &[TCP])).await;
    let (bob, _keep) = start(config(2, &[])).await;
    let first = connect(&bob, &alice).await;
    assert_eq!(connect(&bob, &alice).await, first);
    assert_eq!(soon(bob.connect(alice.local_peer(), Vec::new())).await.unwrap(), first);
    assert_eq!(bob.best_connection(&alice.local_peer()), Some(first));
}

#[tokio::test]
async fn connects_at_the_same_time_share_one_dial() {
    let (alice, _keep) = start(config(1, &[TCP])).await;
    let (bob, _keep) = start(config(2, &[])).await;
    let all = futures_util::future::join_all((0..20).map(|_| connect(&bob, &alice))).await;
    assert!(all.iter().all(|connection| *connection == all[0]));
    assert_eq!(bob.connections().len(), 1);
}

#[tokio::test]
async fn all_addresses_are_dialled_at_once_and_the_first_that_answers_wins() {
    let (alice, _keep) = start(config(1, &[TCP])).await;
    let (bob, _keep) = start(config(2, &[])).await;
    // A listener that accepts and says nothing would hold up who dials one address after the other.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("/ip4/127.0.0.1/tcp/{}", silent.local_addr().unwrap().port());
    let mut addresses: Vec<Multiaddr> = vec![silent.parse().unwrap()];
    addresses.extend(alice.listen_addresses());
    let connected = tokio::time::timeout(Duration::from_secs(5), bob.connect(alice.local_peer(), addresses)).await;
    assert_eq!(connected.unwrap().unwrap().peer(), alice.local_peer());
}

#[tokio::test]
async fn another_peer_behind_an_address_is_not_taken_for_the_wanted_one() {
    for listen in [TCP, QUIC] {
        let (alice, _keep) = start(config(1, &[listen])).await;
        let (mallory, _keep) = start(config(3, &[listen])).await;
        let (bob, _keep) = start(config(2, &[])).await;
        let error = soon(bob.connect(alice.local_peer(), mallory.listen_addresses())).await.unwrap_err();
        assert!(
            matches!(&error, ConnectError::WrongPeer { found, .. } if *found == mallory.local_peer()),
            "{listen}: {error:?}"
        );
        assert!(bob.connections().is_empty());
    }
}

#[tokio::test]
async fn what_the_policy_forbids_is_left_out_and_named() {
    let (alice, _keep) = start(config(1, &[TCP])).await;
    let strict = swarm::Config { addresses: swarm::AddressPolicy::default(), ..config(2, &[]) };
    let (bob, _keep) = start(strict).await;
    let mut addresses = alice.listen_addresses();
    addresses.push("/ip4/192.168.1.1/tcp/1".parse().unwrap());
    addresses.push("/dns4/peer.example/tcp/1".parse().unwrap());
    let error = soon(bob.connect(alice.local_peer(), addresses.clone())).await.unwrap_err();
    assert!(matches!(&error, ConnectError::NoAddress { left_out } if *left_out == addresses), "{error:?}");
    assert!(bob.dial_addresses().is_empty());
}

#[tokio::test]
async fn a_peer_does_not_connect_to_itself() {
    let (alice, _keep) = start(config(1, &[TCP])).await;
    let error = soon(alice.connect(alice.local_peer(), alice.listen_addresses())).await.unwrap_err();
    assert!(matches!(error, ConnectError::Myself), "{error:?}");
}

#[tokio::test]
async fn nobody_at_an_address_is_an_error_that_names_it() {
    let (alice, _keep) = start(config(1, &[TCP])).await;
    let (addresses, peer) = (alice.listen_addresses(), alice.local_peer());
    soon(alice.shutdown()).await;
    let (bob, _keep) = start(config(2, &[])).await;
    let error = soon(bob.connect(peer, addresses.clone())).await.unwrap_err();
    let ConnectError::Unreachable { attempts } = &error else { panic!("{error:?}") };
    assert_eq!(attempts[0].0, addresses[0]);
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn an_address_that_is_taken_does_not_start_and_is_named() {
    let (alice, _keep) = start(config(1, &[TCP])).await;
    let taken = alice.listen_addresses().remove(0);
    let second = swarm::Config { listen: vec![taken.clone()], ..config(2, &[]) };
    let error = soon(Network::start(second)).await.unwrap_err();
    assert!(matches!(&error, StartError::Listen { address, .. } if *address == taken), "{error:?}");
    assert!(error.to_string().contains(&taken.to_string()) && error.to_string().contains("in use"), "{error}");
}

#[tokio::test]
async fn a_transport_that_is_off_is_not_listened_on() {
    let off = swarm::Transports { tcp: false, quic: true, memory: false, tls: true };
    let error = soon(Network::start(swarm::Config { transports: off, ..config(1, &[TCP]) })).await.unwrap_err();
    assert!(matches!(&error, StartError::Listen { .. }), "{error:?}");
}

#[tokio::test]
async fn both_ends_notice_when_one_closes() {
    for listen in [MEMORY, TCP, QUIC] {
        let (alice, _keep) = start(config(1, &[listen])).await;
        let (bob, _keep) = start(config(2, &[])).await;
        let connection = connect(&bob, &alice).await;
        let other_end = only_connection(&alice).await;
        let mut events = alice.subscribe();
        connection.close();
        soon(connection.closed()).await;
        soon(other_end.closed()).await;
        assert!(!connection.is_open() && !other_end.is_open());
        let closed = |event: &Event| match event {
            Event::Disconnected { connection, peer } => Some((*connection, *peer)),
            _ => None,
        };
        assert_eq!(event(&mut events, closed).await, (other_end.id(), bob.local_peer()));
        assert!(matches!(connection.open(ECHO).await, Err(swarm::OpenError::Closed)));
        assert!(alice.connections().is_empty());
    }
}

#[tokio::test]
async fn the_latency_is_measured() {
    let (alice, _keep) = start(config(1, &[TCP])).await;
    let (bob, _keep) = start(config(2, &[])).await;
    let connection = connect(&bob, &alice).await;
    until(|| connection.latency().is_some()).await;
}

#[tokio::test]
async fn an_application_brings_its_own_transport() {
    use swarm::custom::StreamMuxerBox;
    // The application's transport here never connects; the network starts over it and says so.
    let none: swarm::custom::Transport = {
        use libp2p::core::Transport as _;
        libp2p::core::transport::dummy::DummyTransport::<(swarm::PeerId, StreamMuxerBox)>::new().boxed()
    };
    let (bob, _keep) = soon(Network::start_with(config(2, &[]), none)).await.unwrap();
    let (alice, _keep) = start(config(1, &[TCP])).await;
    let error = soon(bob.connect(alice.local_peer(), alice.listen_addresses())).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn an_idle_connection_closes_and_one_that_is_kept_stays() {
    let short =
        |seed, listen: &[&str]| swarm::Config { idle_timeout: Duration::from_millis(150), ..config(seed, listen) };
    let (alice, mut inbound) = start(short(1, &[TCP])).await;
    let (bob, _keep) = start(short(2, &[])).await;
    let (carol, _keep) = start(short(3, &[])).await;
    let kept = connect(&bob, &alice).await;
    let (guard, other_guard) = (kept.keep_alive(), only_connection(&alice).await.keep_alive());
    // A stream keeps a connection at both ends.
    let busy = connect(&carol, &alice).await;
    let mut stream = busy.open(ECHO).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"x").await.unwrap();
    let mut received = soon(inbound.next()).await.unwrap();
    assert_eq!(soon(received.stream.read_u8()).await.unwrap(), b'x');
    // One that neither is kept nor has streams closes, which tells that the time has passed for all.
    let (dave, _keep) = start(short(4, &[])).await;
    soon(connect(&dave, &alice).await.closed()).await;
    soon(connect(&dave, &alice).await.closed()).await;
    assert!(kept.is_open() && busy.is_open());
    drop((stream, received));
    soon(busy.closed()).await;
    assert!(kept.is_open());
    drop((guard, other_guard));
    soon(kept.closed()).await;
}
