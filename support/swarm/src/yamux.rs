//! Yamux over an encrypted connection. The same as libp2p's own upgrade, which offers neither a bound of the windows nor the length of
//! frames.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures_util::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use yamux::{Config, Connection, ConnectionError, DEFAULT_CREDIT, Mode, Stream};

/// Bytes by which the receive windows of all streams of a connection together may grow beyond the 256 KiB that each has, where the handshake was
/// slow. It costs that much memory where the application is slower than the line. More does not fit: over a round trip of 60 ms a receiver of 1 GiB
/// takes 65 MiB with 24 MiB, and 71 with 32, where it may take 64.
pub(crate) const WINDOW_GROWTH: usize = 20 * 1024 * 1024;

/// The same where the handshake was fast.
const LEAST_GROWTH: usize = 8 * 1024 * 1024;

/// Bytes per second that a stream is to carry. Half of a window is given anew at a time, so a stream carries some half of it in each round trip; a
/// handshake of TLS has two of them, one of Noise has one.
const RATE: u64 = 512 * 1024 * 1024;

/// Bytes of a frame that is sent. With its header it is one message, so each takes one system call and one wake-up.
const FRAME_LENGTH: usize = MESSAGE_LENGTH - FRAME_HEADER;

/// Bytes that are encrypted and sent at once: what libp2p puts into one message of Noise. Four records of TLS have them.
pub(crate) const MESSAGE_LENGTH: usize = 65_535 - 1024;

/// Length of the header of a frame.
const FRAME_HEADER: usize = 12;

/// Inbound streams that wait until they are taken; more are reset. A peer opens no more before they are acknowledged.
const WAITING_STREAMS: usize = 256;

/// The protocol.
pub(crate) const PROTOCOL: &str = "/yamux/1.0.0";

/// Multiplexes connections.
#[derive(Clone, Debug)]
pub(crate) struct Multiplexing {
    streams: usize,
}

impl Multiplexing {
    /// A connection with more streams than this is ended.
    pub(crate) fn new(streams: usize) -> Self {
        Self { streams }
    }

    /// The side of who dialled, after a handshake that took so long.
    pub(crate) fn dialer<C>(&self, connection: C, handshake: Duration) -> Multiplexed<C>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        self.begin(connection, Mode::Client, handshake)
    }

    /// The side of who listened, after a handshake that took so long.
    pub(crate) fn listener<C>(&self, connection: C, handshake: Duration) -> Multiplexed<C>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        self.begin(connection, Mode::Server, handshake)
    }

    fn begin<C: AsyncRead + AsyncWrite + Unpin>(
        &self,
        connection: C,
        mode: Mode,
        handshake: Duration,
    ) -> Multiplexed<C> {
        let mut config = Config::default();
        let windows = self.streams * DEFAULT_CREDIT as usize + window_growth(handshake);
        // In this order: each of them checks that every stream has the least window.
        config.set_max_connection_receive_window(None).set_max_num_streams(self.streams);
        config.set_max_connection_receive_window(Some(windows));
        config.set_split_send_size(FRAME_LENGTH);
        let connection = Connection::new(connection, config, mode);
        Multiplexed { connection, waiting: VecDeque::new(), taker: None }
    }
}

/// Bytes by which windows may grow after a handshake that took so long.
fn window_growth(handshake: Duration) -> usize {
    let wanted = u128::from(RATE) * handshake.as_micros() / 1_000_000;
    usize::try_from(wanted).unwrap_or(usize::MAX).clamp(LEAST_GROWTH, WINDOW_GROWTH)
}

/// A connection with streams.
#[derive(Debug)]
pub(crate) struct Multiplexed<C> {
    connection: Connection<C>,
    /// yamux only makes progress while it is asked for inbound streams, so some come before anybody takes them.
    waiting: VecDeque<Stream>,
    /// Who takes them.
    taker: Option<Waker>,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Multiplexed<C> {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let next = ready!(self.connection.poll_next_inbound(context));
        Poll::Ready(next.unwrap_or(Err(ConnectionError::Closed)).map_err(io_error))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Multiplexed<C> {
    type Substream = Stream;
    type Error = io::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        if let Some(stream) = self.waiting.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        let next = self.poll_next(context);
        if next.is_pending() {
            self.taker = Some(context.waker().clone());
        }
        next
    }

    fn poll_outbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        self.connection.poll_new_outbound(context).map_err(io_error)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_close(context).map_err(io_error)
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        let stream = ready!(self.poll_next(context))?;
        if self.waiting.len() < WAITING_STREAMS {
            self.waiting.push_back(stream);
            if let Some(taker) = self.taker.take() {
                taker.wake();
            }
        }
        // There may be more, after others had their turn.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

fn io_error(error: ConnectionError) -> io::Error {
    match error {
        ConnectionError::Io(error) => error,
        error => io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::io::DuplexStream;
    use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

    use super::*;

    /// Length of the pipe between both ends.
    const PIPE: usize = 64 * 1024;

    /// What the receiver takes for the round trip: enough for any machine to move a window in twice the time.
    const ROUND_TRIP: Duration = Duration::from_millis(300);

    /// Rounds in which the window has to have grown to its bound. It takes a few.
    const ROUNDS: usize = 1000;

    type Muxer = Multiplexed<Compat<DuplexStream>>;

    async fn drive(mut muxer: Muxer) {
        let _ = poll_fn(|context| Pin::new(&mut muxer).poll(context)).await;
    }

    async fn settled(counter: &AtomicUsize) -> usize {
        let (mut last, mut same) = (counter.load(Ordering::Relaxed), 0);
        while same < 64 {
            tokio::task::yield_now().await;
            let now = counter.load(Ordering::Relaxed);
            same = if now == last { same + 1 } else { 0 };
            last = now;
        }
        last
    }

    #[tokio::test]
    async fn a_stream_that_was_read_fast_buffers_no_more_than_the_bound() {
        for (handshake, growth) in [(Duration::MAX, WINDOW_GROWTH), (Duration::ZERO, LEAST_GROWTH)] {
            assert_bound(handshake, growth).await;
        }
    }

    #[test]
    fn the_slower_a_handshake_was_the_more_a_window_grows_within_its_bounds() {
        let grown = [0, 15, 16, 30, 39, 40, 60_000].map(|millis| window_growth(Duration::from_millis(millis)) >> 20);
        assert_eq!(grown, [8, 8, 8, 15, 19, 20, 20]);
    }

    async fn assert_bound(handshake: Duration, growth: usize) {
        const STREAMS: usize = 8;
        let most: usize = DEFAULT_CREDIT as usize + growth;
        let (near, far) = tokio::io::duplex(PIPE);
        let mut receiver = Multiplexing::new(STREAMS).listener(near.compat(), handshake);
        let mut sender = Multiplexing::new(STREAMS).dialer(far.compat(), handshake);
        // The receiver asks for the round trip with its first action. yamux reads the clock of the system, so this time has to pass.
        assert!(futures_util::poll!(poll_fn(|context| Pin::new(&mut receiver).poll_inbound(context))).is_pending());
        std::thread::sleep(ROUND_TRIP);
        let mut outgoing = poll_fn(|context| Pin::new(&mut sender).poll_outbound(context)).await.unwrap();
        tokio::spawn(drive(sender));
        let written = Arc::new(AtomicUsize::new(0));
        let counter = written.clone();
        tokio::spawn(async move {
            let block = vec![0; PIPE];
            while let Ok(length) = outgoing.write(&block).await {
                counter.fetch_add(length, Ordering::Relaxed);
            }
        });
        let mut incoming = poll_fn(|context| Pin::new(&mut receiver).poll_inbound(context)).await.unwrap();
        tokio::spawn(drive(receiver));
        let (mut read, mut block, mut rounds_with_it) = (0, vec![0; PIPE], 0);
        // Without the bound the window would go on to double.
        for _ in 0..ROUNDS {
            for _ in 0..2 * most / PIPE {
                read += incoming.read(&mut block).await.unwrap();
            }
            let unread = settled(&written).await - read;
            assert!(unread <= most, "{unread} bytes");
            // Half of the window is given anew at a time.
            rounds_with_it += usize::from(unread > most / 2 - PIPE);
            if rounds_with_it == 4 {
                return;
            }
        }
        panic!("the window did not grow in {ROUNDS} rounds");
    }
}
