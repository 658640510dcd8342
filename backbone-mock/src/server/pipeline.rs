//! What happens around every request: correlation, headers, what a handler leaves behind.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{EXPECT, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use http::{HeaderMap, HeaderValue};
use listener::leftover::Leftover;
use tower::ServiceExt;
use tracing::Instrument;
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
    let exchange = Exchange::begin(&core, &request);
    let span = tracing::info_span!(
        "request",
        method = %request.method(),
        path = %logged_path(request.uri().path()),
        correlation = exchange.correlation_id.to_str().unwrap_or_default(),
    );
    exchange.run(&core, &routes, request).instrument(span).await
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
    trace_id: String,
}

impl Exchange {
    fn begin(core: &Core, request: &Request) -> Self {
        let trace_id = Core::trace_id();
        Self {
            started: Instant::now(),
            received_at: core.now(),
            correlation_id: correlation_id(request.headers(), &trace_id),
            trace_id,
        }
    }

    async fn run(self, core: &Core, routes: &Served, request: Request) -> Result<Response, BrokenOff> {
        let strange = core.guard.as_ref().and_then(|guard| guard.check(request.headers()).err());
        let mut response = match strange {
            Some(refusal) => Problem::ForeignPage(refusal).into_response(),
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
        headers.insert("x-trace-id", ascii(&self.trace_id));
        headers.insert(CORRELATION_ID, self.correlation_id.clone());
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=5184000; includeSubDomains"));
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("Deny"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
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
    let leftover = Leftover::default();
    // A client that waits for permission to send its body needs nobody to read it.
    let is_sent_anyway = !request.headers().contains_key(EXPECT);
    let mut request = request.map(|body| Body::new(leftover.lend(body)));
    let kept = Kept::default();
    request.extensions_mut().insert(kept.clone());
    let answering = listener::unwind::caught(routes.router.clone().oneshot(request));
    let response = match answering.await {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(_panicked) => problem::unexpected(),
    };
    if is_sent_anyway {
        // Whether all of it came does not matter any more.
        let _ = tokio::time::timeout(core.config.limits.body_timeout, leftover.discard()).await;
    }
    response
}

/// What the client sent, cut to size, or something of our own.
fn correlation_id(headers: &HeaderMap, trace_id: &str) -> HeaderValue {
    let sent = headers.get(CORRELATION_ID).and_then(|id| id.to_str().ok()).map(str::trim).unwrap_or_default();
    let kept = sent.get(..MAX_CORRELATION_ID.min(sent.len())).unwrap_or_default();
    ascii(if kept.is_empty() { trace_id } else { kept })
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
