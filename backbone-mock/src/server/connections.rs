//! Listening: what the accept loop allows.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use listener::admission::Places;
use listener::{Listener, RequestBody, Server};

use super::pipeline::{self, Served};
use crate::config::Limits;
use crate::core::Core;

/// How long requests may go on after the server was told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// Answers whatever comes to the listener.
pub(crate) fn start(listener: Listener, core: Arc<Core>, served: Served) -> Server {
    let limits = limits(&core.config.limits);
    let served = Arc::new(served);
    let answer = move |request: http::Request<RequestBody>| {
        pipeline::answer(core.clone(), served.clone(), request.map(Body::new))
    };
    Server::start(listener, limits, answer)
}

/// What all listeners of a backbone have in common.
pub(crate) fn limits(limits: &Limits) -> listener::Limits {
    listener::Limits {
        places: Places::of(limits.max_connections),
        head_timeout: limits.header_timeout,
        idle_timeout: limits.idle_timeout,
        stall_timeout: limits.body_timeout,
        max_head_bytes: limits.max_header_bytes,
        pace: limits.pace(),
        grace: GRACE,
    }
}
