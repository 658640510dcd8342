//! What the server says about itself: `GET /health`, `GET /Version`, and `GET /Tags`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ETAG, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;
use transport::wire::backbone::envelope::Version;

use crate::web::AppState;
use crate::web::answer::Answer;

/// The answer never changes, so the tag is fixed.
const ENTITY_TAG: &str = "\"no-tags\"";

/// Whether the server can still acknowledge writes.
pub(super) async fn health(State(core): State<AppState>) -> (StatusCode, &'static str) {
    if core.store.is_healthy() { (StatusCode::OK, "Healthy") } else { (StatusCode::SERVICE_UNAVAILABLE, "Unhealthy") }
}

/// The version for clients of major version 6, which accept nothing else.
pub(super) async fn version_six() -> Answer<Version> {
    version("6")
}

/// The version for all other clients.
pub(super) async fn version_seven() -> Answer<Version> {
    version("7")
}

fn version(major: &str) -> Answer<Version> {
    Answer::ok(Version { major_version: major.to_owned() })
}

/// Tags for attribute values: there are none, in one language. Clients still ask.
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
