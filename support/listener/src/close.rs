//! Requests that are refused before they were read to their end.
//!
//! What is left of such a request is still on its way, so its connection cannot carry another one and gets closed. A
//! client that is not told so sends its next request there, and loses it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Response};
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::pace::{Paced, PacedError};

/// The body of a request: paced, and known to the connection.
#[derive(Debug)]
pub struct RequestBody {
    body: Paced<Incoming>,
    end: BodyEnd,
}

/// Whether a body was read to its end.
#[derive(Debug, Clone)]
pub(crate) struct BodyEnd(Arc<AtomicBool>);

impl RequestBody {
    pub(crate) fn new(body: Paced<Incoming>) -> (Self, BodyEnd) {
        let end = BodyEnd(Arc::new(AtomicBool::new(body.is_end_stream())));
        (Self { body, end: end.clone() }, end)
    }
}

impl BodyEnd {
    /// Announces the end of the connection with a refusal that came before the end of the request. Successes are left
    /// alone: what they did not read is at most the end marker of a form, which the connection survives. Returns whether it
    /// ends.
    pub(crate) fn announce_close<B>(&self, answer: &mut Response<B>) -> bool {
        let refused = answer.status().is_client_error() || answer.status().is_server_error();
        let ends = refused && !self.0.load(Ordering::Relaxed);
        if ends {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        ends
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = PacedError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PacedError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        // What ends with an error did not end.
        let is_whole = frame.as_ref().is_none_or(|frame| frame.is_ok() && self.body.is_end_stream());
        if is_whole {
            self.end.0.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
