//! Reads a source from its first byte to its last, on other threads than those of the async runtime.

use std::fs::File;
use std::future::Future as _;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::{Source, SourceError};

/// Bytes that are read at a time, from however many files.
const PIECE: usize = 1 << 20;

type Piece = Zeroizing<Vec<u8>>;

/// The content of a [`Source`]: exactly as many bytes as it had when it was made. Errors hold a [`SourceError`]: a file that
/// has changed is one, at the latest at its end. After an error there is nothing more.
///
/// Holds one piece of 1 MiB, and reads the next one meanwhile. Cancel-safe: what was not handed out comes with the next call.
pub struct SourceReader {
    reading: Option<JoinHandle<(Cursor, Result<Piece, SourceError>)>>,
    piece: Piece,
    taken: usize,
}

impl SourceReader {
    pub(super) fn new(source: Source) -> Self {
        let mut this = Self { reading: None, piece: Piece::default(), taken: 0 };
        this.start(Cursor { source, position: 0, file: None }, Piece::default());
        this
    }

    /// Fills a buffer whose bytes were handed out: to get new memory and to wipe it for each piece costs more than to read.
    fn start(&mut self, mut cursor: Cursor, mut buffer: Piece) {
        self.reading = Some(tokio::task::spawn_blocking(move || {
            let read = cursor.read_piece(&mut buffer).map_err(|error| cursor.source.parts.failed(error));
            (cursor, read.map(|()| buffer))
        }));
    }
}

impl AsyncRead for SourceReader {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.taken == self.piece.len() {
            let Some(reading) = &mut self.reading else { return Poll::Ready(Ok(())) };
            let outcome = ready!(Pin::new(reading).poll(context));
            self.reading = None;
            let (cursor, piece) = outcome.map_err(io::Error::other)?;
            let handed_out = std::mem::replace(&mut self.piece, piece?);
            self.taken = 0;
            if !self.piece.is_empty() {
                self.start(cursor, handed_out);
            }
        }
        let (rest, room) = (&self.piece[self.taken..], out.remaining());
        let taken = rest.len().min(room);
        out.put_slice(&rest[..taken]);
        self.taken += taken;
        Poll::Ready(Ok(()))
    }
}

/// Where a reader is.
struct Cursor {
    source: Source,
    position: u64,
    /// The number of the file at the position, and its bytes.
    file: Option<(usize, File)>,
}

impl Cursor {
    /// Replaces the content of a buffer by the next bytes; none at the end.
    fn read_piece(&mut self, piece: &mut Piece) -> Result<(), SourceError> {
        piece.clear();
        piece.reserve_exact(PIECE);
        let parts = self.source.parts.clone();
        let head = parts.head();
        if self.position < head.len() as u64 {
            let rest = &head[self.position as usize..];
            let taken = rest.len().min(PIECE);
            piece.extend_from_slice(&rest[..taken]);
            self.position += taken as u64;
        }
        while piece.len() < PIECE && self.position < self.source.length() {
            self.read_file(piece)?;
        }
        Ok(())
    }

    /// Reads from the file at the position, as much as there is room for.
    fn read_file(&mut self, piece: &mut Vec<u8>) -> Result<(), SourceError> {
        let parts = self.source.parts.clone();
        let number = parts.files.partition_point(|file| file.start + file.state.length <= self.position);
        let Some(known) = parts.files.get(number) else { return Ok(()) };
        let mut file = match self.file.take() {
            Some((opened, file)) if opened == number => file,
            _ => known.open()?,
        };
        let end = known.start + known.state.length;
        let wanted = (end - self.position).min((PIECE - piece.len()) as u64);
        let read = (&mut file).take(wanted).read_to_end(piece);
        let taken = read.map_err(|error| SourceError::unreadable(&known.path, error))? as u64;
        self.position += taken;
        if taken < wanted {
            return Err(SourceError::Changed { path: known.path.clone() });
        }
        if self.position == end {
            // Whatever was written meanwhile has changed its time or its length.
            known.check(&file)?;
        } else {
            self.file = Some((number, file));
        }
        Ok(())
    }
}

impl std::fmt::Debug for SourceReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SourceReader")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn a_content_of_many_pieces_goes_through_two_buffers() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let content: Vec<u8> = (0..7 * PIECE + 5).map(|place| (place * 7 % 251) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let mut reader = Source::file(&path).unwrap().reader();
        let (mut read, mut buffers) = (Vec::new(), HashSet::new());
        while reader.read_buf(&mut read).await.unwrap() > 0 {
            assert_eq!(reader.piece.capacity(), PIECE);
            buffers.insert(reader.piece.as_ptr());
        }
        assert!(read == content);
        assert_eq!(buffers.len(), 2);
    }
}
