//! The sender of a request.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use listener::{Peer, RequestHandle, Source};

use super::AppState;
use super::problem::Problem;
use crate::caller::Caller;
use crate::core::Core;

/// A logged-in caller. Requests without a valid access token are answered with 401.
pub(crate) struct LoggedIn(pub(crate) Caller);

impl FromRequestParts<AppState> for LoggedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, core: &AppState) -> Result<Self, Problem> {
        caller(parts, core).await?.map(Self).ok_or(Problem::NotLoggedIn)
    }
}

/// A caller, or an anonymous sender. An invalid access token makes its sender anonymous.
pub(crate) struct Anybody(pub(crate) Option<Caller>);

impl FromRequestParts<AppState> for Anybody {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, core: &AppState) -> Result<Self, Problem> {
        caller(parts, core).await.map(Self)
    }
}

/// The source of a request.
pub(crate) struct SentFrom(pub(crate) Source);

impl FromRequestParts<AppState> for SentFrom {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Infallible> {
        Ok(Self(source(parts)))
    }
}

/// The source of a request; loopback without a connection, in tests.
pub(super) fn source(parts: &Parts) -> Source {
    parts.extensions.get::<Peer>().map_or(Source::Loopback, Peer::source)
}

/// The caller of a request, if it has a valid access token. Callers have more time for the body.
pub(super) async fn caller(parts: &Parts, core: &Core) -> Result<Option<Caller>, Problem> {
    let Some(token) = bearer_token(&parts.headers) else { return Ok(None) };
    let caller = core.caller(token).await?;
    if let (Some(caller), Some(request)) = (&caller, parts.extensions.get::<RequestHandle>()) {
        request.authenticated_as(caller.digest());
    }
    Ok(caller)
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
