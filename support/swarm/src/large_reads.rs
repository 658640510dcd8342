//! Reads from a connection in large pieces. What decrypts Noise asks for 8 KiB at a time, and TLS for 4 KiB, a system call each.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{AsyncRead, AsyncWrite};

/// Bytes that are read at once from a connection on which much arrives.
const PIECE_LENGTH: usize = 128 * 1024;

/// A connection that buffers what arrives while more does than is asked for. One on which little arrives has no buffer.
#[derive(Debug)]
pub(crate) struct LargeReads<C> {
    connection: C,
    /// Empty, or [`PIECE_LENGTH`] bytes.
    buffer: Vec<u8>,
    /// The bytes of the buffer that were not handed out yet.
    start: usize,
    end: usize,
}

impl<C> LargeReads<C> {
    pub(crate) fn new(connection: C) -> Self {
        Self { connection, buffer: Vec::new(), start: 0, end: 0 }
    }

    fn take(&mut self, out: &mut [u8]) -> usize {
        let taken = out.len().min(self.end - self.start);
        out[..taken].copy_from_slice(&self.buffer[self.start..self.start + taken]);
        self.start += taken;
        taken
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for LargeReads<C> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.start < this.end {
            return Poll::Ready(Ok(this.take(out)));
        }
        if this.buffer.is_empty() || out.len() >= PIECE_LENGTH {
            let length = ready!(Pin::new(&mut this.connection).poll_read(context, out))?;
            // More may be there.
            if length == out.len() && length > 0 && this.buffer.is_empty() {
                this.buffer = vec![0; PIECE_LENGTH];
            }
            return Poll::Ready(Ok(length));
        }
        let Poll::Ready(read) = Pin::new(&mut this.connection).poll_read(context, &mut this.buffer) else {
            // Nothing more has arrived, and nobody knows when something does.
            (this.buffer, this.start, this.end) = (Vec::new(), 0, 0);
            return Poll::Pending;
        };
        let length = read?;
        (this.start, this.end) = (0, length);
        let taken = this.take(out);
        if length < out.len() {
            (this.buffer, this.start, this.end) = (Vec::new(), 0, 0);
        }
        Poll::Ready(Ok(taken))
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for LargeReads<C> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write_vectored(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_close(context)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::AsyncReadExt as _;
    use futures_util::io::Cursor;
    use tokio::io::AsyncWriteExt as _;
    use tokio_util::compat::TokioAsyncReadCompatExt as _;

    use super::*;

    /// What a decoder of Noise asks for.
    const ASKED: usize = 8 * 1024;

    #[tokio::test]
    async fn all_bytes_come_in_order_and_a_quiet_connection_keeps_no_buffer() {
        let bytes: Vec<u8> = (0..3 * PIECE_LENGTH + ASKED + 5).map(|place| (place / 251) as u8).collect();
        let mut reading = LargeReads::new(Cursor::new(bytes.clone()));
        let (mut read, mut asked) = (Vec::new(), [0; ASKED]);
        loop {
            let length = reading.read(&mut asked).await.unwrap();
            assert!(reading.buffer.is_empty() || reading.buffer.len() == PIECE_LENGTH);
            if length == 0 {
                break;
            }
            read.extend_from_slice(&asked[..length]);
        }
        assert!(read == bytes);
        assert!(reading.buffer.is_empty());
    }

    #[tokio::test]
    async fn a_connection_that_waits_keeps_no_buffer() {
        let (near, mut far) = tokio::io::duplex(2 * PIECE_LENGTH);
        let (mut reading, mut asked) = (LargeReads::new(near.compat()), [0; ASKED]);
        // What is asked for ends where the buffer does.
        far.write_all(&vec![0; ASKED + PIECE_LENGTH]).await.unwrap();
        for _ in 0..1 + PIECE_LENGTH / ASKED {
            reading.read_exact(&mut asked).await.unwrap();
        }
        assert_eq!(reading.buffer.len(), PIECE_LENGTH);
        assert!(futures_util::poll!(reading.read(&mut asked)).is_pending());
        assert_eq!(reading.buffer.capacity(), 0);
        far.write_all(b"more").await.unwrap();
        assert_eq!(reading.read(&mut asked).await.unwrap(), 4);
    }

    #[tokio::test]
    async fn many_bytes_are_read_by_few_calls() {
        struct Counted(usize);
        impl AsyncRead for Counted {
            fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, out: &mut [u8]) -> Poll<io::Result<usize>> {
                self.0 += 1;
                Poll::Ready(Ok(out.len()))
            }
        }
        let (mut reading, mut asked) = (LargeReads::new(Counted(0)), [0; ASKED]);
        for _ in 0..1 + 2 * PIECE_LENGTH / ASKED {
            reading.read_exact(&mut asked).await.unwrap();
        }
        assert_eq!(reading.connection.0, 3);
    }
}
