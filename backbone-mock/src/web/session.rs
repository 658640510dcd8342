//! Who is asking.

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

/// Somebody who is logged in; everybody else is turned away with 401.
pub(crate) struct LoggedIn(pub(crate) Caller);

impl FromRequestParts<AppState> for LoggedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, core: &AppState) -> Result<Self, Problem> {
        caller(parts, core).await?.map(Self).ok_or(Problem::NotLoggedIn)
    }
}

/// Somebody who may be logged in. A token that is not valid makes its sender anonymous.
pub(crate) struct Anybody(pub(crate) Option<Caller>);

impl FromRequestParts<AppState> for Anybody {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, core: &AppState) -> Result<Self, Problem> {
        caller(parts, core).await.map(Self)
    }
}

/// Where a request comes from.
pub(crate) struct SentFrom(pub(crate) Source);

impl FromRequestParts<AppState> for SentFrom {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Infallible> {
        Ok(Self(source(parts)))
    }
}

/// Where a request comes from; without a connection, from this process.
pub(super) fn source(parts: &Parts) -> Source {
    parts.extensions.get::<Peer>().map_or(Source::Loopback, Peer::source)
}

/// Who sent a request. Whoever is known has more time for the body.
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
