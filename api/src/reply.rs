//! What a handler answers, before headers.

use std::future;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::problem::Problem;
use crate::protocol::attachment;

/// By which path the first byte of a file has come: the name of a [`runtime::Path`].
pub(crate) const PATH: HeaderName = HeaderName::from_static("x-enlace-path");
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
/// A successful answer, or the text of a failed one.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content: ReplyContent,
    pub(crate) headers: HeaderMap,
    /// The route chose between media types.
    pub(crate) negotiated: bool,
    /// The content is a result, which the face puts into its envelope.
    pub(crate) is_result: bool,
    /// Instead of the face's `Content-Security-Policy`.
    pub(crate) content_policy: Option<&'static str>,
}

/// The bytes of an answer.
#[derive(Debug)]
pub(crate) enum ReplyContent {
    Empty,
    Bytes {
        media: HeaderValue,
        bytes: Bytes,
    },
    /// If its length and its entity tag are known before the first byte is sent, they are among the headers.
    Stream {
        media: HeaderValue,
        body: Body,
    },
}

impl ReplyContent {
    pub(crate) fn media(&self) -> Option<&HeaderValue> {
        match self {
            Self::Empty => None,
            Self::Bytes { media, .. } | Self::Stream { media, .. } => Some(media),
        }
    }

    fn wrapped(self, before: &'static str, after: &'static str) -> Self {
        match self {
            Self::Empty => Self::Empty,
            Self::Bytes { media, bytes } => {
                let bytes = [before.as_bytes(), &bytes, after.as_bytes()].concat().into();
                Self::Bytes { media, bytes }
            }
            Self::Stream { media, body } => Self::Stream { media, body: surrounded(body, before, after) },
        }
    }
}

impl Reply {
    /// 200 with a result.
    pub(crate) fn ok<T: Serialize + ?Sized>(result: &T) -> Self {
        Self { is_result: true, ..Self::json(StatusCode::OK, result) }
    }

    /// 201 with the new thing.
    pub(crate) fn created<T: Serialize + ?Sized>(result: &T) -> Self {
        Self { is_result: true, ..Self::json(StatusCode::CREATED, result) }
    }

    /// 204.
    pub(crate) fn no_content() -> Self {
        Self::new(StatusCode::NO_CONTENT, ReplyContent::Empty)
    }

    /// JSON without an envelope.
    pub(crate) fn json<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(text) => Self::bytes(status, JSON, text.into()),
            Err(error) => {
                tracing::error!(%error, "an answer could not be written as JSON");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, ReplyContent::Empty)
            }
        }
    }

    /// 200 with a result that is JSON text already.
    pub(crate) fn json_text(text: Vec<u8>) -> Self {
        Self { is_result: true, ..Self::bytes(StatusCode::OK, JSON, text.into()) }
    }

    /// A stream without an envelope.
    pub(crate) fn streamed(status: StatusCode, content: ReplyContent) -> Self {
        Self::new(status, content)
    }

    /// 200 with a result that is JSON text of unknown length.
    pub(crate) fn json_stream(body: Body) -> Self {
        let content = ReplyContent::Stream { media: JSON, body };
        Self { is_result: true, ..Self::new(StatusCode::OK, content) }
    }

    /// With text around the result, if there is one.
    pub(crate) fn wrapped(mut self, before: &'static str, after: &'static str) -> Self {
        if std::mem::take(&mut self.is_result) {
            self.content = self.content.wrapped(before, after);
        }
        self
    }

    /// A picture to be saved under a name.
    pub(crate) fn png(status: StatusCode, name: &str, bytes: Vec<u8>) -> Self {
        let media = HeaderValue::from_static("image/png");
        Self::bytes(status, media, bytes.into()).with(header::CONTENT_DISPOSITION, attachment(name))
    }

    /// A file or a part of it as a stream, with the headers that say which part. An unusual media type is replaced by the
    /// general one.
    pub(crate) fn download(name: &str, mimetype: &str, status: StatusCode, headers: HeaderMap, body: Body) -> Self {
        Self::stream(status, mimetype, headers, body).with(header::CONTENT_DISPOSITION, attachment(name))
    }

    /// The same without a name.
    pub(crate) fn stream(status: StatusCode, mimetype: &str, headers: HeaderMap, body: Body) -> Self {
        let media = HeaderValue::from_str(mimetype).unwrap_or(HeaderValue::from_static("application/octet-stream"));
        Self { headers, ..Self::new(status, ReplyContent::Stream { media, body }) }
    }

    /// Bytes of some type.
    pub(crate) fn bytes(status: StatusCode, media: HeaderValue, bytes: Bytes) -> Self {
        Self::new(status, ReplyContent::Bytes { media, bytes })
    }

    /// 301.
    pub(crate) fn moved(location: &'static str) -> Self {
        let reply = Self::new(StatusCode::MOVED_PERMANENTLY, ReplyContent::Empty);
        reply.with(header::LOCATION, HeaderValue::from_static(location))
    }

    /// A failure, with its headers and the body that a face gives it.
    pub(crate) fn problem<T: Serialize + ?Sized>(problem: &Problem, body: &T) -> Self {
        Self { headers: problem.headers(), ..Self::json(problem.status(), body) }
    }

    /// With one more header.
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    fn new(status: StatusCode, content: ReplyContent) -> Self {
        let (negotiated, is_result, content_policy) = (false, false, None);
        Self { status, content, headers: HeaderMap::new(), negotiated, is_result, content_policy }
    }
}

/// Nothing, of unknown length. [`Body::empty`] has one, which would be taken for that of the content: compression would decide
/// by it, and `HEAD` and 304 would say that the content is empty.
pub(crate) fn without_bytes() -> Body {
    Body::from_stream(stream::empty::<std::io::Result<Bytes>>())
}

/// A body, which is not empty, between two texts. The second one is left out if the body breaks off.
fn surrounded(body: Body, before: &'static str, after: &'static str) -> Body {
    let mut before = Some(before);
    // In one piece with what follows, so that readers get something with the first one.
    let begun = body.into_data_stream().map_ok(move |piece| match before.take() {
        Some(before) => [before.as_bytes(), &piece].concat().into(),
        None => piece,
    });
    let all = begun.chain(stream::once(future::ready(Ok(Bytes::from_static(after.as_bytes())))));
    let until_broken = all.scan(false, |is_broken, piece| {
        let is_over = std::mem::replace(is_broken, piece.is_err());
        future::ready((!is_over).then_some(piece))
    });
    // Compression asks again after the end.
    Body::from_stream(until_broken.fuse())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_that_is_no_header_value_becomes_the_general_one() {
        let reply = Reply::download("a", "text/plain\r\nx: y", StatusCode::OK, HeaderMap::new(), Body::empty());
        assert_eq!(reply.content.media().unwrap(), "application/octet-stream");
    }

    #[test]
    fn only_results_are_wrapped_and_only_once() {
        let text = |reply: Reply| match reply.content {
            ReplyContent::Bytes { bytes, .. } => String::from_utf8(bytes.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(text(Reply::ok(&1).wrapped("<", ">").wrapped("<", ">")), "<1>");
        assert_eq!(text(Reply::json(StatusCode::OK, &1).wrapped("<", ">")), "1");
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_is_not_completed() {
        for (pieces, expected) in
            [(vec![Ok("1"), Ok("2")], "<1|2|>"), (vec![Ok("1"), Err(std::io::Error::other("x"))], "<1|x")]
        {
            let reply = Reply::json_stream(Body::from_stream(stream::iter(pieces))).wrapped("<", ">");
            let ReplyContent::Stream { body, .. } = reply.content else { panic!("no stream") };
            let pieces = body.into_data_stream().map(|piece| match piece {
                Ok(piece) => String::from_utf8(piece.to_vec()).unwrap(),
                Err(error) => error.to_string(),
            });
            assert_eq!(pieces.collect::<Vec<_>>().await.join("|"), expected);
        }
    }
}
