//! A stream on a connection.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
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
        self.traffic.received.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        result
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(cx, buf);
        if let Poll::Ready(Ok(written)) = &result {
            self.traffic.sent.fetch_add(*written as u64, Ordering::Relaxed);
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

/// Bytes that the streams of a connection carried.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
}
