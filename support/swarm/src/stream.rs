//! A stream on a connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt as _};

use crate::streams::hosts::HostPlace;

/// A stream of bytes in both directions.
///
/// `shutdown` closes the direction to the peer, which then reads the end of the stream. A stream that is dropped before is reset: the peer's
/// reads and writes fail over TCP. QUIC in libp2p cannot reset the direction to the peer, so there the peer can read the end of the stream
/// as if it had been closed. Protocols must therefore know how much they expect.
///
/// Flow control stops who writes without reading: read and write at the same time, and give each operation a time.
#[derive(Debug)]
pub struct Stream {
    io: Compat<libp2p::Stream>,
    traffic: Counted,
    _place: Place,
}

/// The place of a stream among those that may be open.
#[derive(Debug)]
pub(crate) struct Place {
    /// Among those of its direction on its connection.
    pub(crate) _of_connection: OwnedSemaphorePermit,
    /// An inbound stream: among those of its host.
    pub(crate) _of_host: Option<HostPlace>,
    /// An inbound stream: among those of all connections.
    pub(crate) _of_all: Option<OwnedSemaphorePermit>,
}

impl Stream {
    pub(crate) fn new(io: libp2p::Stream, traffic: Arc<Traffic>, place: Place) -> Self {
        Self { io: io.compat(), traffic: Counted::new(traffic), _place: place }
    }

    /// Ends the stream in both directions without waiting for what was written.
    pub fn reset(self) {
        drop(self);
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.io).poll_read(cx, buf);
        self.traffic.0.add_received(buf.filled().len() - before);
        result
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = &result {
            self.traffic.0.add_sent(*written);
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Counts a stream among those that its connection has open.
#[derive(Debug)]
struct Counted(Arc<Traffic>);

impl Counted {
    fn new(traffic: Arc<Traffic>) -> Self {
        traffic.open.fetch_add(1, Ordering::Relaxed);
        Self(traffic)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes that the streams of a connection carried, and when; and when its peer last answered.
#[derive(Debug)]
pub(crate) struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
    begun: Instant,
    /// Milliseconds between `begun` and the last byte.
    last: AtomicU64,
    /// The same for the last answer to a ping.
    answered: AtomicU64,
    /// Streams that are open.
    open: AtomicUsize,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            received: AtomicU64::default(),
            sent: AtomicU64::default(),
            begun: Instant::now(),
            last: AtomicU64::default(),
            answered: AtomicU64::default(),
            open: AtomicUsize::default(),
        }
    }
}

impl Traffic {
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// When the last byte moved, or the connection began.
    pub(crate) fn idle_since(&self) -> Instant {
        self.begun + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    /// When the last byte moved or the last ping was answered, or the connection began.
    pub(crate) fn alive_at(&self) -> Instant {
        self.idle_since().max(self.begun + Duration::from_millis(self.answered.load(Ordering::Relaxed)))
    }

    /// Streams that are open, in both directions.
    pub(crate) fn open_streams(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// A ping was answered.
    pub(crate) fn add_answer(&self) {
        self.answered.store(self.since_begun(), Ordering::Relaxed);
    }

    pub(crate) fn add_received(&self, bytes: usize) {
        self.add(&self.received, bytes);
    }

    pub(crate) fn add_sent(&self, bytes: usize) {
        self.add(&self.sent, bytes);
    }

    fn add(&self, counter: &AtomicU64, bytes: usize) {
        if bytes > 0 {
            counter.fetch_add(bytes as u64, Ordering::Relaxed);
            self.last.store(self.since_begun(), Ordering::Relaxed);
        }
    }

    /// Milliseconds.
    fn since_begun(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
