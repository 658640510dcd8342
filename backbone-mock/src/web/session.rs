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
        caller(&parts.headers, core).await?.map(Self).ok_or(Problem::NotLoggedIn)
    }
}

/// Somebody who may be logged in. A token that is not valid makes its sender anonymous.
pub(crate) struct Anybody(pub(crate) Option<Caller>);

impl FromRequestParts<AppState> for Anybody {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, core: &AppState) -> Result<Self, Problem> {
        caller(&parts.headers, core).await.map(Self)
    }
}

/// Who sent a request with these headers.
pub(super) async fn caller(headers: &HeaderMap, core: &Core) -> Result<Option<Caller>, Problem> {
    match bearer_token(headers) {
        Some(token) => Ok(core.caller(token).await?),
        None => Ok(None),
    }
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
