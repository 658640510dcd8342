//! Reads the bytes of a content ahead of whoever uses them, so that a peer sends while the bytes before are verified and written.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::task::AbortOnDropHandle;
use transport::peer::{ContentHeader, PIECE_LENGTH, PeerError};

use super::{Incoming, Line, Link, while_alive};

/// Bytes that are read ahead. More than what a receiver verifies and writes at a time, and little beside the windows of a transport.
pub(super) const READ_AHEAD: usize = 2 * 1024 * 1024;

/// What bytes that arrived together count at least: handing them over takes memory, too, and a peer can send them one by one.
pub(super) const COUNTED: usize = 256;

/// The bytes of a content, which a task reads while there is room. Dropping it drops the stream.
pub(crate) struct ReadAhead {
    header: ContentHeader,
    arrived: mpsc::UnboundedReceiver<Arrived>,
    /// Why no more come, once all that came before was handed out.
    end: Option<Result<(), PeerError>>,
    _task: AbortOnDropHandle<()>,
}

/// Bytes with the room that they take, or how they ended.
type Arrived = Result<(Bytes, OwnedSemaphorePermit), Result<(), PeerError>>;

impl ReadAhead {
    /// Reads from now on, as long as the line answers that the bytes come over.
    pub(crate) fn start(incoming: Incoming<impl Link + 'static>, line: impl Line + 'static) -> Self {
        let (header, (hand_over, arrived)) = (incoming.header().clone(), mpsc::unbounded_channel());
        let task = AbortOnDropHandle::new(tokio::spawn(read(incoming, line, hand_over)));
        Self { header, arrived, end: None, _task: task }
    }

    /// What the peer says of them.
    pub(crate) fn header(&self) -> &ContentHeader {
        &self.header
    }

    /// The next ones, none behind the last one. Cancel-safe.
    ///
    /// # Errors
    /// Why no more come, on this and on each later call.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, PeerError> {
        if let Some(end) = self.end {
            return end.map(|()| None);
        }
        match self.arrived.recv().await.unwrap_or(Err(Err(PeerError::Cut))) {
            Ok((bytes, _room)) => Ok(Some(bytes)),
            Err(end) => self.end.insert(end).map(|()| None),
        }
    }
}

/// The channel has no bound of its own: all that is in it has room in the semaphore.
async fn read(mut incoming: Incoming<impl Link>, line: impl Line, hand_over: mpsc::UnboundedSender<Arrived>) {
    let room = Arc::new(Semaphore::new(READ_AHEAD));
    loop {
        let (arrived, is_end) = match next(&mut incoming, &line, &room).await {
            Ok(Some(arrived)) => (Ok(arrived), false),
            Ok(None) => (Err(Ok(())), true),
            Err(error) => (Err(Err(error)), true),
        };
        if hand_over.send(arrived).is_err() || is_end {
            return;
        }
    }
}

/// The next bytes, with room for so many.
async fn next(
    incoming: &mut Incoming<impl Link>,
    line: &impl Line,
    room: &Arc<Semaphore>,
) -> Result<Option<(Bytes, OwnedSemaphorePermit)>, PeerError> {
    let mut place = match room.clone().try_acquire_many_owned(PIECE_LENGTH as u32) {
        Ok(place) => place,
        Err(_) => {
            let place = room.clone().acquire_many_owned(PIECE_LENGTH as u32).await.map_err(|_| PeerError::Cut)?;
            // It is not the peer that was slow.
            incoming.resume();
            place
        }
    };
    let Some(bytes) = while_alive(line, incoming.chunk()).await?? else { return Ok(None) };
    let taken =
        place.split(bytes.len().max(COUNTED)).ok_or(PeerError::Contradiction("more bytes than were asked for"))?;
    Ok(Some((bytes, taken)))
}
