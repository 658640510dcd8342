//! Writes and hashes what arrives on a thread that may block, while the next bytes are read.

use std::io::{self, Write};

use tokio::task::JoinHandle;

use super::checksum::Checksum;

/// Bytes that are written at a time.
pub(super) const PIECE: usize = 1 << 20;

/// Where bytes go, and the checksum of all that went there.
pub(super) struct Written<W> {
    pub(super) writer: W,
    pub(super) checksum: Checksum,
}

/// Writes one piece while the next one is read. Dropped in between, the piece is written all the same unless the process ends.
pub(super) struct Writing<W>(JoinHandle<io::Result<(Written<W>, Vec<u8>)>>);

impl<W: Write + Send + 'static> Writing<W> {
    pub(super) fn begin(written: Written<W>) -> Self {
        Self(tokio::task::spawn_blocking(move || Ok((written, vec![0; PIECE]))))
    }

    /// Takes the first `length` bytes of a buffer as soon as those before are written. Returns a buffer for the next ones.
    ///
    /// # Errors
    /// Why those before are not written. Nothing can be written then.
    pub(super) async fn write(&mut self, buffer: Vec<u8>, length: usize) -> io::Result<Vec<u8>> {
        let (mut written, spare) = (&mut self.0).await.map_err(io::Error::other)??;
        self.0 = tokio::task::spawn_blocking(move || {
            let piece = &buffer[..length];
            written.writer.write_all(piece)?;
            written.writer.flush()?;
            written.checksum.update(piece);
            Ok((written, buffer))
        });
        Ok(spare)
    }

    /// Waits until all is written.
    ///
    /// # Errors
    /// Why it is not.
    pub(super) async fn finish(self) -> io::Result<Written<W>> {
        self.0.await.map_err(io::Error::other)?.map(|(written, _)| written)
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::output::Output;
    use crate::progress::ProgressOutput;
    use crate::receive::destination::hex;

    #[tokio::test]
    async fn pieces_are_written_in_order_and_hashed() {
        let checksum = Checksum::shown_by(&ProgressOutput::new(Output::new(true)));
        let mut writing = Writing::begin(Written { writer: Vec::new(), checksum });
        let mut buffer = vec![0; 3];
        for piece in [b"abc", b"def", b"gh."] {
            buffer[..3].copy_from_slice(piece);
            buffer = writing.write(buffer, if piece == b"gh." { 2 } else { 3 }).await.unwrap();
        }
        let Written { writer, checksum } = writing.finish().await.unwrap();
        assert_eq!(writer, b"abcdefgh");
        assert_eq!(checksum.finish().unwrap(), hex(&Sha256::digest(b"abcdefgh")));
    }

    #[tokio::test]
    async fn a_failure_comes_with_the_next_piece_or_at_the_end() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let full = || Writing::begin(Written { writer: Full, checksum: Checksum::none() });
        let mut writing = full();
        let buffer = writing.write(vec![0], 1).await.unwrap();
        assert_eq!(writing.write(buffer, 1).await.unwrap_err().kind(), io::ErrorKind::StorageFull);
        let mut writing = full();
        writing.write(vec![0], 1).await.unwrap();
        assert_eq!(writing.finish().await.err().unwrap().kind(), io::ErrorKind::StorageFull);
    }
}
