//! What happens to a request, in order.
//!
//! 1. Web pages of strangers are turned away.
//! 2. The body is read, so malformed JSON is 400 whoever sends it. Without a key only small bodies are read.
//! 3. The documentation and `/health` answer: they need no key.
//! 4. The key is checked.
//! 5. `/Monitoring` answers.
//! 6. The route answers: first its role, then `Accept`, then the handler.
//! 7. A known path without this method is 405, everything else 404.
//!
//! So an unknown path without a key is 401, and 405 needs a key but no role.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::Response;
use futures_util::FutureExt;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, header};
use listener::guard::Guard;
use listener::leftover::Leftover;
use listener::{Peer, RequestHandle, Source};
use runtime::{Runtime, Timestamp, with_correlation_id};
use tokio::time::Instant;
use tracing::Instrument;

use crate::auth::{Roles, Throttle};
use crate::call::Call;
use crate::config::ApiConfig;
use crate::face;
use crate::openapi::Docs;
use crate::problem::Problem;
use crate::protocol::{
    Admission, Body, BodyBounds, Finish, Media, correlation_id, negotiate, parse_query, read_body, segments,
};
use crate::reply::Reply;
use crate::rest::monitoring::{self, Counters, HealthCheck};

/// How long what nobody read of a body is still taken in.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(10);
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const CORS_HEADERS: HeaderValue = HeaderValue::from_static("Content-Type, X-API-KEY, X-Correlation-Id");
const CORS_METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");

/// What all requests share.
pub(crate) struct Api {
    pub(crate) runtime: Runtime,
    pub(crate) config: ApiConfig,
    pub(crate) counters: Counters,
    pub(crate) health: HealthCheck,
    guard: Guard,
    throttle: Throttle,
    docs: Option<Docs>,
}

impl Api {
    pub(crate) fn new(runtime: Runtime, config: ApiConfig) -> Self {
        let guard = Guard::new(&config.allowed_hosts, &config.allowed_origins);
        let counters = Counters::new(runtime.clock().now());
        let docs = config.docs.then(Docs::new);
        Self { runtime, config, counters, health: HealthCheck::default(), guard, throttle: Throttle::default(), docs }
    }

    fn now(&self) -> Timestamp {
        self.runtime.clock().now()
    }
}

/// Answers one request.
pub(crate) async fn handle(State(api): State<Arc<Api>>, request: Request) -> Response {
    let started = Instant::now();
    let (parts, body) = request.into_parts();
    let id = correlation_id(&parts.headers);
    let span = tracing::info_span!("request", method = %parts.method, correlation_id = ?id);
    let leftover = Leftover::default();
    let work = answer(&api, &parts, axum::body::Body::new(leftover.lend(body))).instrument(span.clone());
    let (origin, outcome) = with_correlation_id(id.to_str().unwrap_or_default().to_owned(), work).await;
    // A client that waits for permission to send its body needs nobody to read it.
    if !parts.headers.contains_key(header::EXPECT) {
        // Whether all of it came does not matter any more.
        let _ = tokio::time::timeout(DISCARD_TIMEOUT, leftover.discard()).await;
    }
    let reply = outcome.unwrap_or_else(|problem| {
        span.in_scope(|| tracing::debug!(code = problem.code(), "refused"));
        Reply::problem(&problem, api.now())
    });
    let finish = Finish {
        method: parts.method,
        if_none_match: parts.headers.get(header::IF_NONE_MATCH).cloned(),
        correlation_id: id,
        origin,
        started,
        now: api.now(),
    };
    let response = finish.apply(reply);
    api.counters.count(response.status());
    span.in_scope(|| tracing::debug!(status = response.status().as_u16(), "answered"));
    response
}

/// The configured site that calls, if any, and the reply to it.
async fn answer(api: &Arc<Api>, parts: &Parts, body: axum::body::Body) -> (Option<String>, Result<Reply, Problem>) {
    let origin = match api.guard.check(&parts.headers) {
        Ok(origin) => origin,
        Err(refusal) => return (None, Err(refusal.into())),
    };
    if origin.is_some() && is_preflight(parts) {
        return (origin, Ok(preflight()));
    }
    let processed = AssertUnwindSafe(process(api, parts, body)).catch_unwind().await;
    (origin, processed.unwrap_or_else(|panic| Err(unexpected(panic.as_ref()))))
}

async fn process(api: &Arc<Api>, parts: &Parts, body: axum::body::Body) -> Result<Reply, Problem> {
    let roles = authenticate(api, parts);
    if let (Ok(_), Some(request)) = (&roles, parts.extensions.get::<RequestHandle>()) {
        request.authenticated();
    }
    let path = parts.uri.path();
    let segments = segments(path);
    let matched = face::find(&api.config.dialects, &segments, &parts.method);
    let bounds = matched.map_or(BodyBounds::KNOWN, |matched| matched.operation.body_bounds());
    let body = read_body(parts, body, roles.is_ok(), bounds).await?;
    if let Some(reply) = api.docs.as_ref().and_then(|docs| docs.answer(&parts.method, path)) {
        return Ok(reply);
    }
    if is_read(&parts.method) && matches_one(&segments, "health") {
        return Ok(monitoring::health(api).await);
    }
    let roles = roles?;
    if let Some(reply) = monitoring::answer(api, &parts.method, &segments, roles).await {
        return reply;
    }
    dispatch(api, parts, &segments, roles, body).await
}

async fn dispatch(
    api: &Arc<Api>,
    parts: &Parts,
    segments: &[&str],
    roles: &Roles,
    (body, admission): (Body, Admission),
) -> Result<Reply, Problem> {
    let matched = face::find(&api.config.dialects, segments, &parts.method)?;
    if !roles.satisfy(matched.need) {
        return Err(Problem::forbidden());
    }
    let offered = matched.operation.produces;
    let accept = parts.headers.get(header::ACCEPT).map(HeaderValue::as_bytes);
    let media = match offered {
        [] => Media::Json,
        offered => negotiate(accept, offered).ok_or_else(Problem::not_acceptable)?,
    };
    let query = parse_query(parts.uri.query().unwrap_or_default())?;
    let (dialect, parameters) = (matched.dialect, matched.parameters);
    let call = Call { api: api.clone(), dialect, parameters, query, body, _admission: admission, media };
    let mut reply = (matched.operation.handler)(call).await?;
    reply.negotiated = !offered.is_empty();
    Ok(reply)
}

/// The roles of the key that the request presents.
fn authenticate<'a>(api: &'a Api, parts: &Parts) -> Result<&'a Roles, Problem> {
    let presented = parts.headers.get(API_KEY).filter(|key| !key.is_empty()).ok_or_else(Problem::unauthorized)?;
    let source = parts.extensions.get::<Peer>().map_or(Source::Loopback, Peer::source);
    let may_guess = api.throttle.admits(source, Instant::now());
    let found = api.config.keys.authenticate(presented.as_bytes(), api.now());
    match found.filter(|key| key.is_strong || may_guess) {
        Some(key) => Ok(&key.roles),
        None if may_guess => {
            api.throttle.record_failure(source, Instant::now());
            tracing::warn!(?source, "a request presented a wrong key");
            Err(Problem::unauthorized())
        }
        None => Err(Problem::too_many_failures()),
    }
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

fn matches_one(segments: &[&str], word: &str) -> bool {
    matches!(segments, [segment] if segment.eq_ignore_ascii_case(word))
}

fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS && parts.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight() -> Reply {
    Reply::no_content()
        .with(header::ACCESS_CONTROL_ALLOW_METHODS, CORS_METHODS)
        .with(header::ACCESS_CONTROL_ALLOW_HEADERS, CORS_HEADERS)
}

/// A handler that panicked is a fault of ours; the others go on.
fn unexpected(panic: &(dyn Any + Send)) -> Problem {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("no text"), "a handler panicked");
    Problem::unexpected()
}
