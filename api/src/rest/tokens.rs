//! Tokens: create, load, list, show, change, revoke, delete.

use http::StatusCode;
use runtime::Error;
use runtime::dto::{AnyToken, AnyTokenId, ChangedToken, Notify, RotatedToken, Token};
use runtime::facade::{CreateOwnToken, LoadPeerToken, Ownership, TokensFacade, UpdateToken};
use serde::Serialize;

use super::password;
use super::{files::wants_url, list, qr_code};
use crate::connector::{Call, Shown};
use crate::problem::Problem;
use crate::protocol::Media;
use crate::reply::Reply;
use crate::validation::{Object, ValueRule};

/// What the creator of a token may settle beyond the published protocol. Everything is optional.
pub(crate) fn with_terms(shape: Object) -> Object {
    shape
        .optional("label", ValueRule::Text(0), "A note for this identity, kept on this node; at most 128 characters.")
        .optional("notBefore", ValueRule::DateTime, "From when on others can load it. Needs a backbone with terms.")
        .optional(
            "maxDownloads",
            ValueRule::Number,
            "How often it can be loaded, 1 to 1000000. Needs a backbone with terms.",
        )
        .optional(
            "strictUses",
            ValueRule::Flag,
            "With maxDownloads: a use counts as soon as it is begun. Default: false.",
        )
        .optional("notify", ValueRule::Choice(&Notify::NAMES), "Of which uses this identity is told. Default: none.")
        .optional("transports", TEXTS, TRANSPORTS)
        .optional("allow", TEXTS, ALLOW)
}

const TEXTS: ValueRule = ValueRule::Nullable(&ValueRule::Texts);
const TRANSPORTS: &str = "By which paths others may load it: direct and relay from this node, which enforces them, and store from a backbone, which a token at a \
                          backbone must have; null: all.";
const ALLOW: &str =
    "view, preview and download, or null: nobody could enforce less of a content that its receiver opens.";

const NO_REFERENCE: &str = "A token of /v1 has no reference; GET /v1/tokens/{tokenId}/qr makes a QR code of its URL.";

/// The body of a creation.
pub(crate) fn creation() -> Object {
    let published = Object::new()
        .required("content", ValueRule::AnyObject, "A JSON object; a known '@type' is checked.")
        .required("expiresAt", ValueRule::DateTime, "Must lie in the future.")
        .optional("ephemeral", ValueRule::NullableFlag, "Whether the token is left out of the store. Default: false.")
        .optional("forIdentity", ValueRule::Address, "The only identity that may load it.")
        .optional("passwordProtection", password::shape(), "What loading it takes.");
    with_terms(published)
}

/// The body of loading a token.
pub(crate) fn loading() -> Object {
    Object::new()
        .required("reference", ValueRule::Reference(&["TOK"]), "Reference of a token, truncated or as a URL.")
        .optional("ephemeral", ValueRule::NullableFlag, "Whether the token is left out of the store. Default: false.")
        .optional("password", ValueRule::Text(0), "For protected tokens.")
        .saying("token reference invalid")
}

/// The body of a change.
pub(crate) fn changes() -> Object {
    Object::new()
        .optional("expiresAt", ValueRule::DateTime, "Must lie in the future; earlier or later than before.")
        .optional(
            "notBefore",
            ValueRule::Nullable(&ValueRule::DateTime),
            "From when on others can load it; null: at once.",
        )
        .optional("maxDownloads", ValueRule::Nullable(&ValueRule::Number), "1 to 1000000; null: any number.")
        .optional(
            "label",
            ValueRule::Nullable(&ValueRule::Text(0)),
            "A note on this node, at most 128 characters; null: none.",
        )
        .optional("notify", ValueRule::Choice(&Notify::NAMES), "Of which uses this identity is told.")
        .optional("transports", TEXTS, TRANSPORTS)
        .optional("allow", TEXTS, ALLOW)
}

/// A token that replaces another one, as [`shown`].
#[derive(Serialize)]
struct Rotated {
    token: Shown<Token>,
    old: ChangedToken,
}

/// A token that can be passed on, with the reference that other machines need where the face says it.
pub(crate) fn shown(call: &Call, token: Token) -> Result<Shown<Token>, Problem> {
    let direct_reference = direct_reference(call, &token)?;
    Ok(call.differences().token(token).with_direct_reference(direct_reference))
}

/// The QR code of the reference of a token.
pub(crate) fn picture(call: &Call, token: &Token, wants_url: bool) -> Result<Vec<u8>, Problem> {
    match direct_reference(call, token)? {
        Some(reference) => qr_code::of_text(&reference),
        None => qr_code::of_reference(call, &token.reference, wants_url),
    }
}

fn direct_reference(call: &Call, token: &Token) -> Result<Option<String>, Problem> {
    if !call.differences().direct_references {
        return Ok(None);
    }
    let passed_on = call.runtime().peers().passed_on(token)?;
    Ok(Some(passed_on.reference).filter(|_| passed_on.is_direct))
}

/// `POST Tokens/Own`
pub(crate) async fn create(mut call: Call) -> Result<Reply, Problem> {
    let request: CreateOwnToken = call.read(&creation())?;
    let token = call.runtime().tokens().create_own_token(request).await?;
    Ok(Reply::created(&shown(&call, token)?))
}

/// `POST Tokens/Peer`
pub(crate) async fn load(mut call: Call) -> Result<Reply, Problem> {
    let request: LoadPeerToken = call.read(&loading())?;
    let token = call.runtime().tokens().load_peer_token(request).await?;
    Ok(Reply::created(&call.differences().token(token)))
}

/// `GET Tokens/Own`
pub(crate) async fn list_own(call: Call) -> Result<Reply, Problem> {
    list_of(call, Ownership::Own).await
}

/// `GET Tokens/Peer`
pub(crate) async fn list_peer(call: Call) -> Result<Reply, Problem> {
    list_of(call, Ownership::Peer).await
}

/// `GET Tokens/{id}`
pub(crate) async fn get(call: Call) -> Result<Reply, Problem> {
    let id = any_id(&call, "id")?;
    let token = match stored(call.runtime().tokens(), id, call.differences().token_terms).await? {
        AnyToken::E2e(token) => *token,
        AnyToken::Node(_) if call.media == Media::PNG => {
            return Err(Error::NotSupported(NO_REFERENCE.to_owned()).into());
        }
        AnyToken::Node(token) => return Ok(Reply::ok(&token)),
    };
    if call.media == Media::PNG {
        let picture = picture(&call, &token, wants_url(&call))?;
        return Ok(Reply::png(StatusCode::OK, &format!("{}.png", token.id), picture));
    }
    Ok(Reply::ok(&shown(&call, token)?))
}

/// `DELETE Tokens/{id}`
pub(crate) async fn delete(call: Call) -> Result<Reply, Problem> {
    let id = any_id(&call, "tokenId")?;
    call.runtime().tokens().delete_any_token(&id).await?;
    Ok(Reply::no_content())
}

/// `POST Tokens/{id}/Unlock`
pub(crate) async fn unlock(call: Call) -> Result<Reply, Problem> {
    let id = any_id(&call, "tokenId")?;
    call.runtime().tokens().unlock_any_token(&id).await?;
    Ok(Reply::no_content())
}

/// `PATCH Tokens/{id}`
pub(crate) async fn update(mut call: Call) -> Result<Reply, Problem> {
    let id = any_id(&call, "tokenId")?;
    let request: UpdateToken = call.read(&changes())?;
    Ok(Reply::ok(&call.runtime().tokens().update_any_token(&id, request).await?))
}

/// `POST Tokens/{id}/Revoke`
pub(crate) async fn revoke(call: Call) -> Result<Reply, Problem> {
    let id = any_id(&call, "tokenId")?;
    Ok(Reply::ok(&call.runtime().tokens().revoke_any_token(&id).await?))
}

/// `POST Tokens/{id}/Rotate`
pub(crate) async fn rotate(call: Call) -> Result<Reply, Problem> {
    let id = any_id(&call, "tokenId")?;
    let RotatedToken { token, old } = call.runtime().tokens().rotate_any_token(&id).await?;
    Ok(Reply::created(&Rotated { token: shown(&call, token)?, old }))
}

/// `GET Tokens/{id}/Terms`
pub(crate) async fn terms(call: Call) -> Result<Reply, Problem> {
    let id = any_id(&call, "tokenId")?;
    Ok(Reply::ok(&call.runtime().tokens().any_token_terms(&id).await?))
}

/// `GET TokenServices`
pub(crate) async fn services(call: Call) -> Result<Reply, Problem> {
    Ok(Reply::ok(&call.runtime().tokens().services().await?))
}

/// Which token a path names. Only the own face has tokens of `/v1`; to the published connectors their ids are no ids.
fn any_id(call: &Call, name: &str) -> Result<AnyTokenId, Problem> {
    match call.parameter().parse() {
        Ok(id @ AnyTokenId::Node(_)) if call.differences().token_terms => Ok(id),
        _ => call.id(name, "Token").map(AnyTokenId::E2e),
    }
}

/// The token with this id. The published connectors know one answer to all that are on no list; the own face says why.
async fn stored(tokens: TokensFacade, id: AnyTokenId, is_own_face: bool) -> Result<AnyToken, Problem> {
    match id {
        AnyTokenId::E2e(id) if !is_own_face => Ok(AnyToken::E2e(Box::new(tokens.token(&id).await?))),
        id => Ok(tokens.any_token(&id).await?),
    }
}

async fn list_of(call: Call, ownership: Ownership) -> Result<Reply, Problem> {
    let tokens = call.runtime().tokens().tokens(ownership, &call.query)?;
    let differences = call.differences();
    list::list(tokens, move |token| differences.token(token)).await
}
