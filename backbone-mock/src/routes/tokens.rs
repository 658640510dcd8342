//! `/Tokens`.

use axum::extract::State;
use serde::Deserialize;
use transport::wire::backbone::tokens::{CreatedToken, Token, UpdatedToken};
use transport::wire::{ByteText, TokenId};

use crate::domain::Refusal;
use crate::domain::token_reads;
use crate::domain::token_uses::Purpose;
use crate::domain::tokens::{self, Asking, NewToken};
use crate::web::AppState;
use crate::web::answer::{Answer, NoContent};
use crate::web::identified::Identified;
use crate::web::json::LargeJsonBody;
use crate::web::problem::Problem;
use crate::web::query::Query;
use crate::web::session::SentFrom;
use crate::web::session::{Anybody, LoggedIn};

/// `POST /Tokens`.
pub(super) async fn create(
    State(core): State<AppState>,
    SentFrom(source): SentFrom,
    Anybody(caller): Anybody,
    LargeJsonBody(new): LargeJsonBody<NewToken>,
) -> Result<Answer<CreatedToken>, Problem> {
    Ok(Answer::created(tokens::create(&core, Asking { caller: caller.as_ref(), source }, new).await?))
}

/// `GET /Tokens/{id}?password=`.
pub(super) async fn read(
    State(core): State<AppState>,
    SentFrom(source): SentFrom,
    Anybody(caller): Anybody,
    Identified(id): Identified<TokenId>,
    query: Query,
) -> Result<Answer<Token>, Problem> {
    let password = query.bytes("password")?;
    let who = Asking { caller: caller.as_ref(), source };
    Ok(Answer::ok(token_reads::read(&core, who, &id, password.as_ref(), Purpose::Read).await?))
}

/// `HEAD /Tokens/{id}?password=`: the same, but nothing counts, except for a wrong password.
pub(super) async fn look(
    State(core): State<AppState>,
    SentFrom(source): SentFrom,
    Anybody(caller): Anybody,
    Identified(id): Identified<TokenId>,
    query: Query,
) -> Result<Answer<Token>, Problem> {
    let password = query.bytes("password")?;
    let who = Asking { caller: caller.as_ref(), source };
    Ok(Answer::ok(token_reads::read(&core, who, &id, password.as_ref(), Purpose::Look).await?))
}

/// `GET /Tokens?ids=` or, in the form of older clients, `GET /Tokens?tokens.0.id=`.
pub(super) async fn list(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    query: Query,
) -> Result<Answer<Vec<Token>>, Problem> {
    let page = query.page()?;
    let ids = match query.ids()? {
        Some(ids) => ids,
        None => query.indexed_ids("tokens")?,
    };
    if ids.is_empty() {
        return Err(Refusal::invalid("ids", "at least one id is needed").into());
    }
    Ok(tokens::list(&core, &caller, &ids, page).await?.into())
}

/// `DELETE /Tokens/{id}`.
pub(super) async fn remove(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    Identified(id): Identified<TokenId>,
) -> Result<NoContent, Problem> {
    tokens::delete(&core, &caller, &id).await?;
    Ok(NoContent)
}

/// `POST /Tokens/{id}/ResetAccessFailedCount`. Not an operation of the vendor's consumer interface.
pub(super) async fn unlock(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    Identified(id): Identified<TokenId>,
) -> Result<NoContent, Problem> {
    tokens::unlock(&core, &caller, &id).await?;
    Ok(NoContent)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UpdateContent {
    new_content: ByteText,
    password: Option<ByteText>,
}

/// `POST /Tokens/{id}/UpdateContent`.
pub(super) async fn update_content(
    State(core): State<AppState>,
    SentFrom(source): SentFrom,
    LoggedIn(caller): LoggedIn,
    Identified(id): Identified<TokenId>,
    LargeJsonBody(body): LargeJsonBody<UpdateContent>,
) -> Result<Answer<UpdatedToken>, Problem> {
    let updated = tokens::update_content(&core, (&caller, source), &id, body.new_content, body.password.as_ref());
    Ok(Answer::ok(updated.await?))
}
