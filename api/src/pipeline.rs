//! What happens to a request, in order.
//!
//! 1. A request that cannot be read is refused, and web pages of strangers are turned away.
//! 2. The path's first segments say which [`Face`] it belongs to; what belongs to none has the form of the connectors.
//! 3. The body is read, so malformed JSON is 400 with and without a key. Without a key only small bodies are read.
//! 4. The documentation and `/health` answer: they need no key.
//! 5. The face authenticates the sender, or lets it in as a guest.
//! 6. `/Monitoring` answers.
//! 7. The route answers: first its role, then how often it may be asked, then `Accept`, then the handler.
//! 8. A known path without this method is 405, everything else 404.
//!
//! So an unknown path without a key is 401, and 405 needs a key but no role.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, Method, header};
use listener::guard::Guard;
use listener::{Malformed, RequestHandle, leftover};
use runtime::{Runtime, Timestamp, with_correlation_id};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::auth::{Gate, Sender};
use crate::call::Call;
use crate::config::ApiConfig;
use crate::face::{Face, Matched};
use crate::finish::{CORRELATION_ID, Finish, correlation_id};
use crate::openapi::Docs;
use crate::problem::Problem;
use crate::protocol::{Admission, Body as RequestBody, BodyBounds, Media, negotiate, parse_query, read_body, segments};
use crate::reply::Reply;
use crate::rest::downloads::Downloads;
use crate::rest::monitoring::Monitoring;
use crate::{connector, faces};

/// How long the unread rest of a body is still received.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(10);
const CORS_METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");

/// What all requests share.
pub(crate) struct Api {
    runtime: Runtime,
    monitoring: Monitoring,
    faces: Vec<Face>,
    /// For paths that belong to none of them.
    root: Face,
    guard: Guard,
    gate: Gate,
    docs: Option<Docs>,
    downloads: Arc<Downloads>,
    stopping: CancellationToken,
}

impl Api {
    pub(crate) fn new(runtime: Runtime, config: ApiConfig) -> Self {
        let faces = faces::mounted(&config.dialects, config.own_face, config.appwrite.as_ref());
        Self::with_faces(runtime, config, faces)
    }

    /// The same whose lasting answers end when this is cancelled.
    pub(crate) fn until(self, stopping: CancellationToken) -> Self {
        Self { stopping, ..self }
    }

    pub(crate) fn with_faces(runtime: Runtime, config: ApiConfig, faces: Vec<Face>) -> Self {
        let guard = Guard::new(&config.allowed_hosts, &config.allowed_origins);
        let docs = config.docs.then(|| Docs::new(faces::openapi_json()));
        let monitoring = Monitoring::new(runtime.clone(), config.shown_configuration);
        let (root, gate) = (connector::root(), Gate::new(config.keys));
        let (downloads, stopping) = Default::default();
        Self { runtime, monitoring, faces, root, guard, gate, docs, downloads, stopping }
    }

    /// The face that a path belongs to.
    fn face(&self, segments: &[&str]) -> &Face {
        self.faces.iter().find(|face| face.covers(segments)).unwrap_or(&self.root)
    }

    fn now(&self) -> Timestamp {
        self.runtime.clock().now()
    }
}

/// Answers one request.
pub(crate) async fn handle(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (method, correlation_id) = (request.method().clone(), correlation_id(request.headers()));
    let span = |id| tracing::info_span!("request", %id, %method, ?correlation_id);
    let answer = |request: http::Request<_>| answer(&api, request.map(Body::new), correlation_id.clone());
    listener::identified(span, |_| leftover::answered(request, DISCARD_TIMEOUT, answer)).await
}

async fn answer(api: &Arc<Api>, request: Request, correlation_id: HeaderValue) -> Response {
    let started = Instant::now();
    let (mut parts, body) = request.into_parts();
    parts.headers.insert(CORRELATION_ID, correlation_id.clone());
    let segments = segments(parts.uri.path());
    let face = api.face(&segments);
    let target = Target { api, face, segments };
    let work = target.answer(&parts, body);
    let (origin, outcome) = with_correlation_id(correlation_id.to_str().unwrap_or_default().to_owned(), work).await;
    let reply = outcome.unwrap_or_else(|problem| {
        tracing::debug!(code = problem.code(), "refused");
        (face.problem)(&problem, &parts, api.now())
    });
    let finish = Finish {
        method: parts.method.clone(),
        content_policy: face.content_policy,
        if_none_match: parts.headers.get(header::IF_NONE_MATCH).cloned(),
        correlation_id,
        origin,
        started,
        now: api.now(),
    };
    let response = finish.apply(reply);
    api.monitoring.count(response.status());
    tracing::debug!(status = response.status().as_u16(), "answered");
    response
}

/// Where a request goes.
struct Target<'a> {
    api: &'a Arc<Api>,
    face: &'a Face,
    segments: Vec<&'a str>,
}

impl Target<'_> {
    /// The configured site that calls, if any, and the reply to it.
    async fn answer(&self, parts: &Parts, body: Body) -> (Option<String>, Result<Reply, Problem>) {
        if let Some(malformed) = parts.extensions.get::<Malformed>() {
            return (None, Err(Problem::malformed(*malformed)));
        }
        let origin = match self.api.guard.check(&parts.headers) {
            Ok(origin) => origin,
            Err(refusal) => return (None, Err(refusal.into())),
        };
        if origin.is_some() && is_preflight(parts) {
            return (origin, Ok(preflight(self.face)));
        }
        let processed = listener::unwind::caught(self.process(parts, body)).await;
        (origin, processed.unwrap_or_else(|_panicked| Err(Problem::unexpected())))
    }

    async fn process(&self, parts: &Parts, body: Body) -> Result<Reply, Problem> {
        let Self { api, face, segments } = self;
        let sender = (face.authenticate)(&api.gate, parts, api.now());
        let has_key = sender.as_ref().is_ok_and(|sender| sender.has_key);
        if let (true, Some(request)) = (has_key, parts.extensions.get::<RequestHandle>()) {
            request.authenticated();
        }
        let matched = face.find(segments, &parts.method);
        let bounds = matched.as_ref().map_or(BodyBounds::KNOWN, |matched| matched.operation.body_bounds());
        let body = read_body(parts, body, has_key, bounds).await?;
        if let Some(reply) = api.docs.as_ref().and_then(|docs| docs.answer(&parts.method, parts.uri.path())) {
            return Ok(reply);
        }
        if is_read(&parts.method) && matches_one(segments, "health") {
            return Ok(api.monitoring.health().await);
        }
        let sender = sender?;
        if let Some(reply) = api.monitoring.answer(&parts.method, segments, sender.roles).await {
            return reply;
        }
        self.dispatch(parts, sender, matched?, body).await
    }

    async fn dispatch(
        &self,
        parts: &Parts,
        sender: Sender<'_>,
        matched: Matched<'_>,
        body: (RequestBody, Admission),
    ) -> Result<Reply, Problem> {
        if !sender.roles.satisfy(matched.need) {
            return Err((self.face.forbidden)(sender, matched.need));
        }
        let Some(allowance) = (self.face.allowance)(parts, sender, &matched, self.api.now()) else {
            return self.handle(parts, sender, matched, body).await;
        };
        allowance.told(match allowance.check() {
            Ok(()) => self.handle(parts, sender, matched, body).await,
            Err(exceeded) => Err(exceeded),
        })
    }

    async fn handle(
        &self,
        parts: &Parts,
        sender: Sender<'_>,
        matched: Matched<'_>,
        (body, admission): (RequestBody, Admission),
    ) -> Result<Reply, Problem> {
        let offered = matched.operation.produces;
        let accept = parts.headers.get(header::ACCEPT).map(HeaderValue::as_bytes);
        let media = match offered {
            [] => Media::JSON,
            offered => negotiate(accept, offered).ok_or_else(Problem::not_acceptable)?,
        };
        let query = parse_query(parts.uri.query().unwrap_or_default())?;
        let (runtime, parameters) = (self.api.runtime.clone(), matched.parameters);
        let (method, headers) = (parts.method.clone(), parts.headers.clone());
        let (roles, has_key) = (sender.roles.clone(), sender.has_key);
        let (downloads, stopping) = (self.api.downloads.clone(), self.api.stopping.clone());
        let call = Call {
            runtime,
            method,
            headers,
            parameters,
            query,
            body,
            admission,
            media,
            downloads,
            stopping,
            roles,
            has_key,
            context: (),
        };
        let reply = (matched.operation.handler)(call).await?;
        Ok(Reply { negotiated: !offered.is_empty(), ..(self.face.envelope)(reply) })
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

fn preflight(face: &Face) -> Reply {
    Reply::no_content()
        .with(header::ACCESS_CONTROL_ALLOW_METHODS, CORS_METHODS)
        .with(header::ACCESS_CONTROL_ALLOW_HEADERS, face.request_headers.clone())
}
