//! The routes, one file per resource. A handler reads the request, calls one rule, and answers.

mod about;
mod challenges;
mod connect;
mod datawallet;
mod devices;
mod event_stream;
mod files;
mod identities;
mod landing;
mod peer_services;
mod previews;
mod quotas;
mod resumable;
mod sync_runs;
mod token_terms;
mod token_uses;
mod tokens;

use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::routing::{delete, get, head, patch, post, put};

use crate::server::Served;
use crate::web::AppState;
use crate::web::paths::Routes;
use crate::web::problem::Problem;
use crate::web::tus;

/// All routes. Version 1 is what clients of major version 6 use: the same routes and shapes.
pub(crate) fn served(core: AppState) -> Served {
    let (router, words) = routes().into_parts();
    let router = router
        .fallback(async || Problem::NoSuchRoute)
        // `web::body` applies our own limits; axum's default of 2 MB would refuse files.
        .layer(DefaultBodyLimit::disable())
        .with_state(core);
    Served { router, words }
}

fn routes() -> Routes {
    Routes::new()
        .nest("/api/v1", api().route("/Version", get(about::version_six)))
        .nest("/api/v2", api().route("/Version", get(about::version_seven)))
        .nest("/api/enlace/v1", own())
        .route("/connect/token", post(connect::token))
        .route("/health", get(about::health))
        .route("/r/{id}", get(landing::page))
}

/// What the published backbone does not have.
fn own() -> Routes {
    let uploads = post(resumable::create).options(resumable::probe);
    let upload = head(resumable::status)
        .patch(resumable::append)
        .delete(resumable::terminate)
        .post(resumable::overridden)
        .options(resumable::probe);
    Routes::new()
        .route("/PeerServices", get(peer_services::read))
        .route("/TokenServices", get(token_terms::services))
        .route("/Tokens", post(token_terms::create))
        .route("/Tokens/{id}", get(token_uses::read).head(tokens::look))
        .route("/Tokens/{id}/Terms", get(token_terms::read).patch(token_terms::change))
        .route("/Tokens/{id}/Revoke", post(token_terms::revoke))
        .route("/Tokens/{id}/Claims/{claim}", put(token_uses::claim).delete(token_uses::release))
        .route("/Tokens/{id}/Claims/{claim}/Commit", post(token_uses::commit))
        .route("/Uploads", uploads.route_layer(from_fn(tus::speak)))
        .route("/Uploads/{id}", upload.route_layer(from_fn(tus::speak)))
        .route("/Uploads/{id}/File", post(resumable::finish))
        .route("/Uploads/{id}/Preview", put(previews::show))
        .route("/Files/{id}/Preview", get(previews::read))
        .route("/Files/{id}/Content", get(previews::follow))
}

fn api() -> Routes {
    Routes::new()
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
        .route("/Tokens/{id}", get(tokens::read).head(tokens::look).delete(tokens::remove))
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
        .route("/Tags", get(about::tags))
        .route("/sse", get(event_stream::stream))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::{Request, StatusCode};
    use std::sync::Arc;
    use tower::ServiceExt as _;

    use super::*;
    use crate::config::Config;
    use crate::core::Core;

    #[tokio::test]
    async fn every_path_is_known_in_any_case() {
        let dir = tempfile::tempdir().unwrap();
        let core = Arc::new(Core::open(Config::new(dir.path())).await.unwrap());
        let Served { router, words } = served(core);
        let paths = routes().paths().to_vec();
        assert!(paths.len() > 50);
        for path in paths {
            for path in [path.to_ascii_uppercase(), path.to_ascii_lowercase()] {
                let uri = words.canonical(&without_ids(&path).parse().unwrap());
                // No route has this method, so one that is known says which ones it has.
                let request = Request::builder().method("TRACE").uri(uri).body(Body::empty()).unwrap();
                let status = router.clone().oneshot(request).await.unwrap().status();
                assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
            }
        }
    }

    /// The path with something in place of each `{id}`.
    fn without_ids(path: &str) -> String {
        let with_one = |segment| if str::starts_with(segment, '{') { "1" } else { segment };
        path.split('/').map(with_one).collect::<Vec<_>>().join("/")
    }

    #[test]
    fn no_fixed_segment_looks_like_an_identifier_or_like_another_one() {
        let words = routes().into_parts().1;
        for word in words.iter() {
            assert!(word.len() != transport::wire::id::ID_LENGTH, "{word}");
        }
        let fixed: std::collections::BTreeSet<_> = routes()
            .paths()
            .iter()
            .flat_map(|path| path.split('/').map(str::to_owned).collect::<Vec<_>>())
            .filter(|segment| !segment.is_empty() && !segment.starts_with('{'))
            .collect();
        assert_eq!(words.iter().count(), fixed.len(), "two of them differ in case only");
    }
}
