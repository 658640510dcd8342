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
        this.start(Cursor { source, position: 0, file: None });
        this
    }

    fn start(&mut self, mut cursor: Cursor) {
        self.reading = Some(tokio::task::spawn_blocking(move || {
            let piece = cursor.piece().map_err(|error| cursor.source.parts.failed(error));
            (cursor, piece)
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
            let piece = piece?;
            if !piece.is_empty() {
                self.start(cursor);
            }
            (self.piece, self.taken) = (piece, 0);
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
    /// The next bytes; none at the end.
    fn piece(&mut self) -> Result<Piece, SourceError> {
        let mut piece = Zeroizing::new(Vec::with_capacity(PIECE));
        let parts = self.source.parts.clone();
        let head = parts.head();
        if self.position < head.len() as u64 {
            let rest = &head[self.position as usize..];
            let taken = rest.len().min(PIECE);
            piece.extend_from_slice(&rest[..taken]);
            self.position += taken as u64;
        }
        while piece.len() < PIECE && self.position < self.source.length() {
            self.read_file(&mut piece)?;
        }
        Ok(piece)
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
