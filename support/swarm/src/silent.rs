//! Connections whose path is cut without anybody being told, in paused time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::{AsyncRead, AsyncWrite};
use libp2p::core::Transport as _;
use libp2p::core::transport::MemoryTransport;
use libp2p::ping;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Duration, Instant};

use crate::closing::CLOSE_TIME;
use crate::connection::{CHECK_TIME, OUTGOING_STREAMS, PATIENT_CHECK_TIME};
use crate::transport::{self, Carrier};
use crate::{AddressPolicy, Config, Connection, Event, Inbound, Limits, Network, Seed, Transports};

const PROTOCOL: &str = "/test/silent/1";

/// While it is set, nothing arrives any more, and nothing that is sent fails.
#[derive(Clone, Default)]
struct Cut {
    is_set: Arc<AtomicBool>,
    /// Whether the system takes no more of what is sent then.
    is_full: bool,
}

struct Line<T> {
    io: T,
    cut: Cut,
}

impl Cut {
    fn is_set(&self) -> bool {
        self.is_set.load(Ordering::SeqCst)
    }

    fn set(&self) {
        self.is_set.store(true, Ordering::SeqCst);
    }

    /// What comes of something that is sent.
    fn sent<T>(&self, taken: T) -> Poll<io::Result<T>> {
        if self.is_full { Poll::Pending } else { Poll::Ready(Ok(taken)) }
    }

    fn carrier(&self, config: &Config) -> Carrier {
        let cut = self.clone();
        let lines = MemoryTransport::default().map(move |io, _| Line { io, cut: cut.clone() });
        transport::secured(lines, &config.seed.keypair().unwrap(), config).unwrap()
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Line<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.cut.is_set() { Poll::Pending } else { Pin::new(&mut self.io).poll_read(cx, bytes) }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Line<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.cut.is_set() { self.cut.sent(bytes.len()) } else { Pin::new(&mut self.io).poll_write(cx, bytes) }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.cut.is_set() { self.cut.sent(()) } else { Pin::new(&mut self.io).poll_flush(cx) }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.cut.is_set() { self.cut.sent(()) } else { Pin::new(&mut self.io).poll_close(cx) }
    }
}

fn config(seed: u8, listen: &str) -> Config {
    Config {
        listen: vec![listen.parse().unwrap()],
        accept: vec![PROTOCOL],
        addresses: AddressPolicy { loopback: true, ..AddressPolicy::default() },
        transports: Transports { memory: true, ..Transports::default() },
        limits: Limits { inbound_streams_per_connection: OUTGOING_STREAMS, ..Limits::default() },
        ..Config::new(Seed::new([seed; 32]))
    }
}

/// Two networks and the connection of the second one to the first.
struct Pair {
    listener: Network,
    dialer: Network,
    connection: Connection,
    inbound: [Inbound; 2],
}

impl Pair {
    async fn over(cut: &Cut) -> Self {
        let configs = [config(1, "/memory/0"), config(2, "/memory/0")];
        let [listener, dialer] = configs.map(|config| {
            let carrier = cut.carrier(&config);
            Network::start_with(config, carrier)
        });
        Self::of(listener.await.unwrap(), dialer.await.unwrap()).await
    }

    async fn of((listener, accepted): (Network, Inbound), (dialer, unused): (Network, Inbound)) -> Self {
        let connection = dialer.connect(listener.local_peer(), listener.listen_addresses()).await.unwrap();
        Self { listener, dialer, connection, inbound: [accepted, unused] }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_sign_of_life_is_closed_after_its_time() {
    let cut = Cut::default();
    let pair = Pair::over(&cut).await;
    cut.set();
    let begin = Instant::now();
    let (first, second) = tokio::join!(pair.connection.check(), pair.connection.check());
    assert_eq!((first, second, begin.elapsed()), (false, false, CHECK_TIME), "both learn it from one check");
    assert!(!pair.connection.is_open() && pair.dialer.connections().is_empty());
    pair.connection.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_answers_no_ping_is_checked() {
    let cut = Cut::default();
    let pair = Pair::over(&cut).await;
    let (peer, connection) = (pair.connection.peer(), pair.connection.id());
    let unanswered = |failure| pair.dialer.state().pinged(&ping::Event { peer, connection, result: Err(failure) });
    unanswered(ping::Failure::Timeout);
    tokio::time::sleep(2 * PATIENT_CHECK_TIME).await;
    assert!(pair.connection.is_open(), "it answers now");
    cut.set();
    unanswered(ping::Failure::Unsupported);
    tokio::time::sleep(2 * PATIENT_CHECK_TIME).await;
    assert!(pair.connection.is_open(), "it answers no pings at all");
    // libp2p says so if even the stream for the ping was not answered.
    unanswered(ping::Failure::Other { error: io::Error::from(io::ErrorKind::TimedOut).into() });
    pair.connection.closed().await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_a_ping_is_a_sign_of_life_and_no_use() {
    let pair = Pair::over(&Cut::default()).await;
    let (peer, connection) = (pair.connection.peer(), pair.connection.id());
    let idle_since = pair.connection.idle_since();
    tokio::time::advance(Duration::from_secs(5)).await;
    pair.dialer.state().pinged(&ping::Event { peer, connection, result: Ok(Duration::from_millis(7)) });
    assert!(pair.connection.alive_at() >= idle_since + Duration::from_secs(5));
    assert_eq!(pair.connection.latency(), Some(Duration::from_millis(7)));
    assert!(pair.connection.idle_since() == idle_since && !pair.connection.is_used());
    let stream = pair.connection.open(PROTOCOL).await.unwrap();
    assert!(pair.connection.is_used());
    drop(stream);
    assert!(!pair.connection.is_used());
    let kept = pair.connection.keep_alive();
    assert!(pair.connection.is_used());
    drop(kept);
    drop(pair.inbound);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_takes_nothing_any_more_is_closed_in_time() {
    let cut = Cut { is_full: true, ..Cut::default() };
    let pair = Pair::over(&cut).await;
    let mut events = pair.dialer.subscribe();
    cut.set();
    pair.connection.close();
    let begin = Instant::now();
    while !matches!(events.recv().await.unwrap(), Event::Disconnected { .. }) {}
    assert_eq!(begin.elapsed(), CLOSE_TIME);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_takes_what_is_written_is_alive() {
    let cut = Cut::default();
    let pair = Pair::over(&cut).await;
    let mut stream = pair.connection.open(PROTOCOL).await.unwrap();
    cut.set();
    let writing = async {
        tokio::time::sleep(CHECK_TIME / 2).await;
        stream.write_all(b"an upload that the question waits behind").await.unwrap();
    };
    let (is_open, ()) = tokio::join!(pair.connection.check(), writing);
    assert!(is_open && pair.connection.is_open());
    assert!(!pair.connection.check().await, "nothing is written any more");
    drop(pair.inbound);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_serves_nothing_and_has_no_place_left_still_answers() {
    let pair = Pair::over(&Cut::default()).await;
    let mut open = Vec::new();
    for _ in 0..OUTGOING_STREAMS {
        open.push(pair.connection.open(PROTOCOL).await.unwrap());
    }
    let begin = Instant::now();
    for _ in 0..100 {
        assert!(pair.connection.check().await);
    }
    assert!(begin.elapsed() < Duration::from_millis(1), "no time passes: {:?}", begin.elapsed());
    assert_eq!(pair.listener.refused().streams, 0, "a check takes no place of streams");
    open[0].write_all(b"still there").await.unwrap();
    drop(pair.inbound);
}

#[tokio::test(start_paused = true)]
async fn when_an_address_is_gone_connections_that_may_be_from_it_are_checked() {
    let (gone, cut) = ("192.0.2.1".parse().unwrap(), Cut::default());
    let pair = Pair::over(&cut).await;
    pair.dialer.state().registry.leave(gone);
    tokio::time::sleep(2 * PATIENT_CHECK_TIME).await;
    assert!(pair.connection.is_open());
    cut.set();
    pair.dialer.state().registry.leave(gone);
    pair.connection.closed().await;
}

#[tokio::test]
async fn connections_from_an_address_that_is_gone_are_closed() {
    let configs = [config(1, "/ip4/127.0.0.1/tcp/0"), config(2, "/ip4/127.0.0.1/tcp/0")];
    let [listener, dialer] = configs.map(Network::start);
    let pair = Pair::of(listener.await.unwrap(), dialer.await.unwrap()).await;
    let mut events = pair.listener.subscribe();
    while pair.listener.connections().is_empty() {
        events.recv().await.unwrap();
    }
    pair.listener.state().registry.leave("127.0.0.2".parse().unwrap());
    let stream = pair.connection.open(PROTOCOL).await;
    assert!(stream.is_ok() && pair.listener.connections().len() == 1, "it is another address");
    pair.listener.state().registry.leave("127.0.0.1".parse().unwrap());
    pair.connection.closed().await;
}
