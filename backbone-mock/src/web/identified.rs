//! The identifier in a path.

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use transport::wire::Id;

use super::AppState;
use super::problem::Problem;
use crate::domain::Refusal;

/// The identifier in a path such as `/Tokens/{id}`. Identifiers are case-sensitive.
pub(crate) struct Identified<I>(pub(crate) I);

impl<I: Id> FromRequestParts<AppState> for Identified<I> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, core: &AppState) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, core).await.map_err(Problem::unreadable)?;
        Ok(Self(parse("id", &text)?))
    }
}

/// Reads an identifier from anywhere in a request.
pub(crate) fn parse<I: Id>(property: &'static str, text: &str) -> Result<I, Refusal> {
    text.parse().map_err(|_| Refusal::invalid(property, format!("must be {} and 17 letters or digits", I::PREFIX)))
}
