//! `GET /Tags`: tags for attribute values. There are none; clients still ask.

use axum::response::{IntoResponse, Response};
use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;

use crate::web::answer::Answer;

/// The answer never changes, so any fixed text will do.
const ENTITY_TAG: &str = "\"no-tags\"";

/// No tags in one language.
pub(super) async fn tags(headers: HeaderMap) -> Response {
    let mut response = if is_known(&headers) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Answer::ok(json!({ "supportedLanguages": ["en"], "tagsForAttributeValueTypes": {} })).into_response()
    };
    response.headers_mut().insert(ETAG, HeaderValue::from_static(ENTITY_TAG));
    response
}

/// Weak comparison (RFC 9110 section 8.8.3.2).
fn is_known(headers: &HeaderMap) -> bool {
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    known
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == ENTITY_TAG || tag == "*")
}
