//! One side of one stream on which frames take turns: collects what arrives, keeps the time, ends once.
//!
//! A driver does nothing but this, in a loop until there is an [`end`](Conversation::end): write all of
//! [`outgoing`](Conversation::outgoing); read at most [`wants`](Conversation::wants) bytes and hand them to
//! [`receive`](Conversation::receive), or call [`cut`](Conversation::cut) if there are no more; call
//! [`tick`](Conversation::tick) at the [`deadline`](Conversation::deadline). Writes come before reads and are shorter than any
//! window of a transport, so nobody waits for the other one.

use std::time::{Duration, Instant};

use super::{FrameReader, PeerError};
use crate::wire::Timestamp;

/// The current time, from whoever drives a protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For deadlines; never goes back.
    pub instant: Instant,
    /// For dates in certificates and tokens.
    pub time: Timestamp,
}

/// What one side of a protocol does with the messages of the other one.
pub trait Side {
    /// What it is for.
    type Outcome;

    /// How long all of it may take.
    const TIME_LIMIT: Duration;

    /// The frame with which this side begins, if it is the one that begins. Called once.
    fn open(&mut self) -> Option<Vec<u8>>;

    /// Bytes of the longest message that may come next.
    fn bound(&self) -> usize;

    /// Handles a message.
    fn receive(&mut self, message: &[u8], now: Now) -> Turn<Self::Outcome>;
}

/// What follows from a message.
#[derive(Debug)]
pub struct Turn<T> {
    frame: Option<Vec<u8>>,
    end: Option<Result<T, PeerError>>,
}

impl<T> Turn<T> {
    /// Sends a frame and waits for the next message.
    #[must_use]
    pub fn reply(frame: Vec<u8>) -> Self {
        Self { frame: Some(frame), end: None }
    }

    /// Ends with a result.
    #[must_use]
    pub fn finish(outcome: T) -> Self {
        Self { frame: None, end: Some(Ok(outcome)) }
    }

    /// Sends a last frame and ends with a result.
    #[must_use]
    pub fn reply_and_finish(frame: Vec<u8>, outcome: T) -> Self {
        Self { frame: Some(frame), end: Some(Ok(outcome)) }
    }

    /// Ends without a result.
    #[must_use]
    pub fn fail(error: impl Into<PeerError>) -> Self {
        Self { frame: None, end: Some(Err(error.into())) }
    }

    /// The frame to send, and how it ended, if it did.
    #[must_use]
    pub fn into_parts(self) -> (Option<Vec<u8>>, Option<Result<T, PeerError>>) {
        (self.frame, self.end)
    }

    /// Sends a refusal and ends without a result.
    #[must_use]
    pub fn refuse(frame: Vec<u8>, error: impl Into<PeerError>) -> Self {
        Self { frame: Some(frame), end: Some(Err(error.into())) }
    }
}

/// A side and its stream.
pub struct Conversation<S: Side> {
    side: S,
    reader: FrameReader,
    frame: Option<Vec<u8>>,
    deadline: Instant,
    end: End<S::Outcome>,
}

enum End<T> {
    No,
    With(Result<T, PeerError>),
    Told,
}

impl<S: Side> Conversation<S> {
    /// Begins. The time limit counts from now on.
    #[must_use]
    pub fn new(mut side: S, now: Instant) -> Self {
        let (frame, reader) = (side.open(), FrameReader::new(side.bound()));
        Self { side, reader, frame, deadline: now + S::TIME_LIMIT, end: End::No }
    }

    /// Bytes to write now, each once. To be written even if there is an end.
    pub fn outgoing(&mut self) -> Option<Vec<u8>> {
        self.frame.take()
    }

    /// How many bytes to read at most; 0 at the end.
    #[must_use]
    pub fn wants(&self) -> usize {
        if matches!(self.end, End::No) { self.reader.wants() } else { 0 }
    }

    /// Takes bytes of the other side, returns how many: fewer only at the end of a message.
    pub fn receive(&mut self, bytes: &[u8], now: Now) -> usize {
        if !matches!(self.end, End::No) {
            return 0;
        }
        match self.reader.receive(bytes) {
            Ok(taken) => {
                if let Some(message) = self.reader.take() {
                    let turn = self.side.receive(&message, now);
                    self.take_turn(turn);
                }
                taken
            }
            Err(error) => {
                self.finish(Err(error.into()));
                0
            }
        }
    }

    /// The other side has closed or reset the stream, or the connection is gone.
    pub fn cut(&mut self) {
        self.finish(Err(PeerError::Cut));
    }

    /// When to call [`tick`](Self::tick) at the latest.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Ends it if its time is over.
    pub fn tick(&mut self, now: Instant) {
        if now >= self.deadline {
            self.finish(Err(PeerError::TimedOut));
        }
    }

    /// How it ended, once. What is still [`outgoing`](Self::outgoing) then is to be written.
    pub fn end(&mut self) -> Option<Result<S::Outcome, PeerError>> {
        match std::mem::replace(&mut self.end, End::Told) {
            End::With(result) => Some(result),
            other => {
                self.end = other;
                None
            }
        }
    }

    fn take_turn(&mut self, turn: Turn<S::Outcome>) {
        self.frame = turn.frame;
        match turn.end {
            Some(end) => self.finish(end),
            None => self.reader = FrameReader::new(self.side.bound()),
        }
    }

    fn finish(&mut self, end: Result<S::Outcome, PeerError>) {
        if matches!(self.end, End::No) {
            self.end = End::With(end);
        }
    }
}
