//! Loading a token by its reference.

use transport::backbone;
use transport::crypto::SecretKey;
use transport::wire::backbone::tokens::Token as BackboneToken;
use transport::wire::json_budget::MAX_CONTENT;
use transport::wire::{ReferenceError, TokenId, TokenReference};
use zeroize::Zeroizing;

use super::content::UnreadableContent;
use super::create::hash;
use super::password::StoredPassword;
use super::{TokenJson, TokenRecord};
use crate::dto::JsonText;
use crate::error::TransportError;
use crate::runtime::Node;
use crate::store::{View, collection};
use crate::{Error, Result};

/// A token that was found.
pub(crate) struct Loaded {
    pub(crate) id: TokenId,
    pub(crate) record: TokenRecord,
    /// It was in the store; the backbone was not asked.
    pub(crate) was_known: bool,
}

/// Finds the token here, else at the backbone. Nothing is stored.
///
/// What the reference alone can refuse is refused before the backbone hears of it: a missing password first (also for
/// tokens that are known), then a reference that is for somebody else.
pub(crate) async fn load(node: &Node, reference: &TokenReference, password: Option<&str>) -> Result<Loaded> {
    let password = chosen_password(node, reference, password)?;
    if let Some(record) = stored(&node.store.view(), &reference.id)? {
        return Ok(Loaded { id: reference.id.clone(), record, was_known: true });
    }
    if !reference.is_for(Some(node.account.address())) {
        return Err(not_for_you(node, reference));
    }
    let hash = hash(password.as_ref()).await;
    let token = node.account.session().token(&reference.id, hash.as_deref()).await;
    let token = token.map_err(|error| match error {
        backbone::Error::AnswerTooLarge { .. } => unreadable(node, UnreadableContent::TooLarge),
        error => unavailable(node, reference, error),
    })?;
    let record = open(node, reference, token, password)?;
    Ok(Loaded { id: reference.id.clone(), record, was_known: false })
}

/// The stored token with this id.
pub(crate) fn stored(view: &View<'_>, id: &TokenId) -> Result<Option<TokenRecord>> {
    let Some(record) = view.record(collection::TOKENS, id.as_str())? else { return Ok(None) };
    TokenRecord::read(&record)
}

/// What users see of a reference that cannot be read.
pub(crate) fn unreadable_reference(error: ReferenceError) -> Error {
    match error {
        ReferenceError::Kind { .. } => Error::InvalidReference,
        other => Error::InvalidTruncatedReference(other.to_string()),
    }
}

/// The password to show, if the reference asks for one. One that nobody asks for is left out.
fn chosen_password(node: &Node, reference: &TokenReference, given: Option<&str>) -> Result<Option<StoredPassword>> {
    let Some(shared) = &reference.password_protection else { return Ok(None) };
    let password = given.filter(|password| !password.is_empty()).or(reference.password.as_deref());
    let password = password.ok_or_else(|| {
        let reason = "You need to provide a password to perform this operation.";
        node.transport_error(TransportError::NoPasswordProvided, reason)
    })?;
    Ok(Some(StoredPassword { password: Zeroizing::new(password.to_owned()), shared: shared.clone() }))
}

fn open(
    node: &Node,
    reference: &TokenReference,
    token: BackboneToken,
    password_protection: Option<StoredPassword>,
) -> Result<TokenRecord> {
    if token.id != reference.id {
        return Err(Error::Unknown("the backbone answered with another token than the one asked for".to_owned()));
    }
    if token.for_identity.as_ref().is_some_and(|address| address != node.account.address()) {
        return Err(not_for_you(node, reference));
    }
    let (Some(content), Some(created_by), Some(created_by_device)) =
        (token.content, token.created_by, token.created_by_device)
    else {
        return Err(node.transport_error(TransportError::EmptyToken, "The token has no content yet."));
    };
    let secret_key = SecretKey::from(&reference.key);
    let max_length = node.config.backbone.max_token_content;
    let content = TokenJson::open(&content.0, &secret_key, max_length).map_err(|error| unreadable(node, error))?;
    Ok(TokenRecord {
        secret_key,
        is_own: created_by == *node.account.address(),
        created_by,
        created_at: token.created_at,
        expires_at: token.expires_at,
        created_by_device,
        for_identity: token.for_identity,
        content: JsonText::from(content.value()),
        password_protection,
    })
}

fn unreadable(node: &Node, error: UnreadableContent) -> Error {
    match error {
        UnreadableContent::Decryption => Error::InvalidTruncatedReference(
            "its key does not open what the backbone sent: the reference is damaged, then copy it again and completely, \
             or the answer is"
                .to_owned(),
        ),
        UnreadableContent::Malformed => {
            node.transport_error(TransportError::InvalidTokenContent, "What is inside the token cannot be read.")
        }
        UnreadableContent::TooLarge => {
            let max = node.config.backbone.max_token_content;
            let reason = format!(
                "The content of the token is larger than the {max} bytes, {} values or {} levels that this node takes; \
                 whoever made it can share it as a file.",
                MAX_CONTENT.max_nodes, MAX_CONTENT.max_depth
            );
            node.transport_error(TransportError::InvalidTokenContent, reason)
        }
    }
}

fn not_for_you(node: &Node, reference: &TokenReference) -> Error {
    let reason = format!(
        "You tried to access personalized content '{}'. You are either not logged in or the content is not intended for \
         you.",
        reference.id
    );
    node.transport_error(TransportError::NotIntendedForYou, reason)
}

/// Adds what explains most cases of "not found": the reference names another backbone.
fn unavailable(node: &Node, reference: &TokenReference, error: backbone::Error) -> Error {
    node.not_found_elsewhere(reference.backbone_base_url.as_deref(), error.into())
}
