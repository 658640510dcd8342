//! Who is asking.

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::AppState;
use super::problem::Problem;
use crate::core::Core;
use crate::domain::Caller;

/// Somebody who is logged in; everybody else is turned away with 401.
pub(crate) struct LoggedIn(pub(crate) Caller);

impl FromRequestParts<AppState> for LoggedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, core: &AppState) -> Result<Self, Problem> {
        caller(&parts.headers, core).map(Self).ok_or(Problem::NotLoggedIn)
    }
}

/// Somebody who may be logged in. A token that is not valid makes its sender anonymous.
pub(crate) struct Anybody(pub(crate) Option<Caller>);

impl FromRequestParts<AppState> for Anybody {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, core: &AppState) -> Result<Self, Self::Rejection> {
        Ok(Self(caller(&parts.headers, core)))
    }
}

/// Who sent a request with these headers.
pub(super) fn caller(headers: &HeaderMap, core: &Core) -> Option<Caller> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") { core.sessions.caller(token.trim(), core.now()) } else { None }
}
