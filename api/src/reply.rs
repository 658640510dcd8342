//! What a handler answers, before headers.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::problem::Problem;
use crate::protocol::attachment;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
/// Creations say where the new thing is; clients expect this placeholder.
const NOWHERE: HeaderValue = HeaderValue::from_static("_");
/// A successful answer, or the text of a failed one.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content: Content,
    pub(crate) headers: HeaderMap,
    /// The route chose between media types.
    pub(crate) negotiated: bool,
    /// A documentation page, which needs scripts.
    pub(crate) is_docs: bool,
}

/// The bytes of an answer.
#[derive(Debug)]
pub(crate) enum Content {
    Empty,
    Bytes {
        media: HeaderValue,
        bytes: Bytes,
    },
    Stream {
        media: HeaderValue,
        /// Known before the first byte is sent.
        size: Option<Size>,
        body: Body,
    },
}

/// How long a stream is, and which one it is.
#[derive(Debug)]
pub(crate) struct Size {
    pub(crate) length: u64,
    /// Changes when the bytes do.
    pub(crate) tag: String,
}

impl Content {
    pub(crate) fn media(&self) -> Option<&HeaderValue> {
        match self {
            Self::Empty => None,
            Self::Bytes { media, .. } | Self::Stream { media, .. } => Some(media),
        }
    }
}

#[derive(Serialize)]
struct Envelope<'a, T: Serialize + ?Sized> {
    result: &'a T,
}

impl Reply {
    /// 200 with a result.
    pub(crate) fn ok<T: Serialize + ?Sized>(result: &T) -> Self {
        Self::json(StatusCode::OK, &Envelope { result })
    }

    /// 201 with the new thing.
    pub(crate) fn created<T: Serialize + ?Sized>(result: &T) -> Self {
        Self::json(StatusCode::CREATED, &Envelope { result }).with(header::LOCATION, NOWHERE)
    }

    /// 204.
    pub(crate) fn no_content() -> Self {
        Self::new(StatusCode::NO_CONTENT, Content::Empty)
    }

    /// JSON without an envelope.
    pub(crate) fn json<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Self {
        match serde_json::to_vec(value) {
            Ok(text) => Self::bytes(status, JSON, text.into()),
            Err(error) => {
                tracing::error!(%error, "an answer could not be written as JSON");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, Content::Empty)
            }
        }
    }

    /// 200 with a JSON text.
    pub(crate) fn json_text(text: Vec<u8>) -> Self {
        Self::bytes(StatusCode::OK, JSON, text.into())
    }

    /// 200 with a JSON text whose length nobody knows yet.
    pub(crate) fn json_stream(body: Body) -> Self {
        Self::new(StatusCode::OK, Content::Stream { media: JSON, size: None, body })
    }

    /// A picture to be saved under a name.
    pub(crate) fn png(status: StatusCode, name: &str, bytes: Vec<u8>) -> Self {
        let media = HeaderValue::from_static("image/png");
        Self::bytes(status, media, bytes.into()).with(header::CONTENT_DISPOSITION, attachment(name))
    }

    /// A file as a stream of known length. An unusual media type is replaced by the general one.
    pub(crate) fn download(name: &str, mimetype: &str, length: u64, tag: String, body: Body) -> Self {
        let media = HeaderValue::from_str(mimetype).unwrap_or(HeaderValue::from_static("application/octet-stream"));
        Self::new(StatusCode::OK, Content::Stream { media, size: Some(Size { length, tag }), body })
            .with(header::CONTENT_DISPOSITION, attachment(name))
    }

    /// Bytes of some type.
    pub(crate) fn bytes(status: StatusCode, media: HeaderValue, bytes: Bytes) -> Self {
        Self::new(status, Content::Bytes { media, bytes })
    }

    /// 301.
    pub(crate) fn moved(location: &'static str) -> Self {
        let reply = Self::new(StatusCode::MOVED_PERMANENTLY, Content::Empty);
        reply.with(header::LOCATION, HeaderValue::from_static(location))
    }

    /// The text of a failure.
    pub(crate) fn problem(problem: &Problem, now: runtime::Timestamp) -> Self {
        let reply = Self::json(problem.status(), &problem.body(now));
        match problem.header() {
            Some((name, value)) => reply.with(name, value),
            None => reply,
        }
    }

    /// With one more header.
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    fn new(status: StatusCode, content: Content) -> Self {
        Self { status, content, headers: HeaderMap::new(), negotiated: false, is_docs: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_that_is_no_header_value_becomes_the_general_one() {
        let reply = Reply::download("a", "text/plain\r\nx: y", 0, String::new(), Body::empty());
        assert_eq!(reply.content.media().unwrap(), "application/octet-stream");
    }
}
