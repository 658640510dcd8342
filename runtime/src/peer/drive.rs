//! Drives the protocols of [`transport::peer`] over a stream: writes what they say, reads what they want, ends them in time.
//!
//! A stream that is dropped before it was closed is reset, so whoever owns one here resets it by returning an error.

mod ahead;
mod alive;
mod read_buffers;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout_at;
use transport::peer::{
    Answer, Content, ContentHeader, Conversation, Fetch, Fetched, Now, PeerError, Piece, Refusal, STALL_LIMIT, Side,
};

pub(crate) use self::ahead::ReadAhead;
pub(crate) use self::alive::{Line, while_alive};
use self::read_buffers::ReadBuffers;
use crate::clock::Clock;

/// Bytes of messages that are read at once.
const READ_LENGTH: usize = 16 * 1024;

/// A stream between two peers. Dropping it resets it, unless it was shut down.
pub(crate) trait Link: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Link for T {}

/// The time for the protocols: dates by the clock of the node, deadlines by the timer of the executor.
#[derive(Clone)]
pub(crate) struct Time(Arc<dyn Clock>);

impl Time {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self(clock)
    }

    pub(crate) fn now(&self) -> Now {
        Now { instant: tokio::time::Instant::now().into_std(), time: self.0.now() }
    }

    /// Until when a peer reads what is written now.
    pub(crate) fn deadline(&self) -> Instant {
        self.now().instant + STALL_LIMIT
    }
}

/// An exchange that ended without a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Why.
    pub(crate) error: PeerError,
    /// Whether the other side has sent anything. If not, the stream may have been lost before anybody read from it, and the
    /// same can be tried on a new one.
    pub(crate) was_heard: bool,
}

/// Runs one side of an exchange to its end. Whatever it says last is written, so the caller closes the stream then.
pub(crate) async fn converse<S: Side>(
    stream: &mut impl Link,
    conversation: &mut Conversation<S>,
    time: &Time,
) -> Result<S::Outcome, Ended> {
    let mut was_heard = false;
    loop {
        let written = match conversation.outgoing() {
            Some(frame) => write(stream, &frame, conversation.deadline()).await,
            None => Ok(()),
        };
        match (conversation.end(), written) {
            (Some(Err(error)), _) | (_, Err(error)) => return Err(Ended { error, was_heard }),
            (Some(Ok(outcome)), Ok(())) => return Ok(outcome),
            (None, Ok(())) => was_heard |= hear(stream, conversation, time).await,
        }
    }
}

/// Reads what is there of the next message, and hands it over. Returns whether there was anything.
pub(crate) async fn hear<S: Side>(stream: &mut impl Link, conversation: &mut Conversation<S>, time: &Time) -> bool {
    let mut buffer = vec![0; conversation.wants().min(READ_LENGTH)];
    let read = timeout_at(conversation.deadline().into(), stream.read(&mut buffer)).await;
    let now = time.now();
    conversation.tick(now.instant);
    match read {
        Ok(Ok(length)) if length > 0 => {
            conversation.receive(&buffer[..length], now);
            return true;
        }
        Ok(_) => conversation.cut(),
        Err(_) => {}
    }
    false
}

/// Runs one side of an exchange on a stream of its own: closes the stream behind a result or a refusal, else resets it.
pub(crate) async fn exchange<S: Side>(
    mut stream: impl Link,
    mut conversation: Conversation<S>,
    time: &Time,
) -> Result<S::Outcome, Ended> {
    let outcome = converse(&mut stream, &mut conversation, time).await;
    if outcome.as_ref().map_or_else(|ended| was_told(ended.error), |_| true) {
        close(&mut stream, conversation.deadline()).await;
    }
    outcome
}

/// Whether one side has told the other why it does not go on.
fn was_told(error: PeerError) -> bool {
    matches!(error, PeerError::Refused(_) | PeerError::Certificate(_) | PeerError::Proof | PeerError::WrongCode)
}

/// Writes an answer, reading the content behind it piece by piece, and closes the stream. Resets it if the other side does not
/// read in time or the content cannot be read.
///
/// # Errors
/// What the content says, or what happened to the stream.
pub(crate) async fn answer<C: Content>(
    mut stream: impl Link,
    mut answer: Answer,
    mut content: Option<C>,
    time: &Time,
) -> Result<(), PeerError> {
    loop {
        let deadline = answer.deadline();
        let piece = match answer.next() {
            None => break,
            Some(Piece::Frame(frame)) => write(&mut stream, frame, deadline).await,
            Some(Piece::Content(range)) => {
                let content = content.as_mut().ok_or(PeerError::Refused(Refusal::Unavailable))?;
                let length = range.end - range.start;
                let bytes = timeout_at(deadline.into(), content.read(range)).await;
                let bytes = bytes.unwrap_or(Err(Refusal::Unavailable)).map_err(PeerError::Refused)?;
                if bytes.len() as u64 != length {
                    return Err(PeerError::Refused(Refusal::Unavailable));
                }
                let (taken, sent) = hand_over(&mut stream, &bytes, deadline).await;
                // The other side goes on at the byte where it was cut.
                content.was_sent(taken);
                sent
            }
        };
        piece?;
        answer.written(time.now().instant);
    }
    close(&mut stream, answer.deadline()).await;
    Ok(())
}

/// Writes a last frame and closes the stream.
///
/// # Errors
/// What happened to the stream.
pub(crate) async fn finish_with(mut stream: impl Link, frame: &[u8], deadline: Instant) -> Result<(), PeerError> {
    write(&mut stream, frame, deadline).await?;
    close(&mut stream, deadline).await;
    Ok(())
}

/// The bytes of a content that come from a peer.
pub(crate) struct Incoming<L> {
    stream: L,
    fetch: Fetch,
    header: ContentHeader,
    buffers: ReadBuffers,
    time: Time,
}

impl<L: Link> Incoming<L> {
    /// Asks for them, and waits until the peer says which come.
    ///
    /// # Errors
    /// Why none come.
    pub(crate) async fn begin(mut stream: L, mut fetch: Fetch, time: Time) -> Result<Self, Ended> {
        let never_heard = |error| Ended { error, was_heard: false };
        if let Some(request) = fetch.outgoing() {
            write(&mut stream, &request, fetch.deadline()).await.map_err(never_heard)?;
            // Nothing else is said.
            close(&mut stream, fetch.deadline()).await;
        }
        let (mut buffers, mut was_heard) = (ReadBuffers::default(), false);
        loop {
            let arrived = read(&mut stream, &mut fetch, &mut buffers, &time).await;
            was_heard |= !arrived.is_empty();
            match fetch.receive(&arrived, time.now().instant) {
                Fetched::Header(header) => return Ok(Self { stream, fetch, header, buffers, time }),
                Fetched::Nothing | Fetched::Bytes(..) => {}
            }
            if let Some(Err(error)) = fetch.end() {
                return Err(Ended { error, was_heard });
            }
        }
    }

    /// What the peer says of them.
    pub(crate) fn header(&self) -> &ContentHeader {
        &self.header
    }

    /// Gives the peer its whole time again, after nobody has read here for a while.
    pub(crate) fn resume(&mut self) {
        self.fetch.resume(self.time.now().instant);
    }

    /// The next ones, none behind the last one. Cancel-safe.
    ///
    /// # Errors
    /// Why no more come, on this and on each later call.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, PeerError> {
        loop {
            match self.fetch.end() {
                Some(Ok(())) => return Ok(None),
                Some(Err(error)) => return Err(error),
                None => {}
            }
            let arrived = read(&mut self.stream, &mut self.fetch, &mut self.buffers, &self.time).await;
            if let Fetched::Bytes(_, bytes) = self.fetch.receive(&arrived, self.time.now().instant) {
                debug_assert_eq!(bytes.len(), arrived.len(), "no more is read than is wanted");
                return Ok(Some(arrived));
            }
        }
    }
}

/// Reads what is there, at most what is wanted; nothing if the stream or its time ends, which `fetch` is told. Cancel-safe.
async fn read(stream: &mut impl Link, fetch: &mut Fetch, buffers: &mut ReadBuffers, time: &Time) -> Bytes {
    let room = buffers.room(fetch.wants());
    let arrived = timeout_at(fetch.deadline().into(), stream.read(room)).await;
    fetch.tick(time.now().instant);
    match arrived {
        Ok(Ok(length)) if length > 0 => return buffers.filled(length),
        Ok(_) => fetch.cut(),
        Err(_) => {}
    }
    Bytes::new()
}

/// Writes a message and has it leave.
pub(crate) async fn write(stream: &mut impl Link, bytes: &[u8], deadline: Instant) -> Result<(), PeerError> {
    in_time(deadline, stream.write_all(bytes)).await?;
    in_time(deadline, stream.flush()).await
}

/// Writes bytes of a content. The next ones follow, so nobody waits until these have left. Returns how many of them the stream took, also if it
/// did not take all.
async fn hand_over(stream: &mut impl Link, bytes: &[u8], deadline: Instant) -> (u64, Result<(), PeerError>) {
    let mut rest = bytes;
    let written = in_time(deadline, async {
        while !rest.is_empty() {
            match stream.write(rest).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                taken => rest = &rest[taken..],
            }
        }
        Ok(())
    });
    let written = written.await;
    ((bytes.len() - rest.len()) as u64, written)
}

async fn in_time(deadline: Instant, done: impl Future<Output = io::Result<()>>) -> Result<(), PeerError> {
    match timeout_at(deadline.into(), done).await {
        // Which error of the system it was does not matter to a protocol: the stream is gone.
        Ok(outcome) => outcome.map_err(|_| PeerError::Cut),
        Err(_) => Err(PeerError::TimedOut),
    }
}

/// Says that nothing follows. If that fails, the other side sees that the stream has ended all the same.
pub(crate) async fn close(stream: &mut impl Link, deadline: Instant) {
    let _ = timeout_at(deadline.into(), stream.shutdown()).await;
}
