//! Each limit at its bound: the last one that fits is served, the next one refused and counted, and room that is given back is used again.

use std::time::Duration;

use swarm::{ConnectError, Connection, Limits, Stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::*;

/// Opens a stream and leaves it open, if the peer serves it.
async fn hold(connection: &Connection) -> Option<Stream> {
    let mut stream = connection.open(ECHO).await.ok()?;
    stream.write_all(b"x").await.ok()?;
    stream.flush().await.ok()?;
    (stream.read_u8().await.ok()? == b'x').then_some(stream)
}

/// After which a connection that carries nothing may be replaced.
const PAUSE: Duration = Duration::from_secs(2);

/// Has the clock go on by this time.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// Opens one as soon as the peer has noticed that there is room.
async fn hold_later(connection: &Connection) -> Stream {
    soon(async {
        loop {
            if let Some(stream) = hold(connection).await {
                return stream;
            }
        }
    })
    .await
}

#[tokio::test]
async fn streams_of_a_connection_at_a_time() {
    for listen in [TCP, QUIC] {
        let limits =
            Limits { inbound_streams_per_connection: 4, inbound_streams_per_second: 10_000, ..Limits::default() };
        let (alice, inbound) = start(limited(1, &[listen], limits)).await;
        let (bob, _keep) = start(config(2, &[])).await;
        echo(inbound);
        let connection = connect(&bob, &alice).await;
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(soon(hold(&connection)).await.expect("it fits"));
        }
        assert_eq!(alice.refused().streams, 0);
        assert!(soon(hold(&connection)).await.is_none());
        assert_eq!(alice.refused().streams, 1);
        held.pop();
        hold_later(&connection).await;
    }
}

#[tokio::test]
async fn streams_of_all_connections_at_a_time() {
    let limits = Limits { inbound_streams: 3, inbound_streams_per_second: 10_000, ..Limits::default() };
    let (alice, inbound) = start(limited(1, &[TCP], limits)).await;
    let (bob, _keep) = start(config(2, &[])).await;
    let (carol, _keep) = start(config(3, &[])).await;
    echo(inbound);
    let (of_bob, of_carol) = (connect(&bob, &alice).await, connect(&carol, &alice).await);
    let first = soon(hold(&of_bob)).await.expect("it fits");
    let _second = soon(hold(&of_bob)).await.expect("it fits");
    let _third = soon(hold(&of_carol)).await.expect("it fits");
    assert!(soon(hold(&of_carol)).await.is_none());
    assert_eq!(alice.refused().streams, 1);
    drop(first);
    hold_later(&of_carol).await;
}

#[tokio::test]
async fn streams_of_a_host_at_a_time() {
    let limits = Limits { inbound_streams: 8, inbound_streams_per_connection: 1, ..Limits::default() };
    let (alice, inbound) = start(limited(1, &[TCP, MEMORY], limits)).await;
    echo(inbound);
    let (bob, _keep) = start(config(2, &[])).await;
    let (carol, _keep) = start(config(3, &[])).await;
    let (dave, _keep) = start(config(4, &[])).await;
    let over = |memory: bool| {
        alice.listen_addresses().into_iter().filter(move |address| address.to_string().starts_with("/memory") == memory)
    };
    let of_bob = soon(bob.connect(alice.local_peer(), over(false).collect())).await.unwrap();
    let of_carol = soon(carol.connect(alice.local_peer(), over(false).collect())).await.unwrap();
    let first = soon(hold(&of_bob)).await.expect("it fits");
    let _second = soon(hold(&of_carol)).await.expect("it fits");
    let of_dave = soon(dave.connect(alice.local_peer(), over(false).collect())).await.unwrap();
    assert!(soon(hold(&of_dave)).await.is_none());
    assert_eq!(alice.refused().streams, 1);
    let (erin, _keep) = start(config(5, &[])).await;
    let of_erin = soon(erin.connect(alice.local_peer(), over(true).collect())).await.unwrap();
    let _other = soon(hold(&of_erin)).await.expect("another place fits");
    drop(first);
    hold_later(&of_dave).await;
}

#[tokio::test]
async fn new_streams_per_second() {
    let limits = Limits { inbound_streams_per_second: 8, ..Limits::default() };
    let (alice, inbound) = start(limited(1, &[MEMORY], limits)).await;
    let (bob, _keep) = start(config(2, &[])).await;
    echo(inbound);
    let connection = connect(&bob, &alice).await;
    // The clock of the limit stands still from here on.
    tokio::time::pause();
    for _ in 0..8 {
        ask(&connection, b"x").await.expect("it fits");
    }
    assert!(ask(&connection, b"x").await.is_err());
    assert_eq!(alice.refused().streams, 1);
    tokio::time::advance(Duration::from_millis(125)).await;
    ask(&connection, b"x").await.expect("one more fits");
    assert!(ask(&connection, b"x").await.is_err());
}

#[tokio::test]
async fn connections_in_total() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let (alice, inbound) = start(limited(1, &[TCP], limits)).await;
    echo(inbound);
    let (bob, _keep) = start(config(2, &[])).await;
    let (carol, _keep) = start(config(3, &[])).await;
    let (dave, _keep) = start(config(4, &[])).await;
    let of_bob = connect(&bob, &alice).await;
    let of_carol = connect(&carol, &alice).await;
    soon(ask(&of_carol, b"x")).await.expect("it fits");
    // The handshake succeeds before the limit is looked at, so the connection closes at once.
    let of_dave = connect(&dave, &alice).await;
    soon(of_dave.closed()).await;
    assert_eq!(alice.refused().connections, 1);
    soon(ask(&of_bob, b"x")).await.expect("who is there stays");
    of_bob.close();
    soon(of_bob.closed()).await;
    until(|| alice.connections().len() == 1).await;
    soon(ask(&connect(&dave, &alice).await, b"x")).await.expect("there is room again");
}

#[tokio::test]
async fn an_eighth_of_the_connections_is_for_own_dials() {
    let limits = Limits { connections: 8, ..Limits::default() };
    let (alice, _keep) = start(limited(1, &[MEMORY], limits)).await;
    let mut others = Vec::new();
    for seed in 10..17 {
        let other = start(config(seed, &[MEMORY])).await;
        connect(&other.0, &alice).await;
        others.push(other);
    }
    until(|| alice.connections().len() == 7).await;
    let (bob, _keep) = start(config(2, &[MEMORY])).await;
    soon(connect(&bob, &alice).await.closed()).await;
    assert_eq!(alice.refused().connections, 1);
    let (carol, _keep) = start(config(3, &[MEMORY])).await;
    connect(&alice, &carol).await;
    assert_eq!(alice.connections().len(), 8);
    let error = soon(alice.connect(bob.local_peer(), bob.listen_addresses())).await.unwrap_err();
    assert!(matches!(error, ConnectError::Limit), "{error:?}");
}

#[tokio::test]
async fn own_streams_of_a_connection_wait_at_their_bound() {
    for listen in [TCP, QUIC] {
        let room = Limits {
            inbound_streams_per_connection: 640,
            inbound_streams_per_second: 640,
            inbound_streams: 640,
            ..Limits::default()
        };
        let (alice, inbound) = start(limited(1, &[listen], room)).await;
        let (bob, _keep) = start(config(2, &[])).await;
        echo(inbound);
        let connection = connect(&bob, &alice).await;
        let mut held = Vec::new();
        for _ in 0..64 {
            held.push(soon(hold(&connection)).await.expect("it fits"));
        }
        let mut next = std::pin::pin!(hold(&connection));
        assert!(futures_util::poll!(&mut next).is_pending());
        for _ in 0..1000 {
            tokio::task::yield_now().await;
            assert!(futures_util::poll!(&mut next).is_pending());
        }
        held.pop();
        soon(next).await.expect("there is room again");
        assert!(connection.is_open());
    }
}

#[tokio::test]
async fn connections_of_one_peer() {
    for listen in [TCP, QUIC] {
        let limits = Limits { connections_per_peer: 2, ..Limits::default() };
        let (alice, inbound) = start(limited(1, &[listen], limits)).await;
        echo(inbound);
        // Three processes with the key of one peer.
        let (first, _keep) = start(config(2, &[])).await;
        let (second, _keep) = start(config(2, &[])).await;
        let (third, _keep) = start(config(2, &[])).await;
        let (other, _keep) = start(config(3, &[])).await;
        let of_other = connect(&other, &alice).await;
        let of_first = connect(&first, &alice).await;
        let used = soon(hold(&of_first)).await.expect("it fits");
        let of_second = connect(&second, &alice).await;
        let mut of_each = [of_first, of_second];
        for connection in &of_each {
            soon(ask(connection, b"x")).await.expect("it fits");
        }
        assert_eq!(alice.refused().replaced, 0);
        pass(PAUSE).await;
        // In place of the second one, which has no stream.
        of_each[1] = connect(&third, &alice).await;
        for connection in &of_each {
            soon(ask(connection, b"x")).await.expect("it stays");
        }
        soon(ask(&of_other, b"x")).await.expect("another peer stays");
        drop(used);
        let refused = alice.refused();
        assert_eq!((refused.connections, refused.replaced), (0, 1));
        assert_eq!(alice.connections().len(), 3);
    }
}

/// Carries connections to a port until it is cut: then nothing arrives any more, and nobody is told.
struct Line {
    port: u16,
    cut: tokio::sync::watch::Sender<bool>,
}

impl Line {
    async fn to(far: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cut, is_cut) = tokio::sync::watch::channel(false);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut is_cut = is_cut.clone();
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(("127.0.0.1", far)).await.unwrap();
                    let until_cut = async { drop(is_cut.wait_for(|is_cut| *is_cut).await) };
                    let is_cut = tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => false,
                        () = until_cut => true,
                    };
                    if is_cut {
                        // Both ends stay open until the test ends.
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        Self { port, cut }
    }
}

#[tokio::test]
async fn a_peer_whose_connections_have_died_silently_is_served() {
    let (alice, inbound) = start(config(1, &[TCP])).await;
    echo(inbound);
    let line = Line::to(port(&alice.listen_addresses()[0])).await;
    let most = Limits::default().connections_per_peer;
    let mut died = Vec::new();
    for _ in 0..most {
        let bob = start(config(2, &[])).await;
        let address = format!("/ip4/127.0.0.1/tcp/{}", line.port).parse().unwrap();
        let connection = soon(bob.0.connect(alice.local_peer(), vec![address])).await.unwrap();
        let stream = soon(hold(&connection)).await.expect("it fits");
        died.push((bob, connection, stream));
    }
    line.cut.send_replace(true);
    // They answer no pings any more.
    pass(Duration::from_secs(13)).await;
    let mut served = Vec::new();
    for _ in 0..most {
        let bob = start(config(2, &[])).await;
        let connection = connect(&bob.0, &alice).await;
        soon(ask(&connection, b"x")).await.expect("it is served");
        served.push((bob, connection));
    }
    let refused = alice.refused();
    assert_eq!((refused.connections, refused.replaced), (0, most as u64));
    for (_, connection) in &served {
        soon(ask(connection, b"x")).await.expect("only dead ones were replaced");
    }
}

#[tokio::test]
async fn own_dials_beyond_the_limit_fail_at_once() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let (bob, _keep) = start(limited(1, &[], limits)).await;
    let (alice, _keep) = start(config(2, &[TCP])).await;
    let (carol, _keep) = start(config(3, &[TCP])).await;
    connect(&bob, &alice).await;
    let error = soon(bob.connect(carol.local_peer(), carol.listen_addresses())).await.unwrap_err();
    assert!(matches!(error, ConnectError::Limit), "{error:?}");
}

#[tokio::test]
async fn handshakes_that_do_not_go_on() {
    let limits = Limits { pending_inbound: 2, ..Limits::default() };
    let (alice, _keep) = start(limited(1, &[TCP], limits)).await;
    let address = ("127.0.0.1", port(&alice.listen_addresses()[0]));
    let (mut first, mut second) =
        (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
    // Each gets the start of the negotiation, so both places are taken.
    soon(first.write_all(b"\x13/multistream/1.0.0\n")).await.unwrap();
    soon(second.write_all(b"\x13/multistream/1.0.0\n")).await.unwrap();
    soon(first.read_u8()).await.unwrap();
    soon(second.read_u8()).await.unwrap();
    let mut third = TcpStream::connect(address).await.unwrap();
    assert!(soon(third.read_u8()).await.is_err());
    assert_eq!(alice.refused().connections, 1);
    drop(first);
    let (bob, _keep) = start(config(2, &[])).await;
    soon(async { while bob.connect(alice.local_peer(), alice.listen_addresses()).await.is_err() {} }).await;
}

#[tokio::test]
async fn a_peer_that_opens_streams_and_is_silent_hurts_nobody_else() {
    let (alice, inbound) = start(config(1, &[TCP])).await;
    echo(inbound);
    let (mallory, _keep) = start(config(2, &[])).await;
    let (bob, _keep) = start(config(3, &[])).await;
    let of_mallory = connect(&mallory, &alice).await;
    let opened = futures_util::future::join_all((0..64).map(|_| of_mallory.open(ECHO)));
    let silent: Vec<_> = soon(opened).await.into_iter().flatten().collect();
    assert_eq!(silent.len(), 64);
    let of_bob = connect(&bob, &alice).await;
    for _ in 0..16 {
        soon(ask(&of_bob, b"x")).await.expect("it is served");
    }
    assert!(of_mallory.is_open());
    assert_eq!(alice.refused().streams, 64 - 16);
}

/// Writes until the peer has no room left that it would have to read for first; how many bytes fit.
async fn fill(stream: &mut Stream) -> usize {
    // The sender of QUIC waits for acknowledgements, too, so only silence for a while shows that the peer has no room.
    const SILENCE: std::time::Duration = std::time::Duration::from_secs(2);
    let block = [0; 16 * 1024];
    let mut written = 0;
    while let Ok(result) = tokio::time::timeout(SILENCE, stream.write(&block)).await {
        written += result.expect("the stream is open");
    }
    written
}

#[tokio::test]
async fn bytes_that_nobody_reads_over_quic() {
    // Negotiation and the protocols of the network itself.
    const OTHER_BYTES: usize = 64 * 1024;
    let (alice, _unread) = start(config(1, &[QUIC])).await;
    let (bob, _keep) = start(config(2, &[])).await;
    let connection = connect(&bob, &alice).await;
    let most = Limits::default().quic_window as usize;
    let mut streams = Vec::new();
    let mut total = 0;
    // Not one stream more: it could not negotiate.
    for number in 0..4 {
        let mut stream = soon(connection.open(ECHO)).await.expect("it fits");
        let written = fill(&mut stream).await;
        total += written;
        assert!(
            written <= most / 4 && (number > 2 || written > most / 4 - OTHER_BYTES),
            "{written} bytes of stream {number}"
        );
        streams.push(stream);
    }
    assert!(total <= most && total > most - OTHER_BYTES, "{total} bytes");
}
