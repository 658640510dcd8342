//! Yamux over an encrypted connection. The same as libp2p's own upgrade, which offers neither a bound of the windows nor the length of
//! frames.

use std::collections::VecDeque;
use std::io;
use std::iter;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use futures_util::future::{Ready, ready as at_once};
use futures_util::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use yamux::{Config, Connection, ConnectionError, DEFAULT_CREDIT, Mode, Stream};

/// Bytes by which the receive windows of all streams of a connection together may grow beyond the 256 KiB that each has. It
/// costs that much memory where the application is slower than the line. Half of a window is given anew at a time, so one stream
/// carries some half of it in each round trip: 186 MB/s were measured over one of 60 ms, and 112 MB/s with half of this. More does not fit:
/// a receiver over such a line takes 45 to 56 MiB with it, of the 64 MiB that it may take.
pub(crate) const WINDOW_GROWTH: usize = 32 * 1024 * 1024;

/// Bytes of a frame that is sent. With its header it is one message, so each takes one system call and one wake-up.
const FRAME_LENGTH: usize = MESSAGE_LENGTH - FRAME_HEADER;

/// Bytes that are encrypted and sent at once: what libp2p puts into one message of Noise. Four records of TLS have them.
pub(crate) const MESSAGE_LENGTH: usize = 65_535 - 1024;

/// Length of the header of a frame.
const FRAME_HEADER: usize = 12;

/// Inbound streams that wait until they are taken; more are reset. A peer opens no more before they are acknowledged.
const WAITING_STREAMS: usize = 256;

/// Upgrades connections.
#[derive(Clone, Debug)]
pub(crate) struct Multiplexing(Config);

impl Multiplexing {
    /// A connection with more streams than this is ended.
    pub(crate) fn new(streams: usize) -> Self {
        let mut config = Config::default();
        // In this order: each of them checks that every stream has the least window.
        config.set_max_connection_receive_window(None).set_max_num_streams(streams);
        config.set_max_connection_receive_window(Some(streams * DEFAULT_CREDIT as usize + WINDOW_GROWTH));
        config.set_split_send_size(FRAME_LENGTH);
        Self(config)
    }

    fn begin<C: AsyncRead + AsyncWrite + Unpin>(self, connection: C, mode: Mode) -> Multiplexed<C> {
        let connection = Connection::new(connection, self.0, mode);
        Multiplexed { connection, waiting: VecDeque::new(), taker: None }
    }
}

impl UpgradeInfo for Multiplexing {
    type Info = &'static str;
    type InfoIter = iter::Once<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        iter::once("/yamux/1.0.0")
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> InboundConnectionUpgrade<C> for Multiplexing {
    type Output = Multiplexed<C>;
    type Error = io::Error;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_inbound(self, connection: C, _: Self::Info) -> Self::Future {
        at_once(Ok(self.begin(connection, Mode::Server)))
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> OutboundConnectionUpgrade<C> for Multiplexing {
    type Output = Multiplexed<C>;
    type Error = io::Error;
    type Future = Ready<Result<Self::Output, Self::Error>>;

    fn upgrade_outbound(self, connection: C, _: Self::Info) -> Self::Future {
        at_once(Ok(self.begin(connection, Mode::Client)))
    }
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
    use std::time::Duration;

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
        const STREAMS: usize = 8;
        const MOST: usize = DEFAULT_CREDIT as usize + WINDOW_GROWTH;
        let (near, far) = tokio::io::duplex(PIPE);
        let mut receiver = Multiplexing::new(STREAMS).begin(near.compat(), Mode::Server);
        let mut sender = Multiplexing::new(STREAMS).begin(far.compat(), Mode::Client);
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
            for _ in 0..2 * MOST / PIPE {
                read += incoming.read(&mut block).await.unwrap();
            }
            let unread = settled(&written).await - read;
            assert!(unread <= MOST, "{unread} bytes");
            // Half of the window is given anew at a time.
            rounds_with_it += usize::from(unread > MOST / 2 - PIPE);
            if rounds_with_it == 4 {
                return;
            }
        }
        panic!("the window did not grow in {ROUNDS} rounds");
    }
}
