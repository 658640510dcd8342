//! The service without a listener: for tests, and for programs that have a server already.

use std::sync::Arc;

use axum::Router;
use axum::middleware::map_response;
use axum::response::Response;
use http::{Extensions, HeaderMap, HeaderValue, StatusCode, Version, header};
use runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{Predicate, SizeAbove};

use crate::config::ApiConfig;
use crate::finish::is_compressible;
use crate::pipeline::{Api, handle};

/// Smaller answers would not shrink.
const MIN_COMPRESSED: u64 = 1024;

/// All routes of a node.
///
/// Limits on connections, headers and time are [`Server`](crate::Server)'s; bodies are limited here. Answers that last, such as those of a
/// direct share or a code, last until the client leaves: only [`Server`](crate::Server) ends them when it stops, so the graceful shutdown of
/// another server waits for them.
pub fn router(runtime: Runtime, config: ApiConfig) -> Router {
    serving(Api::new(runtime, config))
}

/// The same whose lasting answers end when this is cancelled.
pub(crate) fn router_until(runtime: Runtime, config: ApiConfig, stopping: CancellationToken) -> Router {
    serving(Api::new(runtime, config).until(stopping))
}

pub(crate) fn serving(api: Api) -> Router {
    let compression = CompressionLayer::new().compress_when(SizeAbove::new(MIN_COMPRESSED).and(shrinks));
    Router::new().fallback(handle).layer(compression).layer(map_response(weakened)).with_state(Arc::new(api))
}

/// A strong entity tag is that of the bytes as they are; compressed ones need not be the same the next time, and ranges of
/// them are not offered (RFC 9110, section 8.8.3.3).
async fn weakened(mut response: Response) -> Response {
    let headers = response.headers_mut();
    if headers.contains_key(header::CONTENT_ENCODING)
        && let Some(strong) = headers.get(header::ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""))
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", strong.as_bytes()].concat())
    {
        headers.insert(header::ETAG, weak);
    }
    response
}

fn shrinks(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(is_compressible)
}
