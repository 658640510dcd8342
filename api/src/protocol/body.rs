//! Request bodies: what is read, how much of it, and what counts as none.
//!
//! Bodies are read before a key is looked at, so everything here is bounded: bytes, values, nesting and time, and what of
//! large ones is in memory at the same time. Multipart bodies are left unread for the routes that take them.
//! Compressed bodies are inflated; the bounds are for what they become. Multipart bodies are not: they are streams of files.

use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, header};
use listener::pace::is_too_slow;
use runtime::json_budget::{self, JsonBudget, JsonBudgetError};
use serde_json::{Map, Value};

use super::admission::Admission;
use super::bounds::{BodyBounds, UNCOUNTED_BYTES};
use super::encoding::{Encoding, is_too_long};
use super::query;
use crate::problem::Problem;

/// Deepest nesting that is read; the parser has the same bound.
const MAX_DEPTH: usize = 127;
/// Largest form body in bytes.
pub(crate) const MAX_FORM: usize = 100 * 1024;
/// Longest time a JSON or form body may take.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What a request carries.
#[derive(Debug)]
pub(crate) enum Body {
    /// An object or a list. No body at all is the empty object.
    Json(Value),
    /// In parts, not read yet.
    Multipart {
        /// Holds the boundary.
        content_type: HeaderValue,
        body: axum::body::Body,
    },
    /// There is something, but not in a form that is read. Routes without a body do not mind.
    Unreadable,
    /// The same for a `Content-Encoding`.
    UnknownEncoding,
}

impl Body {
    /// The JSON value, for routes that need one.
    pub(crate) fn into_json(self) -> Result<Value, Problem> {
        match self {
            Self::Json(value) => Ok(value),
            Self::Multipart { .. } | Self::Unreadable => Err(Problem::invalid_json()),
            Self::UnknownEncoding => Err(Problem::unsupported_encoding()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Form,
    Multipart,
    Absent,
    Other,
}

/// Reads what the headers announce, with the shares that a large body needs. `bounds` are the route's; whoever has no key
/// gets nothing large read.
pub(crate) async fn read(
    parts: &Parts,
    body: axum::body::Body,
    has_key: bool,
    bounds: BodyBounds,
) -> Result<(Body, Admission), Problem> {
    let mut admission = Admission::default();
    let format = format_of(&parts.headers);
    let encoding = match Encoding::of(&parts.headers) {
        Some(Encoding::Identity) => Encoding::Identity,
        Some(encoding) if format != Format::Multipart => encoding,
        _ => return Ok((Body::UnknownEncoding, admission)),
    };
    let read = match format {
        Format::Json => {
            let bounds = if has_key { bounds } else { BodyBounds::KNOWN };
            let text = collect((parts, encoding), body, bounds.bytes(), has_key, &mut admission).await?;
            let values = count_values(&text, bounds.values(), has_key)?;
            admission.admit_values(values).await?;
            Body::Json(parse_json(&text)?)
        }
        Format::Form => {
            Body::Json(parse_form(&collect((parts, encoding), body, MAX_FORM, has_key, &mut admission).await?)?)
        }
        Format::Multipart => multipart(&parts.headers, body),
        Format::Absent if is_empty(&parts.headers) => Body::Json(Value::Object(Map::new())),
        Format::Absent | Format::Other => Body::Unreadable,
    };
    Ok((read, admission))
}

/// How many values a text holds, if they are not too many to be decoded.
fn count_values(text: &[u8], limit: usize, has_key: bool) -> Result<usize, Problem> {
    let budget = JsonBudget { max_nodes: limit, max_depth: MAX_DEPTH };
    json_budget::count(text, &budget).map_err(|error| match error {
        JsonBudgetError::TooManyNodes { .. } if !has_key => Problem::unauthorized(),
        JsonBudgetError::TooManyNodes { max } => Problem::too_many_values(max),
        JsonBudgetError::TooDeep { .. } => Problem::invalid_json(),
    })
}

/// Reads a body up to a limit, without a key up to a lower one. One that may become large waits for its share first.
async fn collect(
    (parts, encoding): (&Parts, Encoding),
    body: axum::body::Body,
    limit: usize,
    has_key: bool,
    admission: &mut Admission,
) -> Result<Bytes, Problem> {
    // Nobody knows what a compressed body becomes: it may become as long as is allowed.
    let announced = announced_length(&parts.headers).filter(|_| encoding == Encoding::Identity).unwrap_or(limit);
    if has_key && announced <= limit {
        admission.admit_bytes(announced).await?;
    }
    let read = encoding.collect(body, if has_key { limit } else { limit.min(UNCOUNTED_BYTES) });
    match tokio::time::timeout(READ_TIMEOUT, read).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_too_long(error.as_ref()) => {
            Err(if has_key { Problem::payload_too_large(limit) } else { Problem::unauthorized() })
        }
        Ok(Err(error)) if is_too_slow(error.as_ref()) => Err(Problem::timeout()),
        Ok(Err(_)) => Err(Problem::invalid_json()),
        Err(_) => Err(Problem::timeout()),
    }
}

fn multipart(headers: &HeaderMap, body: axum::body::Body) -> Body {
    match headers.get(header::CONTENT_TYPE).cloned() {
        Some(content_type) => Body::Multipart { content_type, body },
        None => Body::Unreadable,
    }
}

fn format_of(headers: &HeaderMap) -> Format {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Format::Absent };
    let Ok(text) = value.to_str() else { return Format::Other };
    // Parameters say nothing: JSON is UTF-8, and has no charset (RFC 8259, section 11).
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Format::Json,
        "application/x-www-form-urlencoded" => Format::Form,
        "multipart/form-data" => Format::Multipart,
        _ => Format::Other,
    }
}

/// How long the body is, if the headers say so: the server lets through no more than that.
fn announced_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the headers say that nothing follows.
fn is_empty(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).is_none_or(|value| value.as_bytes() == b"0");
    length && !headers.contains_key(header::TRANSFER_ENCODING)
}

fn parse_json(bytes: &[u8]) -> Result<Value, Problem> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    if bytes.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    match serde_json::from_slice(bytes) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => Ok(value),
        _ => Err(Problem::invalid_json()),
    }
}

/// A flat object of texts; of a name that is repeated, a list.
fn parse_form(bytes: &[u8]) -> Result<Value, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|_| Problem::invalid_json())?;
    let mut form = Map::new();
    for (name, value) in query::parse(text)? {
        append(&mut form, name, value);
    }
    Ok(Value::Object(form))
}

/// Adds a text under a name; a second one makes a list of both.
pub(crate) fn append(form: &mut Map<String, Value>, name: String, value: String) {
    let value = Value::String(value);
    match form.get_mut(&name) {
        None => {
            form.insert(name, value);
        }
        Some(Value::Array(list)) => list.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::bounds::UNCOUNTED_VALUES;
    use super::*;

    async fn read_with(content_type: Option<&str>, body: &[u8]) -> Result<Body, Problem> {
        let mut request = Request::builder();
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let length = body.len();
        let request = request.header(header::CONTENT_LENGTH, length).body(()).unwrap();
        read_within(BodyBounds::FREE, &request.into_parts().0, axum::body::Body::from(body.to_vec())).await
    }

    async fn read_within(bounds: BodyBounds, parts: &Parts, body: axum::body::Body) -> Result<Body, Problem> {
        Ok(read(parts, body, true, bounds).await?.0)
    }

    async fn json_of(content_type: &str, body: &[u8]) -> Result<Value, Problem> {
        read_with(Some(content_type), body).await?.into_json()
    }

    #[tokio::test]
    async fn objects_and_lists_are_json_and_nothing_is_the_empty_object() {
        for (body, expected) in
            [("{}", json!({})), ("[1]", json!([1])), ("", json!({})), ("\u{feff}{\"a\":1}", json!({"a": 1}))]
        {
            assert_eq!(json_of("application/json", body.as_bytes()).await.unwrap(), expected, "{body}");
        }
        assert_eq!(read_with(None, b"").await.unwrap().into_json().unwrap(), json!({}));
    }

    #[tokio::test]
    async fn primitives_blanks_and_malformed_texts_are_refused() {
        let deep = "[".repeat(200);
        for body in ["1", "\"x\"", "null", "true", " ", "{", "{} x", "\u{feff}", deep.as_str()] {
            let read = json_of("application/json", body.as_bytes()).await;
            let blank = body == "\u{feff}";
            assert_eq!(read.is_ok(), blank, "{body}");
        }
    }

    #[tokio::test]
    async fn forms_are_flat_texts() {
        let form = "application/x-www-form-urlencoded";
        assert_eq!(json_of(form, b"").await.unwrap(), json!({}));
        let body = b"ephemeral=false&x=a+b&x=2";
        assert_eq!(json_of(form, body).await.unwrap(), json!({"ephemeral": "false", "x": ["a b", "2"]}));
    }

    #[tokio::test]
    async fn what_is_not_read_is_unreadable_only_where_json_is_needed() {
        for content_type in ["text/plain", "application/vnd.api+json", "application/json-seq"] {
            let body = read_with(Some(content_type), b"{}").await.unwrap();
            assert!(matches!(body, Body::Unreadable), "{content_type}");
            assert!(body.into_json().is_err());
        }
        assert!(matches!(read_with(None, b"{}").await.unwrap(), Body::Unreadable));
    }

    #[tokio::test]
    async fn a_body_is_utf_8_whatever_its_charset_is_said_to_be() {
        let latin = "application/json; charset=iso-8859-1";
        assert_eq!(json_of(latin, "{\"a\":\"ä\"}".as_bytes()).await.unwrap(), json!({"a": "ä"}));
        assert!(json_of(latin, b"{\"a\":\"\xe4\"}").await.is_err());
    }

    #[tokio::test]
    async fn without_a_key_only_small_bodies_are_read() {
        let many = format!("[{}0]", "0,".repeat(UNCOUNTED_VALUES));
        for (body, status) in [("{".to_owned(), 400), (" ".repeat(UNCOUNTED_BYTES + 1), 401), (many, 401)] {
            let request = Request::builder().header(header::CONTENT_TYPE, "application/json").body(()).unwrap();
            let read = read(&request.into_parts().0, axum::body::Body::from(body), false, BodyBounds::FREE).await;
            assert_eq!(read.unwrap_err().status().as_u16(), status);
        }
    }

    #[tokio::test]
    async fn a_small_compressed_body_counts_as_what_it_may_become() {
        let gzip_of_empty_object = [31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 171, 174, 5, 0, 67, 191, 166, 163, 2, 0, 0, 0];
        for (bounds, counted) in [(BodyBounds::FREE, true), (BodyBounds::KNOWN, false)] {
            let request = Request::builder()
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::CONTENT_ENCODING, "gzip")
                .header(header::CONTENT_LENGTH, gzip_of_empty_object.len());
            let parts = request.body(()).unwrap().into_parts().0;
            let body = axum::body::Body::from(gzip_of_empty_object.to_vec());
            let (body, admission) = read(&parts, body, true, bounds).await.unwrap();
            assert_eq!((body.into_json().unwrap(), admission.counts_bytes()), (json!({}), counted));
        }
    }

    async fn status_within(bounds: BodyBounds, text: String) -> u16 {
        let request = Request::builder().header(header::CONTENT_TYPE, "application/json").body(()).unwrap();
        let read = read_within(bounds, &request.into_parts().0, axum::body::Body::from(text)).await;
        read.map_or_else(|problem| problem.status().as_u16(), |_| 200)
    }

    #[tokio::test]
    async fn sizes_are_limited() {
        for bounds in [BodyBounds::FREE, BodyBounds::KNOWN] {
            for (length, status) in [(bounds.bytes(), 200), (bounds.bytes() + 1, 413)] {
                let text = format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8));
                assert_eq!(status_within(bounds, text).await, status, "{bounds:?}");
            }
            // The list is a value, too.
            for (values, status) in [(bounds.values() - 1, 200), (bounds.values(), 413)] {
                let text = format!("[{}0]", "0,".repeat(values - 1));
                assert_eq!(status_within(bounds, text).await, status, "{bounds:?}");
            }
        }
        let form = vec![b'a'; MAX_FORM + 1];
        assert_eq!(json_of("application/x-www-form-urlencoded", &form).await.unwrap_err().status().as_u16(), 413);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_end_is_given_up() {
        let never = axum::body::Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let request = Request::builder().header(header::CONTENT_TYPE, "application/json").body(()).unwrap();
        let problem = read_within(BodyBounds::KNOWN, &request.into_parts().0, never).await.unwrap_err();
        assert_eq!(problem.status().as_u16(), 408);
    }

    proptest! {
        #[test]
        fn any_bytes_are_json_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(value) = parse_json(&bytes) {
                prop_assert!(value.is_object() || value.is_array());
            }
            if let Ok(value) = parse_form(&bytes) {
                prop_assert!(value.is_object());
            }
        }
    }
}
