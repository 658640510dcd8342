//! The service without a listener: for tests, and for programs that have a server already.

use std::sync::Arc;

use axum::Router;
use http::{Extensions, HeaderMap, StatusCode, Version, header};
use runtime::Runtime;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{Predicate, SizeAbove};

use crate::config::ApiConfig;
use crate::finish::is_compressible;
use crate::pipeline::{Api, handle};

/// Smaller answers would not shrink.
const MIN_COMPRESSED: u64 = 1024;

/// All routes of a node.
///
/// Limits on connections, headers and time are [`Server`](crate::Server)'s; bodies are limited here.
pub fn router(runtime: Runtime, config: ApiConfig) -> Router {
    serving(Api::new(runtime, config))
}

pub(crate) fn serving(api: Api) -> Router {
    let compression = CompressionLayer::new().compress_when(SizeAbove::new(MIN_COMPRESSED).and(shrinks));
    Router::new().fallback(handle).layer(compression).with_state(Arc::new(api))
}

fn shrinks(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(is_compressible)
}
