//! The routes, one file per resource. A handler reads the request, calls one rule, and answers.

mod challenges;
mod connect;
mod datawallet;
mod devices;
mod events;
mod files;
mod health;
mod identities;
mod landing;
mod quotas;
mod sync_runs;
mod tags;
mod tokens;
mod version;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, patch, post, put};

use crate::web::AppState;
use crate::web::problem::Problem;

/// All routes. Version 1 is what clients of major version 6 use: the same routes and shapes.
pub(crate) fn router(core: AppState) -> Router {
    Router::new()
        .nest("/api/v1", api().route("/Version", get(version::six)))
        .nest("/api/v2", api().route("/Version", get(version::seven)))
        .route("/connect/token", post(connect::token))
        .route("/health", get(health::health))
        .route("/r/{id}", get(landing::page))
        .fallback(async || Problem::NoSuchRoute)
        // `web::body` bounds every body by our own limits; axum's default of 2 MB would refuse files.
        .layer(DefaultBodyLimit::disable())
        .with_state(core)
}

fn api() -> Router<AppState> {
    Router::new()
        .route("/Challenges", post(challenges::create))
        .route("/Challenges/{id}", get(challenges::read))
        .route("/Identities", post(identities::create))
        .route("/Identities/IsDeleted", get(identities::is_deleted))
        .route("/Devices", post(devices::register).get(devices::list))
        .route("/Devices/{id}", delete(devices::remove))
        .route("/Devices/Self", get(devices::own).put(devices::change))
        .route("/Devices/Self/Password", put(devices::change_password))
        .route("/Devices/Self/PushNotifications", put(devices::register_push).delete(devices::unregister_push))
        .route("/Tokens", post(tokens::create).get(tokens::list))
        .route("/Tokens/{id}", get(tokens::read).delete(tokens::remove))
        .route("/Tokens/{id}/UpdateContent", post(tokens::update_content))
        .route("/Tokens/{id}/ResetAccessFailedCount", post(tokens::unlock))
        .route("/Quotas", get(quotas::list))
        .route("/Files", post(files::upload).get(files::list))
        .route("/Files/{id}", get(files::download).delete(files::remove))
        .route("/Files/{id}/Metadata", get(files::metadata))
        .route("/Files/{id}/RegenerateOwnershipToken", patch(files::regenerate_ownership_token))
        .route("/Files/{id}/ClaimOwnership", patch(files::claim_ownership))
        .route("/Files/{id}/ValidateOwnershipToken", post(files::validate_ownership_token))
        .route("/Datawallet", get(datawallet::read))
        .route("/Datawallet/Modifications", get(datawallet::list).post(datawallet::push))
        .route("/SyncRuns", post(sync_runs::start))
        .route("/SyncRuns/{id}/ExternalEvents", get(sync_runs::events))
        .route("/SyncRuns/{id}/FinalizeExternalEventSync", put(sync_runs::finalize_event_sync))
        .route("/SyncRuns/{id}/FinalizeDatawalletVersionUpgrade", put(sync_runs::finalize_upgrade))
        .route("/Tags", get(tags::tags))
        .route("/sse", get(events::stream))
}
