//! Listening: the settings of the accept loop, and its end.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use listener::admission::Places;
use listener::{Listener, RequestBody, Settings};
use tokio::sync::watch;

use super::pipeline::{self, Served};
use crate::config::Limits;
use crate::core::Core;

/// How long requests may go on after the server was told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// Serves until `stop` turns true or its sender is dropped; then finishes what is under way.
pub(crate) async fn serve(socket: Listener, core: Arc<Core>, served: Served, mut stop: watch::Receiver<bool>) {
    let settings = settings(&core.config.limits);
    let (shared, served) = (core.clone(), Arc::new(served));
    let answer = move |request: http::Request<RequestBody>| {
        pipeline::answer(shared.clone(), served.clone(), request.map(Body::new))
    };
    let serving = listener::serve(socket, settings, answer, stop.clone());
    // Event streams are requests that never finish by themselves.
    let closing = async {
        let _ = stop.wait_for(|stop| *stop).await;
        core.event_streams.close();
    };
    tokio::join!(serving, closing);
}

fn settings(limits: &Limits) -> Settings {
    Settings {
        places: Places::of(limits.max_connections),
        head_timeout: limits.header_timeout,
        idle_timeout: limits.idle_timeout,
        stall_timeout: limits.body_timeout,
        max_head_bytes: limits.max_header_bytes,
        pace: limits.pace(),
        grace: GRACE,
    }
}
