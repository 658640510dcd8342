//! Request bodies: bounded in size and in time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;

use super::problem::Problem;
use super::session;
use crate::core::Core;

/// Longer than any honest upload of the largest body takes.
const MAX_BODY_DURATION: Duration = Duration::from_secs(15 * 60);
/// Bytes of a body whose sender is not logged in.
const MAX_ANONYMOUS_BODY: u64 = 64 * 1024;
/// Capacity that a declared length may reserve up front.
const MAX_RESERVATION: usize = 64 * 1024;

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// It is larger than the server takes.
    #[error("the body is too large")]
    TooLarge,
    /// Its sender is too slow.
    #[error("the body arrives too slowly")]
    TooSlow,
    /// The connection broke.
    #[error("the body broke off")]
    Broken(#[source] axum::Error),
}

/// A body that ends with an error when it grows too large or arrives too slowly.
pub(crate) struct BoundedBody {
    limit: u64,
    too_large: Arc<AtomicBool>,
}

impl BoundedBody {
    /// Bounds a body. The stream yields its pieces; `self` tells afterwards whether it was too large.
    pub(crate) fn new(
        body: Body,
        limit: u64,
        patience: Duration,
    ) -> (Self, impl Stream<Item = Result<Bytes, BodyError>> + Send + use<>) {
        let too_large = Arc::new(AtomicBool::new(false));
        let state = Reading {
            pieces: body.into_data_stream(),
            left: limit,
            patience,
            deadline: tokio::time::Instant::now() + MAX_BODY_DURATION,
            too_large: too_large.clone(),
        };
        let stream = futures_util::stream::unfold(state, |mut state| async {
            let piece = state.next().await?;
            Some((piece, state))
        });
        (Self { limit, too_large }, stream)
    }

    /// The problem, if the body was too large; `otherwise` if not.
    pub(crate) fn problem_or(&self, otherwise: Problem) -> Problem {
        if self.too_large.load(Ordering::Acquire) { Problem::BodyTooLarge { limit: self.limit } } else { otherwise }
    }
}

/// Reads a whole body. Without a login it has to be small: there is no use for a large one, and it would be kept in memory
/// for anybody.
pub(crate) async fn read_all(core: &Core, headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let limits = &core.config.limits;
    let is_anonymous = session::caller(headers, core).await?.is_none();
    let limit = if is_anonymous { limits.max_body_bytes.min(MAX_ANONYMOUS_BODY) } else { limits.max_body_bytes };
    let (bounds, stream) = BoundedBody::new(body, limit, limits.body_timeout);
    let mut stream = std::pin::pin!(stream);
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or(0);
    let mut whole = BytesMut::with_capacity(MAX_RESERVATION.min(declared));
    while let Some(piece) = stream.next().await {
        whole.extend_from_slice(&piece.map_err(|error| bounds.problem_or(Problem::unreadable(error)))?);
    }
    Ok(whole.freeze())
}

struct Reading {
    pieces: BodyDataStream,
    left: u64,
    patience: Duration,
    deadline: tokio::time::Instant,
    too_large: Arc<AtomicBool>,
}

impl Reading {
    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        let piece = self.piece().await?;
        let Ok(bytes) = &piece else { return Some(piece) };
        match self.left.checked_sub(bytes.len() as u64) {
            Some(left) => self.left = left,
            None => {
                self.too_large.store(true, Ordering::Release);
                return Some(Err(BodyError::TooLarge));
            }
        }
        Some(piece)
    }

    async fn piece(&mut self) -> Option<Result<Bytes, BodyError>> {
        let until = self.deadline.min(tokio::time::Instant::now() + self.patience);
        match tokio::time::timeout_at(until, self.pieces.next()).await {
            Ok(piece) => piece.map(|piece| piece.map_err(BodyError::Broken)),
            Err(_) => Some(Err(BodyError::TooSlow)),
        }
    }
}
