//! Closes connections whose sender takes too long for the head of a request.
//!
//! The HTTP library has one limit for the head of a request, which also runs while a connection is idle. Clients need
//! idle connections to live for minutes, and nobody needs minutes to send a head; so the second limit is here, at the
//! socket: it runs from the first byte after an answer until the head is complete.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// Whether a request is being worked on. Shared between the socket and the service.
#[derive(Clone, Default)]
pub(super) struct Busy(Arc<AtomicBool>);

impl Busy {
    /// Says that the head of a request is complete. The connection is busy until the guard is dropped.
    pub(super) fn begin(&self) -> BusyGuard {
        self.0.store(true, Ordering::Release);
        BusyGuard(self.clone())
    }
}

/// Ends with the answer.
pub(super) struct BusyGuard(Busy);

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

/// A socket that loses patience.
pub(super) struct Impatient {
    stream: TcpStream,
    busy: Busy,
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Impatient {
    /// Gives the sender `limit` for each head.
    pub(super) fn new(stream: TcpStream, busy: Busy, limit: Duration) -> Self {
        Self { stream, busy, limit, timer: None }
    }
}

impl AsyncRead for Impatient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if this.busy.0.load(Ordering::Acquire) {
            this.timer = None;
        } else if buf.filled().len() > before && this.timer.is_none() {
            this.timer = Some(Box::pin(tokio::time::sleep_until(Instant::now() + this.limit)));
        }
        if read.is_pending()
            && let Some(timer) = &mut this.timer
            && timer.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
