//! Request bodies: limits of their size, and of the memory of all bodies together. The listener limits their time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use listener::pace::is_too_slow;

use super::problem::Problem;
use super::session;
use crate::budget::{ANONYMOUS_BODY, Kept, Room};
use crate::caller::Caller;
use crate::core::Core;

/// Maximum capacity that is reserved for a declared length.
const MAX_RESERVATION: usize = 64 * 1024;

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// It is larger than the server takes.
    #[error("the body is too large")]
    TooLarge,
    /// It arrives too slowly.
    #[error("the body arrives too slowly")]
    TooSlow,
    /// The connection broke.
    #[error("the body broke off")]
    Broken(#[source] axum::Error),
}

impl From<axum::Error> for BodyError {
    fn from(error: axum::Error) -> Self {
        if is_too_slow(&error) { Self::TooSlow } else { Self::Broken(error) }
    }
}

/// A body that ends with an error when it grows too large.
pub(crate) struct BoundedBody {
    limit: u64,
    outcome: Arc<Outcome>,
}

/// How a body ended, for readers that hide the cause of an error.
#[derive(Default)]
struct Outcome {
    is_too_large: AtomicBool,
    is_too_slow: AtomicBool,
}

impl BoundedBody {
    /// Limits a body. The stream yields its pieces; `self` knows afterwards how it ended.
    pub(crate) fn new(body: Body, limit: u64) -> (Self, impl Stream<Item = Result<Bytes, BodyError>> + Send + use<>) {
        let outcome = Arc::new(Outcome::default());
        let state = Reading { pieces: body.into_data_stream(), left: limit, outcome: outcome.clone() };
        let stream = futures_util::stream::unfold(state, |mut state| async {
            let piece = state.next().await?;
            Some((piece, state))
        });
        (Self { limit, outcome }, stream)
    }

    /// The problem with the body, if there was one; `otherwise` if not.
    pub(crate) fn problem_or(&self, otherwise: Problem) -> Problem {
        if self.outcome.is_too_large.load(Ordering::Acquire) {
            Problem::BodyTooLarge { limit: self.limit }
        } else if self.outcome.is_too_slow.load(Ordering::Acquire) {
            Problem::BodyTooSlow
        } else {
            otherwise
        }
    }
}

/// Reads a whole body. Without a login it has to be small: no anonymous request needs a large one.
pub(crate) async fn read_all(core: &Core, parts: &Parts, body: Body, limit: u64) -> Result<BytesMut, Problem> {
    let caller = session::caller(parts, core).await?;
    receive(core, parts, caller.as_ref(), body, limit).await
}

/// Reads a whole body of a caller.
pub(crate) async fn receive(
    core: &Core,
    parts: &Parts,
    caller: Option<&Caller>,
    body: Body,
    limit: u64,
) -> Result<BytesMut, Problem> {
    let limit = core.config.limits.max_body_bytes.min(if caller.is_none() { limit.min(ANONYMOUS_BODY) } else { limit });
    let declared = declared_length(parts);
    if declared.is_some_and(|declared| declared > limit) {
        return Err(Problem::BodyTooLarge { limit });
    }
    let room = core.bodies.open(session::source(parts), caller, limit);
    let (bounds, stream) = BoundedBody::new(body, limit);
    let mut stream = std::pin::pin!(stream);
    let declared = declared.and_then(|declared| usize::try_from(declared).ok()).unwrap_or(0);
    let mut whole = BytesMut::with_capacity(MAX_RESERVATION.min(declared));
    while let Some(piece) = next_piece(&room, &mut stream).await? {
        let piece = piece.map_err(|error| bounds.problem_or(Problem::unreadable(error)))?;
        room.add(piece.len()).await?;
        whole.extend_from_slice(&piece);
    }
    room.complete();
    if let Some(kept) = parts.extensions.get::<Kept>() {
        kept.keep(room);
    }
    Ok(whole)
}

/// The next piece, unless the body loses its memory to another one before.
async fn next_piece<S: Stream + Unpin>(room: &Room, stream: &mut S) -> Result<Option<S::Item>, Problem> {
    tokio::select! {
        biased;
        () = room.revoked() => Err(listener::budget::Exhausted::InTotal.into()),
        piece = stream.next() => Ok(piece),
    }
}

fn declared_length(parts: &Parts) -> Option<u64> {
    parts.headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

struct Reading {
    pieces: BodyDataStream,
    left: u64,
    outcome: Arc<Outcome>,
}

impl Reading {
    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        let piece = self.pieces.next().await?.map_err(BodyError::from).and_then(|piece| self.take(piece));
        match &piece {
            Err(BodyError::TooLarge) => self.outcome.is_too_large.store(true, Ordering::Release),
            Err(BodyError::TooSlow) => self.outcome.is_too_slow.store(true, Ordering::Release),
            Ok(_) | Err(BodyError::Broken(_)) => {}
        }
        Some(piece)
    }

    fn take(&mut self, piece: Bytes) -> Result<Bytes, BodyError> {
        self.left = self.left.checked_sub(piece.len() as u64).ok_or(BodyError::TooLarge)?;
        Ok(piece)
    }
}
