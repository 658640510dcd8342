//! Streams: on the connection that is named, none lost.

use futures_util::future::join_all;
use swarm::{Limits, OpenError, Role, TransportKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::*;

#[tokio::test]
async fn a_stream_is_opened_on_the_connection_that_is_named() {
    let (alice, mut at_alice) = start(config(1, &[TCP])).await;
    let (bob, mut at_bob) = start(config(2, &[QUIC])).await;
    // One connection each way, over different transports.
    let dial = |from: &swarm::Network, to: &swarm::Network| {
        let (from, to) = (from.clone(), to.clone());
        async move { soon(from.connect(to.local_peer(), to.listen_addresses())).await }
    };
    let (over_tcp, over_quic) = tokio::join!(dial(&bob, &alice), dial(&alice, &bob));
    let (over_tcp, over_quic) = (over_tcp.unwrap(), over_quic.unwrap());
    for _ in 0..10 {
        for (connection, inbound) in [(&over_tcp, &mut at_alice), (&over_quic, &mut at_bob)] {
            let mut stream = soon(connection.open(OTHER)).await.unwrap();
            stream.write_all(b"x").await.unwrap();
            stream.flush().await.unwrap();
            let received = soon(inbound.next()).await.unwrap();
            assert_eq!(received.protocol, OTHER);
            assert_eq!(received.connection.transport(), connection.transport());
            assert_ne!(received.connection.role(), connection.role());
        }
    }
}

#[tokio::test]
async fn streams_run_in_both_directions_of_a_connection() {
    for listen in [MEMORY, TCP, QUIC] {
        let (alice, at_alice) = start(config(1, &[listen])).await;
        let (bob, at_bob) = start(config(2, &[])).await;
        let from_bob = connect(&bob, &alice).await;
        let from_alice = only_connection(&alice).await;
        assert_eq!(from_alice.role(), Role::Listener);
        echo(at_alice);
        echo(at_bob);
        let large = vec![7; 1 << 20];
        // More than the window of flow control: written and read at the same time.
        for connection in [&from_bob, &from_alice] {
            let stream = soon(connection.open(ECHO)).await.unwrap();
            let (mut read, mut write) = tokio::io::split(stream);
            let mut answer = Vec::new();
            let written = async {
                write.write_all(&large).await.unwrap();
                write.shutdown().await.unwrap();
            };
            let (read, ()) = soon(async { tokio::join!(read.read_to_end(&mut answer), written) }).await;
            assert_eq!(read.unwrap(), large.len());
            assert_eq!(answer, large);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_640_streams_opened_at_once_none_is_lost_when_there_is_room() {
    for listen in [TCP, QUIC, MEMORY] {
        let room = Limits {
            inbound_streams_per_connection: 640,
            inbound_streams_per_second: 640,
            inbound_streams: 640,
            ..Limits::default()
        };
        let (alice, inbound) = start(limited(1, &[listen], room)).await;
        let (bob, _keep) = start(limited(2, &[], room)).await;
        let served = echo(inbound);
        let connection = connect(&bob, &alice).await;
        let answers = soon(join_all((0..640).map(|_| ask(&connection, b"here")))).await;
        assert!(answers.iter().all(Result::is_ok), "{listen}: {:?}", answers.iter().find(|answer| answer.is_err()));
        assert_eq!(alice.refused().streams, 0);
        soon(alice.shutdown()).await;
        assert_eq!(soon(served).await.unwrap(), 640);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_640_streams_opened_at_once_each_is_accepted_or_refused() {
    for listen in [TCP, QUIC, MEMORY] {
        let (alice, inbound) = start(config(1, &[listen])).await;
        let (bob, _keep) = start(config(2, &[])).await;
        let served = echo(inbound);
        let connection = connect(&bob, &alice).await;
        let answers = soon(join_all((0..640).map(|_| ask(&connection, b"here")))).await;
        let answered = answers.iter().filter(|answer| answer.is_ok()).count();
        assert!(answered > 0, "{listen}");
        // The connection survives it.
        assert!(connection.is_open());
        let refused = alice.refused().streams;
        soon(alice.shutdown()).await;
        let served = soon(served).await.unwrap();
        assert_eq!(served + refused, 640, "{listen}");
        assert_eq!(served, answered as u64, "{listen}");
    }
}

#[tokio::test]
async fn streams_wait_for_who_takes_them_later() {
    let (alice, mut inbound) = start(config(1, &[TCP])).await;
    let (bob, _keep) = start(config(2, &[])).await;
    let connection = connect(&bob, &alice).await;
    let mut streams = Vec::new();
    for number in 0..16 {
        let mut stream = soon(connection.open(ECHO)).await.unwrap();
        stream.write_all(&[number]).await.unwrap();
        stream.flush().await.unwrap();
        streams.push(stream);
    }
    for number in 0..16 {
        let mut received = soon(inbound.next()).await.unwrap();
        assert_eq!(soon(received.stream.read_u8()).await.unwrap(), number);
    }
    assert_eq!(alice.refused().streams, 0);
}

#[tokio::test]
async fn a_protocol_that_the_peer_does_not_speak_is_an_error() {
    for listen in [TCP, QUIC] {
        let (alice, _keep) = start(config(1, &[listen])).await;
        let (bob, _keep) = start(config(2, &[])).await;
        let connection = connect(&bob, &alice).await;
        assert!(matches!(soon(connection.open("/test/unknown/1")).await, Err(OpenError::Unsupported)));
        assert!(matches!(soon(connection.open("no slash")).await, Err(OpenError::InvalidProtocol)));
        assert!(connection.is_open());
    }
}

#[tokio::test]
async fn a_stream_that_is_dropped_before_its_end_is_reset() {
    let (alice, mut inbound) = start(config(1, &[TCP])).await;
    let (bob, _keep) = start(config(2, &[])).await;
    let connection = connect(&bob, &alice).await;
    assert_eq!(connection.transport(), TransportKind::Tcp);
    let mut stream = soon(connection.open(ECHO)).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    stream.flush().await.unwrap();
    let mut received = soon(inbound.next()).await.unwrap();
    assert_eq!(soon(received.stream.read_u8()).await.unwrap(), b'x');
    stream.reset();
    assert!(soon(received.stream.read_u8()).await.is_err());
    assert!(connection.is_open());
}

#[tokio::test]
async fn streams_that_nobody_takes_are_refused_and_counted() {
    let (alice, inbound) = start(config(1, &[TCP])).await;
    let (bob, _keep) = start(config(2, &[])).await;
    let connection = connect(&bob, &alice).await;
    drop(inbound);
    assert!(soon(ask(&connection, b"hello")).await.is_err());
    assert_eq!(alice.refused().streams, 1);
}
