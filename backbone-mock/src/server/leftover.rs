//! Request bodies that a handler did not read.
//!
//! Many clients write a whole request before they look for the answer. If the connection were closed under them, they
//! would report a broken connection and never see, for instance, the 401 that tells them to log in again. So what a
//! handler leaves of a body is read and thrown away, within limits.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

/// Bytes that are thrown away at most.
const MAX_DISCARDED_BYTES: usize = 64 * 1024 * 1024;

/// Where a body goes back to when its reader is done with it.
#[derive(Debug, Clone, Default)]
pub struct Leftover(Arc<Mutex<Option<Body>>>);

impl Leftover {
    /// Lends a body to a handler.
    pub fn lend(&self, body: Body) -> Body {
        Body::new(Lent { body, home: self.clone() })
    }

    /// Reads and discards what the handler left.
    pub async fn discard(&self, patience: Duration) {
        let Some(body) = self.slot().take().filter(|body| !body.is_end_stream()) else { return };
        // Whether all of it came does not matter any more.
        let _ = tokio::time::timeout(patience, discard(body)).await;
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Body>> {
        // A handler that panics drops its body, and with it comes here, while it unwinds.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn discard(mut body: Body) {
    let mut discarded = 0;
    while discarded < MAX_DISCARDED_BYTES {
        match body.frame().await {
            Some(Ok(frame)) => discarded += frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) | None => return,
        }
    }
}

struct Lent {
    body: Body,
    home: Leftover,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.home.slot() = Some(std::mem::take(&mut self.body));
    }
}
