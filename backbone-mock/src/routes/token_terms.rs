//! `/TokenServices`, and the terms of tokens beyond the published protocol.

use axum::extract::State;
use transport::wire::TokenId;
use transport::wire::backbone::token_terms::{LEASE_SECONDS, MAX_USES, TokenServices, TokenTerms};
use transport::wire::backbone::tokens::CreatedToken;

use crate::domain::token_terms::{self, NewTokenWithTerms, TermsChange};
use crate::domain::tokens::{self, Asking};
use crate::web::AppState;
use crate::web::answer::Answer;
use crate::web::identified::Identified;
use crate::web::json::{JsonBody, LargeJsonBody};
use crate::web::problem::Problem;
use crate::web::session::{LoggedIn, SentFrom};

/// `GET /TokenServices`.
pub(super) async fn services() -> Answer<TokenServices> {
    Answer::ok(TokenServices { claims: true, terms: true, lease_seconds: LEASE_SECONDS, max_uses: MAX_USES })
}

/// `POST /Tokens`.
pub(super) async fn create(
    State(core): State<AppState>,
    SentFrom(source): SentFrom,
    LoggedIn(caller): LoggedIn,
    LargeJsonBody(new): LargeJsonBody<NewTokenWithTerms>,
) -> Result<Answer<CreatedToken>, Problem> {
    let (new, terms) = new.into_parts()?;
    let who = Asking { caller: Some(&caller), source };
    Ok(Answer::created(tokens::create_with(&core, who, new, terms).await?))
}

/// `GET /Tokens/{id}/Terms`.
pub(super) async fn read(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    Identified(id): Identified<TokenId>,
) -> Result<Answer<TokenTerms>, Problem> {
    Ok(Answer::ok(token_terms::read(&core, &caller, &id).await?))
}

/// `PATCH /Tokens/{id}/Terms`.
pub(super) async fn change(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    Identified(id): Identified<TokenId>,
    JsonBody(change): JsonBody<TermsChange>,
) -> Result<Answer<TokenTerms>, Problem> {
    Ok(Answer::ok(token_terms::change(&core, &caller, &id, change).await?))
}

/// `POST /Tokens/{id}/Revoke`.
pub(super) async fn revoke(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    Identified(id): Identified<TokenId>,
) -> Result<Answer<TokenTerms>, Problem> {
    Ok(Answer::ok(token_terms::revoke(&core, &caller, &id).await?))
}
