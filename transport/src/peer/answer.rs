//! Answering a request: a frame, and behind it bytes that are pulled from the content as the other side reads them
//! (specification, sections 6.3 and 7).

use std::ops::Range;
use std::time::{Duration, Instant};

use super::PeerError;

/// Bytes of content that are read and written at once, at most: what an answer holds in memory.
pub const PIECE_LENGTH: u64 = 256 * 1024;

/// How long the other side may take to read what was written at once. So who reads slower than [`PIECE_LENGTH`] in this time
/// is left.
pub const STALL_LIMIT: Duration = Duration::from_secs(30);

/// An answer on its way.
///
/// The driver asks for the [`next`](Self::next) piece, reads it from the content if it is one of the content, writes it, and
/// says that it is [`written`](Self::written). Nothing is read before what came before it is written. If the content cannot be
/// read it resets the stream, by which the other side sees that the answer is not complete; so it does at the
/// [`deadline`](Self::deadline).
#[derive(Debug)]
pub struct Answer {
    frame: Option<Vec<u8>>,
    content: Range<u64>,
    deadline: Instant,
}

/// What to write next.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// These bytes.
    Frame(&'a [u8]),
    /// These bytes of the content, at most [`PIECE_LENGTH`].
    Content(Range<u64>),
}

impl Answer {
    pub(super) fn new(frame: Vec<u8>, content: Range<u64>, now: Instant) -> Self {
        Self { frame: Some(frame), content, deadline: now + STALL_LIMIT }
    }

    /// What to write next; `None` at the end, where the stream is closed.
    #[must_use]
    pub fn next(&self) -> Option<Piece<'_>> {
        match &self.frame {
            Some(frame) => Some(Piece::Frame(frame)),
            None if self.content.is_empty() => None,
            None => Some(Piece::Content(self.next_content())),
        }
    }

    /// All of the last piece is written.
    pub fn written(&mut self, now: Instant) {
        if self.frame.take().is_none() {
            self.content.start = self.next_content().end;
        }
        self.deadline = now + STALL_LIMIT;
    }

    /// When the last piece must have been written.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether the other side may go on.
    ///
    /// # Errors
    /// [`PeerError::TimedOut`] if it did not read in time.
    pub fn tick(&self, now: Instant) -> Result<(), PeerError> {
        if now >= self.deadline && self.next().is_some() { Err(PeerError::TimedOut) } else { Ok(()) }
    }

    fn next_content(&self) -> Range<u64> {
        let Range { start, end } = self.content;
        start..end.min(start.saturating_add(PIECE_LENGTH))
    }
}
