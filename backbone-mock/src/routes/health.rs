//! `GET /health`.

use axum::extract::State;
use http::StatusCode;

use crate::web::AppState;

/// Whether the server can still acknowledge writes.
pub(super) async fn health(State(core): State<AppState>) -> (StatusCode, &'static str) {
    if core.store.is_healthy() { (StatusCode::OK, "Healthy") } else { (StatusCode::SERVICE_UNAVAILABLE, "Unhealthy") }
}
