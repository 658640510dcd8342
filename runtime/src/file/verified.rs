//! Verified plaintext as an async reader. Pieces are decrypted on threads that may block, one piece ahead of the reader, so
//! that no thread waits for a slow reader.

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};
use tokio::task::JoinHandle;
use transport::file::VerifiedFile;

use super::FileReader;
use crate::peer::{Path, PathBytes, PathLog};

/// Bytes of plaintext that are decrypted at a time.
const PIECE: usize = 256 * 1024;

type Verified = Box<VerifiedFile<File>>;

/// Plaintext of which each byte is authenticated before it is handed out. Of format `v1` all of it has been checked, and reading
/// decrypts it again; of format `v2` the first chunk has, and the others are fetched and checked while they are read, as
/// [`FileReader`] says.
pub struct VerifiedContent {
    content: Content,
    length: u64,
    paths: PathLog,
}

enum Content {
    Whole(Pin<Box<dyn AsyncRead + Send + Sync>>),
    Chunks(Box<FileReader>),
}

impl VerifiedContent {
    pub(crate) fn new(reader: impl AsyncRead + Send + Sync + 'static, length: u64) -> Self {
        Self { content: Content::Whole(Box::pin(reader)), length, paths: PathLog::default() }
    }

    pub(super) fn in_chunks(reader: FileReader) -> Self {
        let (length, paths) = (reader.length(), reader.path_log());
        Self { length, content: Content::Chunks(Box::new(reader)), paths }
    }

    /// The same, come by these paths.
    pub(super) fn by(self, paths: PathLog) -> Self {
        Self { paths, ..self }
    }

    /// The bytes in a range that is within it. Reads and drops those before.
    pub(super) async fn range(self, range: Range<u64>) -> io::Result<Self> {
        let paths = self.paths.clone();
        let mut reader = self.into_reader();
        tokio::io::copy(&mut (&mut reader).take(range.start), &mut tokio::io::sink()).await?;
        let length = range.end - range.start;
        Ok(Self::new(reader.take(length), length).by(paths))
    }

    /// Plaintext bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// By which path the first byte came; none if nothing had to be fetched.
    #[must_use]
    pub fn path(&self) -> Option<Path> {
        self.paths.first()
    }

    /// By which paths the ciphertext has come so far.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBytes> {
        self.paths.bytes()
    }

    /// The same as it is when it is asked for: of format `v2` most comes while the content is read.
    #[must_use]
    pub fn path_log(&self) -> PathLog {
        self.paths.clone()
    }

    /// The plaintext as a reader.
    #[must_use]
    pub fn into_reader(self) -> Pin<Box<dyn AsyncRead + Send + Sync>> {
        match self.content {
            Content::Whole(reader) => reader,
            Content::Chunks(reader) => Pin::from(reader),
        }
    }

    /// The plaintext as a reader that can jump, if the file is of format `v2`.
    ///
    /// # Errors
    /// The content itself if the file is of format `v1`.
    pub fn into_seekable(self) -> std::result::Result<FileReader, Self> {
        match self.content {
            Content::Whole(_) => Err(self),
            Content::Chunks(reader) => Ok(*reader),
        }
    }
}

impl std::fmt::Debug for VerifiedContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VerifiedContent({} bytes)", self.length)
    }
}

pub(super) struct VerifiedReader {
    next: Next,
    /// Decrypted plaintext, of which `taken` bytes were read.
    piece: Vec<u8>,
    taken: usize,
}

/// The piece after the one that is read.
enum Next {
    Busy(JoinHandle<io::Result<(Verified, Vec<u8>)>>),
    End,
    Failed,
}

impl VerifiedReader {
    /// Starts to decrypt.
    pub(super) fn new(file: VerifiedFile<File>) -> Self {
        Self { next: Next::decrypting(Box::new(file), Vec::new()), piece: Vec::new(), taken: 0 }
    }

    /// Replaces the piece by the next one, if there is one.
    fn poll_next_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let work = match &mut self.next {
            Next::Busy(work) => work,
            Next::End => return Poll::Ready(Ok(())),
            Next::Failed => return Poll::Ready(Err(io::Error::other("the content failed before"))),
        };
        let outcome = ready!(Pin::new(work).poll(context));
        self.next = Next::Failed;
        let (file, piece) = outcome.map_err(io::Error::other)??;
        let spent = std::mem::replace(&mut self.piece, piece);
        self.taken = 0;
        self.next = if file.left() == 0 { Next::End } else { Next::decrypting(file, spent) };
        Poll::Ready(Ok(()))
    }
}

impl Next {
    /// Decrypts the next piece into the buffer of the previous one, which saves an allocation for each.
    fn decrypting(mut file: Verified, mut piece: Vec<u8>) -> Self {
        Self::Busy(tokio::task::spawn_blocking(move || {
            piece.resize(PIECE, 0);
            let length = file.read(&mut piece)?;
            piece.truncate(length);
            Ok((file, piece))
        }))
    }
}

impl AsyncRead for VerifiedReader {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.taken == self.piece.len() {
            ready!(self.poll_next_piece(context))?;
        }
        let length = out.remaining().min(self.piece.len() - self.taken);
        out.put_slice(&self.piece[self.taken..self.taken + length]);
        self.taken += length;
        Poll::Ready(Ok(()))
    }
}
