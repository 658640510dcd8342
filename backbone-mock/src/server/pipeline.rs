//! What happens around every request: correlation, headers, what a handler leaves behind.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use http::{HeaderMap, HeaderValue};
use listener::{Malformed, RequestId, leftover};
use tower::ServiceExt;
use transport::wire::Timestamp;
use transport::wire::id::ID_LENGTH;

use crate::budget::Kept;
use crate::core::Core;
use crate::error::BrokenOff;
use crate::web::paths::Words;
use crate::web::problem::{self, Problem};

const CORRELATION_ID: &str = "x-correlation-id";
/// Characters of a correlation id that are kept.
const MAX_CORRELATION_ID: usize = 100;
/// Characters of an identifier in logs.
const LOGGED_ID_LENGTH: usize = 7;

/// Answers one request.
pub(super) async fn answer(core: Arc<Core>, routes: Arc<Served>, request: Request) -> Result<Response, BrokenOff> {
    let (method, path) = (request.method().clone(), logged_path(request.uri().path()));
    let sent = sent_correlation_id(request.headers());
    let span = |id| tracing::info_span!("request", %id, %method, path, correlation = sent);
    listener::identified(span, |id| Exchange::begin(&core, sent.as_deref(), id).run(&core, &routes, request)).await
}

/// What answers.
pub(crate) struct Served {
    pub(crate) router: Router,
    /// Fixed segments of its paths.
    pub(crate) words: Words,
}

struct Exchange {
    started: Instant,
    received_at: Timestamp,
    correlation_id: HeaderValue,
    trace_id: HeaderValue,
}

impl Exchange {
    fn begin(core: &Core, sent: Option<&str>, id: RequestId) -> Self {
        let trace_id = ascii(&id.to_string());
        let correlation_id = sent.map_or_else(|| trace_id.clone(), ascii);
        Self { started: Instant::now(), received_at: core.now(), correlation_id, trace_id }
    }

    async fn run(self, core: &Core, routes: &Served, request: Request) -> Result<Response, BrokenOff> {
        let mut response = match refused(core, &request) {
            Some(problem) => problem.into_response(),
            None => handled(core, routes, request).await?,
        };
        self.finish(core, response.headers_mut());
        tracing::debug!(status = response.status().as_u16(), duration = ?self.started.elapsed(), "answered");
        Ok(response)
    }

    fn finish(&self, core: &Core, headers: &mut HeaderMap) {
        headers.insert("x-request-time", ascii(&self.received_at.to_string()));
        headers.insert("x-response-time", ascii(&core.now().to_string()));
        headers.insert("x-response-duration-ms", ascii(&self.started.elapsed().as_millis().to_string()));
        headers.insert("x-trace-id", self.trace_id.clone());
        headers.insert(CORRELATION_ID, self.correlation_id.clone());
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=5184000; includeSubDomains"));
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("Deny"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
}

/// Why a request reaches no handler.
fn refused(core: &Core, request: &Request) -> Option<Problem> {
    if let Some(malformed) = request.extensions().get::<Malformed>() {
        return Some(Problem::Malformed(*malformed));
    }
    core.guard.as_ref()?.check(request.headers()).err().map(Problem::ForeignPage)
}

/// The handler's answer.
#[cfg(not(feature = "testing"))]
async fn handled(core: &Core, routes: &Served, request: Request) -> Result<Response, BrokenOff> {
    Ok(routed(core, routes, request).await)
}

/// The handler's answer, or what a test wants instead.
#[cfg(feature = "testing")]
async fn handled(core: &Core, routes: &Served, request: Request) -> Result<Response, BrokenOff> {
    match &core.config.faults {
        Some(faults) => faults.around(request, |request| routed(core, routes, request)).await,
        None => Ok(routed(core, routes, request).await),
    }
}

/// The handler's answer. Whatever it reveals is on disk: records are visible only then.
async fn routed(core: &Core, routes: &Served, mut request: Request) -> Response {
    *request.uri_mut() = routes.words.canonical(request.uri());
    // What the body takes of the memory for bodies, until it is answered.
    let kept = Kept::default();
    request.extensions_mut().insert(kept.clone());
    let routed =
        |request: http::Request<_>| listener::unwind::caught(routes.router.clone().oneshot(request.map(Body::new)));
    match leftover::answered(request, core.config.limits.body_timeout, routed).await {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(_panicked) => problem::unexpected(),
    }
}

/// What the client sent, cut to size, if it is anything.
fn sent_correlation_id(headers: &HeaderMap) -> Option<String> {
    let sent = headers.get(CORRELATION_ID)?.to_str().ok()?.trim();
    let kept = sent.get(..MAX_CORRELATION_ID.min(sent.len())).unwrap_or_default();
    (!kept.is_empty()).then(|| kept.to_owned())
}

/// The path with identifiers cut short: whoever has the id of a file in full may read it.
fn logged_path(path: &str) -> String {
    let short = |segment: &str| match segment.char_indices().nth(LOGGED_ID_LENGTH) {
        Some((end, _)) if segment.len() == ID_LENGTH => format!("{}…", &segment[..end]),
        _ => segment.to_owned(),
    };
    path.split('/').map(short).collect::<Vec<_>>().join("/")
}

fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("-"))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http_body_util::BodyExt;

    use super::*;
    use crate::config::Config;

    #[test]
    fn identifiers_are_cut_short_in_logs() {
        let path = "/api/v2/Files/FILabcdefghijklmno12/Metadata";
        assert_eq!(logged_path(path), "/api/v2/Files/FILabcd…/Metadata");
    }

    #[tokio::test]
    async fn a_handler_that_panics_is_an_unexpected_error() {
        let dir = tempfile::tempdir().unwrap();
        let core = Core::open(Config::new(dir.path())).await.unwrap();
        let router = Router::new().fallback(async || -> StatusCode { panic!("defect") });
        let served = Served { router, words: Words::default() };
        let response = routed(&core, &served, Request::new(Body::from("left"))).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8(body.to_vec()).unwrap().contains("error.platform.unexpected"));
    }
}
