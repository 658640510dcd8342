//! Counted uses of tokens, for everybody who may read them.

use axum::extract::State;
use serde::Deserialize;
use transport::wire::backbone::token_terms::Claim;
use transport::wire::backbone::tokens::Token;
use transport::wire::{ByteText, ClaimId, TokenId};

use crate::domain::token_uses::{self, Purpose};
use crate::domain::tokens::Asking;
use crate::domain::{Refusal, parse_id, token_reads};
use crate::web::AppState;
use crate::web::answer::{Answer, NoContent};
use crate::web::identified::{Identified, IdentifiedBoth};
use crate::web::json::JsonBody;
use crate::web::problem::Problem;
use crate::web::query::Query;
use crate::web::session::{Anybody, SentFrom};

#[derive(Deserialize)]
pub(super) struct ClaimToken {
    password: Option<ByteText>,
}

/// `PUT /Tokens/{id}/Claims/{claim}`.
pub(super) async fn claim(
    State(core): State<AppState>,
    SentFrom(source): SentFrom,
    Anybody(caller): Anybody,
    IdentifiedBoth(id, claim): IdentifiedBoth<TokenId, ClaimId>,
    JsonBody(body): JsonBody<ClaimToken>,
) -> Result<Answer<Claim>, Problem> {
    let who = Asking { caller: caller.as_ref(), source };
    Ok(Answer::ok(token_uses::claim(&core, who, (&id, &claim), body.password.as_ref()).await?))
}

/// `GET /Tokens/{id}?claim=&password=`.
pub(super) async fn read(
    State(core): State<AppState>,
    SentFrom(source): SentFrom,
    Anybody(caller): Anybody,
    Identified(id): Identified<TokenId>,
    query: Query,
) -> Result<Answer<Token>, Problem> {
    let claim = query.value("claim").ok_or_else(|| Refusal::invalid("claim", "is missing"))?;
    let claim: ClaimId = parse_id("claim", claim)?;
    let password = query.bytes("password")?;
    let who = Asking { caller: caller.as_ref(), source };
    Ok(Answer::ok(token_reads::read(&core, who, &id, password.as_ref(), Purpose::Claimed(&claim)).await?))
}

/// `POST /Tokens/{id}/Claims/{claim}/Commit`.
pub(super) async fn commit(
    State(core): State<AppState>,
    SentFrom(source): SentFrom,
    Anybody(caller): Anybody,
    IdentifiedBoth(id, claim): IdentifiedBoth<TokenId, ClaimId>,
) -> Result<NoContent, Problem> {
    token_uses::commit(&core, Asking { caller: caller.as_ref(), source }, &id, &claim).await?;
    Ok(NoContent)
}

/// `DELETE /Tokens/{id}/Claims/{claim}`.
pub(super) async fn release(
    State(core): State<AppState>,
    SentFrom(source): SentFrom,
    Anybody(caller): Anybody,
    IdentifiedBoth(id, claim): IdentifiedBoth<TokenId, ClaimId>,
) -> Result<NoContent, Problem> {
    token_uses::release(&core, Asking { caller: caller.as_ref(), source }, &id, &claim).await?;
    Ok(NoContent)
}
