//! A file of format `v2`, or a range of it, as a reader.

use std::fmt;
use std::future::Future;
use std::io::{self, SeekFrom};
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncSeek, ReadBuf};
use transport::content::{CHUNK_LENGTH, Layout};

use super::Observer;
use super::chunks::{Access, Chunks, ContentId};
use super::spool::temporary_file_error;
use crate::code::ErrorCode;
use crate::core::Core;
use crate::peer::PathLog;
use crate::{Error, Result};

type Fetched = (Box<Chunks>, Result<Vec<u8>>);
type Fetching = Pin<Box<dyn Future<Output = Fetched> + Send>>;

/// Plaintext that is fetched, verified and decrypted while it is read. Every byte is authenticated before it is handed out; only
/// the chunks that are read are fetched, and at most two ahead of them. Holds some MiB, however long the file is.
///
/// A broken connection is continued where it broke, a few times, by whoever has the file; wrong bytes are fetched again from somebody
/// else. Errors are those of
/// [`download_file`](crate::facade::FilesFacade::download_file), as [`Error`] inside the [`io::Error`]; altered bytes have the kind
/// [`InvalidData`](io::ErrorKind::InvalidData). After an error, reading goes on with the same byte. Dropping the reader ends the
/// requests.
pub struct FileReader {
    /// Behind a lock because a future is not `Sync`; nobody waits for it.
    state: Mutex<State>,
    layout: Layout,
    /// The bytes of the content that this reader has.
    range: Range<u64>,
    /// Of the next byte, from the start of the content; may lie behind the range.
    position: u64,
    /// The chunk that was opened last, and its number.
    chunk: Option<(u64, Vec<u8>)>,
    paths: PathLog,
}

enum State {
    Idle(Box<Chunks>),
    /// With the number of the chunk.
    Fetching(u64, Fetching),
    /// A panic ended the fetching.
    Lost,
}

impl FileReader {
    /// Fetches and verifies the first chunk.
    pub(super) async fn open(
        core: Arc<Core>,
        content: &ContentId,
        range: Range<u64>,
        access: Access,
        observer: Option<&Observer>,
    ) -> Result<Self> {
        let layout = content.layout;
        // A content without a byte has a chunk too, which says so.
        let chunks = match layout.length() {
            0 => Ok(0..1),
            _ => layout.chunks_with(&range),
        };
        let beyond = |_| Error::InvalidPropertyValue("the range is not within the file".to_owned());
        let chunks = chunks.map_err(beyond)?;
        let first = chunks.start;
        let is_empty = chunks.is_empty();
        let mut fetched = Box::new(Chunks::start(core, content, chunks, access, observer).await?);
        let chunk = if is_empty { None } else { Some((first, fetched.chunk(first).await?)) };
        let (position, paths) = (range.start, fetched.paths().clone());
        Ok(Self { state: Mutex::new(State::Idle(fetched)), layout, range, position, chunk, paths })
    }

    /// Bytes of plaintext from the first to the last.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// By which paths its ciphertext comes, as it is when the log is asked.
    #[must_use]
    pub fn path_log(&self) -> PathLog {
        self.paths.clone()
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>, index: u64) -> Poll<io::Result<()>> {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let State::Idle(_) = state
            && let State::Idle(chunks) = std::mem::replace(state, State::Lost)
        {
            if let Some((_, read)) = self.chunk.take() {
                chunks.give_back(read);
            }
            *state = State::Fetching(index, Box::pin(fetch(chunks, index)));
        }
        let State::Fetching(fetched, fetching) = state else {
            return Poll::Ready(Err(io::Error::other("the content failed before")));
        };
        let index = *fetched;
        let (chunks, outcome) = ready!(fetching.as_mut().poll(context));
        *state = State::Idle(chunks);
        self.chunk = Some((index, outcome.map_err(io_error)?));
        Poll::Ready(Ok(()))
    }
}

async fn fetch(mut chunks: Box<Chunks>, index: u64) -> Fetched {
    let outcome = chunks.chunk(index).await;
    (chunks, outcome)
}

pub(super) fn io_error(error: Error) -> io::Error {
    let kind = match error.known_code() {
        Some(ErrorCode::CipherMismatch) => io::ErrorKind::InvalidData,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// What a reader of a content says, as the error that is inside.
pub(crate) fn of_reader(error: io::Error) -> Error {
    error.downcast().unwrap_or_else(|error| temporary_file_error(&error))
}

/// Cancel-safe: what was not handed out comes with the next call.
impl AsyncRead for FileReader {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.position >= self.range.end || out.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let index = self.position / CHUNK_LENGTH;
        // A chunk may come that was asked for before a jump.
        while self.chunk.as_ref().is_none_or(|(number, _)| *number != index) {
            ready!(self.poll_chunk(context, index))?;
        }
        let wanted = self.layout.part_of_chunk(index, &(self.position..self.range.end));
        let Some(bytes) = self.chunk.as_ref().and_then(|(_, chunk)| chunk.get(wanted)) else {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        };
        let taken = bytes.len().min(out.remaining());
        out.put_slice(&bytes[..taken]);
        self.position += taken as u64;
        Poll::Ready(Ok(()))
    }
}

/// Positions count from the first byte of the reader. Nothing is fetched before the next read.
impl AsyncSeek for FileReader {
    fn start_seek(mut self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        let Range { start, end } = self.range;
        let wanted = match position {
            SeekFrom::Start(offset) => start.checked_add(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
            SeekFrom::End(offset) => end.checked_add_signed(offset),
        };
        let invalid =
            || io::Error::new(io::ErrorKind::InvalidInput, "a position before the first byte or out of range");
        self.position = wanted.filter(|wanted| *wanted >= start).ok_or_else(invalid)?;
        Ok(())
    }

    fn poll_complete(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Poll::Ready(Ok(self.position - self.range.start))
    }
}

impl fmt::Debug for FileReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileReader({} bytes)", self.length())
    }
}
