//! What an operator watches: counts as text in the format of Prometheus, at an address of their own.
//!
//! They say how much a backbone is used, which is not for everybody who reaches it, so they are no route of the HTTP interface.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt::{Display, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use listener::admission::Places;
use listener::guard::Guard;
use listener::{Listener, Server};

use crate::config::Limits;
use crate::core::Core;
use crate::error::Error;
use crate::peers::PeerMetrics;

const PATH: &str = "/metrics";
const FORMAT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
/// Connections at a time: a few programs ask every few seconds.
const MAX_CONNECTIONS: usize = 16;

/// Answers at an address.
///
/// # Errors
/// [`Error::MetricsListen`] if it is taken.
pub(crate) async fn start(address: SocketAddr, core: Arc<Core>) -> Result<Server, Error> {
    let listener = Listener::bind(address).await.map_err(Error::MetricsListen)?;
    let limits = limits(&core.config.limits);
    let guard = address.ip().is_loopback().then(|| Guard::new(&BTreeSet::new(), &BTreeSet::new())).map(Arc::new);
    let answer = move |request: Request<_>| {
        let answered = answer(&core, guard.as_deref(), &request.map(drop));
        async { Ok::<_, Infallible>(answered) }
    };
    Ok(Server::start(listener, limits, answer))
}

fn limits(limits: &Limits) -> listener::Limits {
    listener::Limits { places: Places::of(MAX_CONNECTIONS), ..crate::server::limits(limits) }
}

fn answer(core: &Core, guard: Option<&Guard>, request: &Request<()>) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    if guard.is_some_and(|guard| guard.check(request.headers()).is_err()) {
        *response.status_mut() = StatusCode::FORBIDDEN;
    } else if request.uri().path() != PATH {
        *response.status_mut() = StatusCode::NOT_FOUND;
    } else if request.method() != Method::GET {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    } else {
        *response.body_mut() = Body::from(text(core));
        response.headers_mut().insert(CONTENT_TYPE, FORMAT);
    }
    response
}

fn text(core: &Core) -> String {
    let mut text = Text::default();
    text.gauge("enlace_backbone_healthy", "1 if the store acknowledges writes", u8::from(core.store.is_healthy()));
    if let Some(server) = &core.peers {
        text.peers(&server.metrics());
    }
    text.0
}

/// Lines of the text format.
#[derive(Default)]
struct Text(String);

impl Text {
    fn peers(&mut self, metrics: &PeerMetrics) {
        self.gauge("enlace_peer_connections", "open connections of peers", metrics.connections);
        self.counter(
            "enlace_peer_refusals_total",
            "connections and streams of peers that a limit refused",
            metrics.refused,
        );
        self.gauge("enlace_relay_reservations", "peers with a reservation at the relay", metrics.reservations);
        self.outcomes(
            "enlace_relay_reservations_total",
            "reservations that peers asked for, without renewals",
            metrics.reservations_accepted,
            metrics.reservations_refused,
        );
        self.counter("enlace_relay_received_bytes_total", "bytes that peers sent on streams", metrics.received);
        self.counter("enlace_relay_sent_bytes_total", "bytes that peers were sent on streams", metrics.sent);
        self.gauge("enlace_relay_circuits", "open relayed connections", metrics.circuits);
        self.outcomes(
            "enlace_relay_circuits_total",
            "relayed connections that peers asked for",
            metrics.circuits_accepted,
            metrics.circuits_refused,
        );
        self.gauge("enlace_rendezvous_registrations", "registrations at the rendezvous server", metrics.registrations);
        self.outcomes(
            "enlace_rendezvous_registrations_total",
            "registrations that peers asked for, renewals included",
            metrics.registrations_accepted,
            metrics.registrations_refused,
        );
        self.outcomes(
            "enlace_rendezvous_lookups_total",
            "lookups of registrations",
            metrics.lookups_accepted,
            metrics.lookups_refused,
        );
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "gauge");
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "counter");
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn outcomes(&mut self, name: &str, help: &str, accepted: u64, refused: u64) {
        self.head(name, help, "counter");
        let _ = writeln!(self.0, "{name}{{outcome=\"accepted\"}} {accepted}\n{name}{{outcome=\"refused\"}} {refused}");
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }
}
