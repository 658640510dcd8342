//! Closes connections whose peer takes too long for the head of a request, or stops reading its answer.
//!
//! The HTTP library has one limit for the head of a request, which also runs while a connection is idle. Clients need
//! idle connections to live for minutes, and nobody needs minutes to send a head; so the second limit is here, at the
//! socket: it runs from the first byte after an answer until the head is complete. Nor does the library limit how long a
//! write may wait for a peer that does not read; connections are counted, so that limit is here too.

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
#[derive(Debug, Clone, Default)]
pub(crate) struct Busy(Arc<AtomicBool>);

impl Busy {
    /// Says that the head of a request is complete. The connection is busy until the guard is dropped.
    pub(crate) fn begin(&self) -> BusyGuard {
        self.0.store(true, Ordering::Release);
        BusyGuard(self.clone())
    }
}

/// Ends with the last byte of the answer.
#[derive(Debug)]
pub(crate) struct BusyGuard(Busy);

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

/// A socket with these time-outs.
#[derive(Debug)]
pub(crate) struct TimedSocket {
    stream: TcpStream,
    busy: Busy,
    head: Timeout,
    stall: Timeout,
}

impl TimedSocket {
    /// Gives the peer `head` to send each head, and `stall` to take some of what is written.
    pub(crate) fn new(stream: TcpStream, busy: Busy, head: Duration, stall: Duration) -> Self {
        Self { stream, busy, head: Timeout::new(head), stall: Timeout::new(stall) }
    }

    /// Fails a write that has been waiting for too long.
    fn unless_stalled<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall.end();
            return written;
        }
        self.stall.begin();
        if self.stall.is_over(context) { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { written }
    }
}

/// A limit that runs from `begin` to `end`.
#[derive(Debug)]
struct Timeout {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Timeout {
    fn new(limit: Duration) -> Self {
        Self { limit, timer: None }
    }

    /// Goes on if it runs already.
    fn begin(&mut self) {
        self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + self.limit)));
    }

    fn end(&mut self) {
        self.timer = None;
    }

    /// Whether it ran out; if not, the task is woken when it does.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(context).is_ready())
    }
}

impl AsyncRead for TimedSocket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if this.busy.0.load(Ordering::Acquire) {
            this.head.end();
        } else if buf.filled().len() > before {
            this.head.begin();
        }
        if read.is_pending() && this.head.is_over(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for TimedSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.unless_stalled(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.unless_stalled(written, cx)
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_stops_reading_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _silent = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let limit = Duration::from_secs(60);
        let mut stream = TimedSocket::new(stream, Busy::default(), limit, limit);
        let started = Instant::now();
        let error = stream.write_all(&vec![0; 64 * 1024 * 1024]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() >= limit);
    }
}
