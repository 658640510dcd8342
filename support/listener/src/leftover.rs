//! Request bodies that a handler did not read.
//!
//! Many clients write a whole request before they look for the answer. If the connection were closed under them, they
//! would report a broken connection and never see, for instance, the 401 that tells them to log in again. So what a
//! handler leaves of a body is read and thrown away, within limits.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::EXPECT;
use hyper::body::{Body, Frame, SizeHint};

/// Bytes that are thrown away at most.
const MAX_DISCARDED_BYTES: usize = 64 * 1024 * 1024;

/// Lets a handler answer a request, and takes in what it leaves of the body, for at most `timeout`.
pub async fn answered<B, F>(
    request: Request<B>,
    timeout: Duration,
    handler: impl FnOnce(Request<BorrowedBody<B>>) -> F,
) -> F::Output
where
    B: Body<Data = Bytes> + Unpin,
    F: Future,
{
    let leftover = Leftover::default();
    // A client that waits for permission to send its body needs nobody to read it.
    let is_sent_anyway = !request.headers().contains_key(EXPECT);
    let answer = handler(request.map(|body| leftover.lend(body))).await;
    if is_sent_anyway {
        // Whether all of it came does not matter any more.
        let _ = tokio::time::timeout(timeout, leftover.discard()).await;
    }
    answer
}

/// Where a body goes back to when its reader is done with it.
#[derive(Debug)]
struct Leftover<B>(Arc<Mutex<Option<B>>>);

impl<B> Default for Leftover<B> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<B: Body<Data = Bytes> + Unpin> Leftover<B> {
    /// Lends a body to a handler.
    fn lend(&self, body: B) -> BorrowedBody<B> {
        BorrowedBody { body: Some(body), home: Self(self.0.clone()) }
    }

    /// Reads and discards what the handler left, as long as the body itself lets it last.
    async fn discard(&self) {
        let left = self.slot().take().filter(|body| !body.is_end_stream());
        if let Some(body) = left {
            discard(body).await;
        }
    }
}

impl<B> Leftover<B> {
    fn slot(&self) -> std::sync::MutexGuard<'_, Option<B>> {
        // A handler that panics drops its body, and with it comes here, while it unwinds.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn discard<B: Body<Data = Bytes> + Unpin>(mut body: B) {
    let mut discarded = 0;
    while discarded < MAX_DISCARDED_BYTES {
        let next = std::future::poll_fn(|context| pin!(&mut body).poll_frame(context));
        match next.await {
            Some(Ok(frame)) => discarded += frame.data_ref().map_or(0, Bytes::len),
            Some(Err(_)) | None => return,
        }
    }
}

/// A body on loan.
#[derive(Debug)]
pub struct BorrowedBody<B> {
    /// `None` only while it is dropped.
    body: Option<B>,
    home: Leftover<B>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for BorrowedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl<B> Drop for BorrowedBody<B> {
    fn drop(&mut self) {
        *self.home.slot() = self.body.take();
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use http_body_util::{BodyExt, Channel};

    use super::*;

    #[tokio::test]
    async fn what_is_left_of_a_body_is_read_up_to_the_bound() {
        let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
        let leftover = Leftover::default();
        let mut lent = leftover.lend(body);
        let piece = Bytes::from(vec![0; 1024 * 1024]);
        sender.send_data(piece.clone()).await.unwrap();
        assert_eq!(lent.frame().await.unwrap().unwrap().into_data().unwrap(), piece);
        drop(lent);
        let sending = async {
            let mut sent = 0;
            while sender.send_data(piece.clone()).await.is_ok() {
                sent += piece.len();
            }
            sent
        };
        let ((), sent) = tokio::join!(leftover.discard(), sending);
        // The channel holds one more piece than was read.
        assert!((MAX_DISCARDED_BYTES..=MAX_DISCARDED_BYTES + 2 * piece.len()).contains(&sent), "{sent}");
    }
}
