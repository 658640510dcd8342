//! Closes a connection whose last request was not read to its end, so that its client still gets the answer (RFC 9112,
//! section 9.6).
//!
//! A socket that is closed with unread bytes resets the connection, and clients that still write see the reset instead of the
//! answer. So only the sending half is closed at first, and what still comes is thrown away until the client closes its half.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Longest time for the client to see the answer and close.
const LINGER: Duration = Duration::from_secs(5);
/// Bytes that are thrown away at a time.
const PIECE: usize = 8 * 1024;

/// Whether something of the last request was left unread. Shared between the socket and the service.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unread(Arc<AtomicBool>);

impl Unread {
    /// Says so.
    pub(crate) fn set(&self, is_unread: bool) {
        self.0.store(is_unread, Ordering::Release);
    }
}

/// A socket that is closed this way.
#[derive(Debug)]
pub(crate) struct LingeringSocket<Io> {
    io: Io,
    unread: Unread,
    /// Runs from the end of the sending half.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<Io> LingeringSocket<Io> {
    pub(crate) fn new(io: Io, unread: Unread) -> Self {
        Self { io, unread, timer: None }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for LingeringSocket<Io> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> AsyncWrite for LingeringSocket<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.timer.is_none() {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
        }
        if !this.unread.0.load(Ordering::Acquire) {
            return Poll::Ready(Ok(()));
        }
        let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        let mut piece = [0; PIECE];
        while timer.as_mut().poll(cx).is_pending() {
            let mut piece = ReadBuf::new(&mut piece);
            let read = ready!(Pin::new(&mut this.io).poll_read(cx, &mut piece));
            if read.is_err() || piece.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::time::Instant;

    use super::*;

    fn socket(is_unread: bool) -> (LingeringSocket<DuplexStream>, DuplexStream) {
        let (ours, theirs) = duplex(1024);
        let unread = Unread::default();
        unread.set(is_unread);
        (LingeringSocket::new(ours, unread), theirs)
    }

    #[tokio::test]
    async fn a_connection_with_nothing_unread_is_closed_at_once() {
        let (mut socket, _client) = socket(false);
        assert!(socket.shutdown().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_writes_on_until_it_has_read_the_answer() {
        let (mut socket, mut client) = socket(true);
        socket.write_all(b"answer").await.unwrap();
        let closing = tokio::spawn(async move { socket.shutdown().await });
        // More than the connection holds.
        client.write_all(&[0; 100_000]).await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"answer");
        assert!(!closing.is_finished());
        let began = Instant::now();
        drop(client);
        closing.await.unwrap().unwrap();
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_close_is_given_up() {
        let (mut socket, mut client) = socket(true);
        let began = Instant::now();
        let writing = async {
            while client.write_all(&[0; PIECE]).await.is_ok() {
                tokio::time::sleep(LINGER / 10).await;
            }
        };
        let closing = async {
            socket.shutdown().await.unwrap();
            drop(socket);
        };
        tokio::join!(writing, async { tokio::time::timeout(2 * LINGER, closing).await.unwrap() });
        assert!(began.elapsed() >= LINGER);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_given_up_too() {
        let (mut socket, _client) = socket(true);
        let began = Instant::now();
        socket.shutdown().await.unwrap();
        assert!(began.elapsed() >= LINGER);
    }
}
