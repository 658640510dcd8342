//! `GET /sse`: the event stream (server-sent events).

use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use tokio::sync::mpsc;

use crate::notifications::News;
use crate::web::AppState;
use crate::web::session::LoggedIn;

/// Between two signs of life.
const KEEP_ALIVE: Duration = Duration::from_secs(240);

/// A stream of names. It ends when the server stops.
pub(super) async fn stream(State(core): State<AppState>, LoggedIn(caller): LoggedIn) -> Response {
    let news = core.hub.open(&caller.address, &caller.device);
    let frames = futures_util::stream::unfold(news, |mut news| async {
        let name = next_name(&mut news).await?;
        Some((Ok::<_, std::convert::Infallible>(frame(name)), news))
    });
    let mut response = Response::new(Body::from_stream(frames));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

async fn next_name(news: &mut mpsc::Receiver<News>) -> Option<&'static str> {
    match tokio::time::timeout(KEEP_ALIVE, news.recv()).await {
        Ok(news) => news.map(News::name),
        Err(_) => Some("keep-alive"),
    }
}

fn frame(name: &str) -> Bytes {
    format!("event: {name}\ndata: _\n\n").into()
}
