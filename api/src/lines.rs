//! Answers that go on for as long as what they tell of: a line of JSON now, and one when it has ended.
//!
//! What they tell of lives as long as the request. A client that closes its connection ends it, and so does a server that stops.

use std::future::Future;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

use crate::reply::{Reply, ReplyContent};

/// JSON texts, one a line. Not compressible, so that no line waits for the next one.
const MEDIA: HeaderValue = HeaderValue::from_static("application/x-ndjson");

/// 200 with a line at once, and another one when `end` has come. `end` is dropped when the client is gone.
pub(crate) fn lines<T: Serialize, E: Serialize>(first: &T, end: impl Future<Output = E> + Send + 'static) -> Reply {
    let first = line(first);
    let last = async move { line(&end.await) };
    let all = stream::StreamExt::chain(stream::iter([first]), stream::once(last));
    let content = ReplyContent::Stream { media: MEDIA, body: Body::from_stream(all) };
    Reply::streamed(StatusCode::OK, content)
}

fn line<T: Serialize>(value: &T) -> std::io::Result<Bytes> {
    let mut text = serde_json::to_vec(value).map_err(std::io::Error::other)?;
    text.push(b'\n');
    Ok(text.into())
}
