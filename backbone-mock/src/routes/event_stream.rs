//! `GET /sse`: the event stream (server-sent events).

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use tokio::sync::mpsc;

use crate::notifications::NotificationName;
use crate::web::AppState;
use crate::web::session::LoggedIn;

/// Time without a notification after which a keep-alive frame is sent.
const KEEP_ALIVE: Duration = Duration::from_secs(240);

/// Streams the names of notifications. Ends when the server stops.
pub(super) async fn stream(State(core): State<AppState>, LoggedIn(caller): LoggedIn) -> Response {
    let notifications = core.event_streams.open(&caller.address, &caller.device);
    let frames = futures_util::stream::unfold(notifications, |mut notifications| async {
        let name = next_name(&mut notifications).await?;
        Some((Ok::<_, std::convert::Infallible>(frame(name)), notifications))
    });
    let mut response = Response::new(Body::from_stream(frames));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

async fn next_name(notifications: &mut mpsc::Receiver<NotificationName>) -> Option<&'static str> {
    match tokio::time::timeout(KEEP_ALIVE, notifications.recv()).await {
        Ok(name) => name.map(NotificationName::name),
        Err(_) => Some("keep-alive"),
    }
}

fn frame(name: &str) -> Bytes {
    format!("event: {name}\ndata: _\n\n").into()
}
