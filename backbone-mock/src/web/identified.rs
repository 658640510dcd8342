//! The identifiers in a path.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use transport::wire::Id;

use super::AppState;
use super::problem::Problem;
use crate::domain::parse_id;

/// The identifier in a path such as `/Tokens/{id}`. Identifiers are case-sensitive.
pub(crate) struct Identified<I>(pub(crate) I);

impl<I: Id> FromRequestParts<AppState> for Identified<I> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, core: &AppState) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, core).await.map_err(Problem::unreadable)?;
        Ok(Self(parse_id("id", &text)?))
    }
}

/// Those in a path such as `/Tokens/{id}/Claims/{claim}`.
pub(crate) struct IdentifiedBoth<I, C>(pub(crate) I, pub(crate) C);

impl<I: Id, C: Id> FromRequestParts<AppState> for IdentifiedBoth<I, C> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, core: &AppState) -> Result<Self, Problem> {
        let Path((id, claim)) =
            Path::<(String, String)>::from_request_parts(parts, core).await.map_err(Problem::unreadable)?;
        Ok(Self(parse_id("id", &id)?, parse_id("claim", &claim)?))
    }
}
