//! What every answer carries, whichever way it came about.

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use runtime::Timestamp;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use uuid::Uuid;

use crate::reply::{PATH, Reply, ReplyContent, without_bytes};

/// Names a request across programs and logs.
pub(crate) const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
const RESPONSE_TIME: HeaderName = HeaderName::from_static("x-response-time");
const RESPONSE_DURATION: HeaderName = HeaderName::from_static("x-response-duration-ms");
/// Longest correlation id that is taken over.
const MAX_CORRELATION_ID: usize = 128;
/// Bytes of the digest in an entity tag.
const TAG_BYTES: usize = 15;

/// Which pages may show an answer as a part of theirs (Fetch standard, section 3.7).
pub(crate) const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

const SECURITY: [(&str, &str); 11] = [
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("origin-agent-cluster", "?1"),
    ("referrer-policy", "no-referrer"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains"),
    ("x-content-type-options", "nosniff"),
    ("x-dns-prefetch-control", "off"),
    ("x-download-options", "noopen"),
    ("x-frame-options", "SAMEORIGIN"),
    ("x-permitted-cross-domain-policies", "none"),
    ("x-xss-protection", "0"),
];

/// The caller's correlation id, or a fresh one.
pub(crate) fn correlation_id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(CORRELATION_ID).filter(|value| {
        let length = value.len();
        (1..=MAX_CORRELATION_ID).contains(&length) && value.as_bytes().iter().all(u8::is_ascii_graphic)
    });
    given
        .cloned()
        .unwrap_or_else(|| HeaderValue::from_str(&Uuid::new_v4().to_string()).expect("a UUID is visible ASCII"))
}

/// What a request contributes to the headers of its answer.
pub(crate) struct Finish {
    pub(crate) method: Method,
    /// Unless the reply brings its own.
    pub(crate) content_policy: &'static str,
    pub(crate) if_none_match: Option<HeaderValue>,
    pub(crate) correlation_id: HeaderValue,
    /// A configured site that calls.
    pub(crate) origin: Option<String>,
    pub(crate) started: Instant,
    pub(crate) now: Timestamp,
}

impl Finish {
    /// Turns a reply into an HTTP answer.
    pub(crate) fn apply(self, reply: Reply) -> Response {
        let Reply { mut status, content, mut headers, negotiated, is_result: _, content_policy } = reply;
        let is_read = matches!(self.method, Method::GET | Method::HEAD);
        // A redirect is nothing that a client keeps; what brings a tag of its own has been compared already.
        let is_tagged = headers.contains_key(header::ETAG);
        let tag = entity_tag(&content).filter(|_| !status.is_redirection() && !is_tagged);
        let is_known = |given| tag.as_ref().is_some_and(|tag| matches_tag(given, tag));
        set_vary(&mut headers, &content, status, negotiated && is_read);
        if status == StatusCode::OK && is_read && self.if_none_match.as_ref().is_some_and(is_known) {
            status = StatusCode::NOT_MODIFIED;
        }
        if let Some(value) = tag.and_then(|tag| HeaderValue::from_str(&tag).ok()) {
            headers.insert(header::ETAG, value);
        }
        self.add_common(&mut headers, content_policy.unwrap_or(self.content_policy));
        let body = match status {
            StatusCode::NOT_MODIFIED => without_bytes(),
            _ => self.body(content, &mut headers),
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    fn body(&self, content: ReplyContent, headers: &mut HeaderMap) -> Body {
        match content {
            ReplyContent::Empty => Body::empty(),
            ReplyContent::Bytes { media, bytes } => {
                headers.insert(header::CONTENT_TYPE, media);
                headers.insert(header::CONTENT_LENGTH, u64::try_from(bytes.len()).unwrap_or(u64::MAX).into());
                if self.method == Method::HEAD { Body::empty() } else { Body::from(bytes) }
            }
            // The router drops the body of an answer to HEAD. An empty one would be taken for the length of the answer.
            ReplyContent::Stream { media, body } => {
                headers.insert(header::CONTENT_TYPE, media);
                body
            }
        }
    }

    fn add_common(&self, headers: &mut HeaderMap, content_policy: &'static str) {
        for (name, value) in SECURITY {
            // A reply may bring its own.
            headers.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
        }
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(content_policy));
        headers.insert(CORRELATION_ID, self.correlation_id.clone());
        let milliseconds = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        headers.insert(RESPONSE_DURATION, milliseconds.into());
        if let Ok(now) = HeaderValue::from_str(&self.now.to_string()) {
            headers.insert(RESPONSE_TIME, now);
        }
        if let Some(origin) = self.origin.as_ref().and_then(|origin| HeaderValue::from_str(origin).ok()) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
            // Others that scripts of a site need are readable anyway.
            if headers.contains_key(PATH) {
                headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from(PATH));
            }
        }
    }
}

fn set_vary(headers: &mut HeaderMap, content: &ReplyContent, status: StatusCode, negotiated: bool) {
    let compressible = content.media().is_some_and(is_compressible);
    let vary = match (negotiated && status == StatusCode::OK, compressible) {
        (true, true) => "Accept, Accept-Encoding",
        (true, false) => "Accept",
        (false, true) => "Accept-Encoding",
        (false, false) => return,
    };
    headers.insert(header::VARY, HeaderValue::from_static(vary));
}

/// Text shrinks; everything else costs time and gains nothing.
pub(crate) fn is_compressible(media: &HeaderValue) -> bool {
    let media = media.to_str().unwrap_or_default();
    let essence = media.split(';').next().unwrap_or_default().trim();
    essence.starts_with("text/")
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
        || matches!(essence, "application/json" | "application/javascript" | "application/xml")
}

/// None for what is not known before it is sent.
fn entity_tag(content: &ReplyContent) -> Option<String> {
    match content {
        ReplyContent::Empty => Some("W/\"0\"".to_owned()),
        ReplyContent::Bytes { bytes, .. } => {
            let digest = Sha256::digest(bytes);
            Some(format!("W/\"{:x}-{}\"", bytes.len(), URL_SAFE_NO_PAD.encode(&digest[..TAG_BYTES])))
        }
        ReplyContent::Stream { .. } => None,
    }
}

/// Whether a list of entity tags, as `If-None-Match` has it, names one; weak comparison (RFC 9110, section 8.8.3.2).
pub(crate) fn matches_tag(given: &HeaderValue, tag: &str) -> bool {
    let weak = |text: &str| text.trim().trim_start_matches("W/").to_owned();
    let Ok(given) = given.to_str() else { return false };
    given.trim() == "*" || given.split(',').any(|candidate| weak(candidate) == weak(tag))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn finish(method: Method, if_none_match: Option<&str>) -> Finish {
        Finish {
            method,
            content_policy: "default-src 'none'",
            if_none_match: if_none_match.map(|text| HeaderValue::from_str(text).unwrap()),
            correlation_id: HeaderValue::from_static("c"),
            origin: None,
            started: Instant::now(),
            now: Timestamp::NEVER,
        }
    }

    fn tag_of(response: &Response) -> String {
        response.headers()[header::ETAG].to_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn an_unchanged_read_is_not_sent_again() {
        let first = finish(Method::GET, None).apply(Reply::ok(&json!({"a": 1})));
        let tag = tag_of(&first);
        let again = finish(Method::GET, Some(&format!("\"x\", {tag}"))).apply(Reply::ok(&json!({"a": 1})));
        assert_eq!((again.status(), tag_of(&again)), (StatusCode::NOT_MODIFIED, tag.clone()));
        let changed = finish(Method::GET, Some(&tag)).apply(Reply::ok(&json!({"a": 2})));
        assert_eq!(changed.status(), StatusCode::OK);
        let written = finish(Method::PUT, Some(&tag)).apply(Reply::ok(&json!({"a": 1})));
        assert_eq!(written.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn head_has_the_headers_of_get_and_no_body() {
        let get = finish(Method::GET, None).apply(Reply::ok(&json!({"a": 1})));
        let head = finish(Method::HEAD, None).apply(Reply::ok(&json!({"a": 1})));
        assert_eq!(get.headers()[header::CONTENT_LENGTH], head.headers()[header::CONTENT_LENGTH]);
        assert!(axum::body::to_bytes(head.into_body(), 100).await.unwrap().is_empty());
    }

    #[test]
    fn every_answer_forbids_sniffing_and_has_the_policy_of_its_face_or_its_own() {
        let response = finish(Method::GET, None).apply(Reply::no_content());
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        assert_eq!(response.headers()[header::CONTENT_SECURITY_POLICY], "default-src 'none'");
        let own = Reply { content_policy: Some("sandbox"), ..Reply::no_content() };
        assert_eq!(finish(Method::GET, None).apply(own).headers()[header::CONTENT_SECURITY_POLICY], "sandbox");
        assert!(!response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
        let shared = HeaderValue::from_static("cross-origin");
        let embedded = Reply::no_content().with(RESOURCE_POLICY, shared.clone());
        assert_eq!(response.headers()[RESOURCE_POLICY], "same-origin");
        assert_eq!(finish(Method::GET, None).apply(embedded).headers()[RESOURCE_POLICY], shared);
    }

    #[test]
    fn correlation_ids_are_taken_over_if_they_are_short_and_visible() {
        let given = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CORRELATION_ID, HeaderValue::from_static(text));
            correlation_id(&headers)
        };
        assert_eq!(given("probe-1"), "probe-1");
        assert_ne!(given("a b"), "a b");
        assert_ne!(given(""), "");
        assert_eq!(correlation_id(&HeaderMap::new()).len(), 36);
    }
}
