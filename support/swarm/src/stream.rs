//! A stream on a connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
    traffic: Arc<Traffic>,
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
        Self { io: io.compat(), traffic, _place: place }
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
        self.traffic.add_received(buf.filled().len() - before);
        result
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = &result {
            self.traffic.add_sent(*written);
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

/// Bytes that the streams of a connection carried, and when.
#[derive(Debug)]
pub(crate) struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
    begun: Instant,
    /// Milliseconds between `begun` and the last byte.
    last: AtomicU64,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            received: AtomicU64::default(),
            sent: AtomicU64::default(),
            begun: Instant::now(),
            last: AtomicU64::default(),
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

    pub(crate) fn add_received(&self, bytes: usize) {
        self.add(&self.received, bytes);
    }

    pub(crate) fn add_sent(&self, bytes: usize) {
        self.add(&self.sent, bytes);
    }

    fn add(&self, counter: &AtomicU64, bytes: usize) {
        if bytes > 0 {
            counter.fetch_add(bytes as u64, Ordering::Relaxed);
            let since = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.last.store(since, Ordering::Relaxed);
        }
    }
}
