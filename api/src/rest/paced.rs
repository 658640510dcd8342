//! A body that is read in small pieces, one at a time, and no more than is allowed.
//!
//! The parser of forms takes in whatever is there before it looks at it, and keeps the head of a part in memory until it is
//! complete. A fast sender could fill the memory in both ways.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::Stream;

/// Maximum size of a piece in bytes.
pub(super) const PIECE: usize = 64 * 1024;

/// How many bytes of a body may still be read.
#[derive(Clone, Default)]
pub(super) struct Allowance(Arc<AtomicUsize>);

impl Allowance {
    pub(super) fn set(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    fn spend(&self, bytes: usize) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }
}

/// More is read than is allowed.
#[derive(Debug, thiserror::Error)]
#[error("more of the body is needed than a part's head may have")]
struct NotAllowed;

/// Gives way after each piece.
struct Paced {
    body: BodyDataStream,
    /// Of what arrived last.
    rest: Bytes,
    gave_way: bool,
    allowance: Allowance,
}

/// A body that fails when more of it is read than is allowed at that time.
pub(super) fn paced(body: Body, allowance: Allowance) -> Body {
    Body::from_stream(Paced { body: body.into_data_stream(), rest: Bytes::new(), gave_way: true, allowance })
}

impl Stream for Paced {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !std::mem::replace(&mut self.gave_way, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_next(context)) {
                Some(Ok(arrived)) => self.rest = arrived,
                other => return Poll::Ready(other),
            }
        }
        self.gave_way = false;
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        let allowed = self.allowance.spend(length);
        Poll::Ready(Some(if allowed { Ok(piece) } else { Err(axum::Error::new(NotAllowed)) }))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, StreamExt as _};

    use super::*;

    #[tokio::test]
    async fn pieces_are_small_and_come_one_at_a_time() {
        let bytes: Vec<u8> = (0..3 * PIECE + 5).map(|index| (index % 251) as u8).collect();
        let allowance = Allowance::default();
        allowance.set(usize::MAX);
        let mut body = paced(Body::from(bytes.clone()), allowance).into_data_stream();
        let mut read = Vec::new();
        while let Some(piece) = body.next().await {
            let piece = piece.unwrap();
            assert!(!piece.is_empty() && piece.len() <= PIECE);
            read.extend_from_slice(&piece);
            assert!(body.next().now_or_never().is_none(), "it gives way");
        }
        assert!(read == bytes);
    }

    #[tokio::test]
    async fn what_is_allowed_is_read_and_a_byte_more_is_not() {
        for (allowed, fits) in [(PIECE + 1, true), (PIECE, false)] {
            let allowance = Allowance::default();
            allowance.set(allowed);
            let mut body = paced(Body::from(vec![0; PIECE + 1]), allowance).into_data_stream();
            assert_eq!(body.next().await.unwrap().unwrap().len(), PIECE);
            assert_eq!(body.next().await.unwrap().is_ok(), fits);
        }
    }
}
