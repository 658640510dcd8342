//! Writes that are gathered, so that a header and what follows it leave in one record of TLS and one system call.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{AsyncRead, AsyncWrite};

use crate::yamux::MESSAGE_LENGTH;

/// Bytes below which a flushed connection counts as one on which little is written.
const LITTLE: usize = MESSAGE_LENGTH / 4;

/// A connection that keeps what is written until it fills a message or is flushed. One on which little is written keeps no buffer.
#[derive(Debug)]
pub(crate) struct Gathered<C> {
    connection: C,
    /// At most [`MESSAGE_LENGTH`] bytes.
    buffer: Vec<u8>,
    /// The bytes of the buffer that the connection has taken.
    taken: usize,
}

impl<C> Gathered<C> {
    pub(crate) fn new(connection: C) -> Self {
        Self { connection, buffer: Vec::new(), taken: 0 }
    }

    /// The connection below.
    #[cfg(test)]
    pub(crate) fn get_ref(&self) -> &C {
        &self.connection
    }
}

impl<C: AsyncWrite + Unpin> Gathered<C> {
    fn poll_empty(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.buffer.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while self.taken < self.buffer.len() {
            let rest = &self.buffer[self.taken..];
            match ready!(Pin::new(&mut self.connection).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                taken => self.taken += taken,
            }
        }
        if self.buffer.len() < LITTLE {
            self.buffer = Vec::new();
        }
        self.buffer.clear();
        self.taken = 0;
        Poll::Ready(Ok(()))
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Gathered<C> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_read(context, out)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Gathered<C> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.buffer.len() == MESSAGE_LENGTH || self.taken > 0 {
            ready!(self.poll_empty(context))?;
        }
        let length = bytes.len().min(MESSAGE_LENGTH - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..length]);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_empty(context))?;
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_empty(context))?;
        Pin::new(&mut self.connection).poll_close(context)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::AsyncWriteExt as _;

    use super::*;

    /// Takes at most some bytes at a time, and counts the calls.
    #[derive(Default)]
    struct Line {
        most: usize,
        calls: usize,
        bytes: Vec<u8>,
    }

    impl AsyncWrite for Line {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let length = bytes.len().min(self.most);
            self.calls += 1;
            self.bytes.extend_from_slice(&bytes[..length]);
            Poll::Ready(Ok(length))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn gathered(most: usize) -> Gathered<Line> {
        Gathered::new(Line { most, ..Line::default() })
    }

    #[tokio::test]
    async fn a_header_and_its_body_are_one_write_and_the_buffer_is_bounded() {
        let mut writing = gathered(usize::MAX);
        for _ in 0..3 {
            writing.write_all(&[1; 12]).await.unwrap();
            writing.write_all(&[2; MESSAGE_LENGTH - 12]).await.unwrap();
            assert_eq!(writing.buffer.len(), MESSAGE_LENGTH);
            writing.flush().await.unwrap();
        }
        assert_eq!(writing.connection.calls, 3);
        writing.write_all(&vec![3; 2 * MESSAGE_LENGTH + 1]).await.unwrap();
        assert_eq!(writing.buffer.len(), 1);
        assert_eq!(writing.connection.calls, 5);
        writing.close().await.unwrap();
        assert_eq!(writing.connection.bytes.len(), 5 * MESSAGE_LENGTH + 1);
    }

    #[tokio::test]
    async fn all_bytes_go_on_in_order_however_few_are_taken_at_a_time() {
        let bytes: Vec<u8> = (0..3 * MESSAGE_LENGTH).map(|place| (place / 251) as u8).collect();
        let mut writing = gathered(1000);
        for piece in bytes.chunks(7000) {
            writing.write_all(piece).await.unwrap();
        }
        writing.flush().await.unwrap();
        assert!(writing.connection.bytes == bytes);
        let closed = gathered(0).write_all(&vec![0; MESSAGE_LENGTH + 1]).await.unwrap_err();
        assert_eq!(closed.kind(), io::ErrorKind::WriteZero);
    }

    #[tokio::test]
    async fn a_connection_on_which_little_is_written_keeps_no_buffer() {
        let mut writing = gathered(usize::MAX);
        writing.write_all(&[0; MESSAGE_LENGTH]).await.unwrap();
        for _ in 0..2 {
            writing.flush().await.unwrap();
            assert!(writing.buffer.is_empty() && writing.buffer.capacity() >= MESSAGE_LENGTH);
        }
        writing.write_all(&[0; LITTLE - 1]).await.unwrap();
        writing.flush().await.unwrap();
        assert_eq!(writing.buffer.capacity(), 0);
    }
}
