//! Loads a token by its reference.

use std::sync::Arc;

use transport::crypto::SecretKey;
use transport::token::TokenContent;
use transport::wire::backbone::tokens::Token as BackboneToken;
use transport::wire::json_budget::MAX_CONTENT;
use transport::wire::{ReferenceError, TokenId, TokenReference};
use zeroize::Zeroizing;

use super::content::UnreadableContent;
use super::create::hash;
use super::password::StoredPassword;
use super::{TokenJson, TokenRecord};
use crate::code::ErrorCode;
use crate::core::Core;
use crate::delivery::{self, Delivery as _, Failure, Opened, Sources, claims, learn};
use crate::dto::JsonText;
use crate::peer::Origin;
use crate::store::{View, collection};
use crate::{Error, Result};

/// A token that was found.
pub(crate) struct Loaded {
    pub(crate) id: TokenId,
    pub(crate) record: TokenRecord,
    /// Whether it was in the store, so that the backbone was not asked.
    pub(crate) was_known: bool,
}

/// Returns the stored token, else reads it, as one use of it if somebody counts. Nothing is stored but this use.
///
/// What the reference itself excludes is refused without a request: first a missing password (even for stored tokens), then a
/// reference for another identity.
pub(crate) async fn load(core: &Arc<Core>, reference: &TokenReference, password: Option<&str>) -> Result<Loaded> {
    let password = chosen_password(core, reference, password)?;
    if let Some(record) = stored(&core.store.view(), &reference.id)? {
        learn_again(core, reference, &record, password.as_ref()).await?;
        return Ok(Loaded { id: reference.id.clone(), record, was_known: true });
    }
    if !reference.is_for(Some(core.account.address())) {
        return Err(not_for_you(core, reference));
    }
    let hash = hash(password.as_ref()).await;
    learn::of_token_reference(core, reference);
    let named = reference.backbone_base_url.as_deref();
    let route = core.routes.to_token(&reference.id);
    let asked = hash.as_deref();
    let id = &reference.id;
    let begun = claims::begin(core, id).await?;
    let mut used = begun.clone();
    let ask_under = |claim, sources| async move { delivery::by(core, sources).token(id, asked, claim, named).await };
    let mut first = ask_under(begun.as_ref().map(|used| &used.claim), Sources::All).await;
    if let (Err(failure), Some(refused)) = (&first, &begun)
        && claims::refused(core, id, refused, failure).await?
    {
        used = None;
        first = ask_under(None, Sources::All).await;
    }
    let first = first.map_err(|failure| match failure {
        Failure::TooLarge(_) => unreadable(core, UnreadableContent::TooLarge),
        other => other.into(),
    })?;
    let claim = used.as_ref().map(|used| &used.claim);
    let ask = |sources| ask_under(claim, sources);
    let open = |token| open(core, reference, token, password.clone());
    let Opened { value: record, refused } = match delivery::opened(first, route.is_some(), ask, open).await {
        Ok(opened) => opened,
        Err(error) => {
            if let Some(used) = used {
                claims::unusable(core, &reference.id, used);
            }
            return Err(error);
        }
    };
    let content = content_of(&record);
    if let Some(used) = used.clone() {
        claims::opened(core, &reference.id, used, content.as_ref()).await?;
    }
    if let Some(content) = content {
        match (refused, route) {
            (None, _) | (_, None) => learn::of_token(core, reference, &content, asked, claim).await?,
            (Some((Origin::Peer, reason)), Some(route)) => {
                // Where the maker of the token says that its file is counts for more than what led to a wrong token.
                core.routes.forget_token(&reference.id);
                let reference = TokenReference { direct: None, ..reference.clone() };
                learn::of_token(core, &reference, &content, asked, claim).await?;
                delivery::token_refused(core, &content, route.only_peer(), &reason);
            }
            (Some((Origin::Backbone, reason)), _) => {
                learn::of_token(core, reference, &content, asked, claim).await?;
                delivery::token_refused(core, &content, None, &reason);
            }
        }
    }
    Ok(Loaded { id: reference.id.clone(), record, was_known: false })
}

/// What a token that is known says of where its file can be loaded.
async fn learn_again(
    core: &Arc<Core>,
    reference: &TokenReference,
    record: &TokenRecord,
    password: Option<&StoredPassword>,
) -> Result<()> {
    let Some(content) = content_of(record).filter(|content| learn::is_reachable(core, reference, content)) else {
        return Ok(());
    };
    let claim = match &content {
        // Without the use that it belongs to, a node that counts does not give the file.
        TokenContent::File { .. } => claims::of_stored(core, &reference.id, &content, record.is_own).await?,
        _ => None,
    };
    learn::of_token(core, reference, &content, hash(password).await.as_deref(), claim.as_ref()).await
}

fn content_of(record: &TokenRecord) -> Option<TokenContent> {
    TokenContent::parse_open(record.content.as_str(), true).ok()
}

/// The stored token with this id.
pub(crate) fn stored(view: &View<'_>, id: &TokenId) -> Result<Option<TokenRecord>> {
    let Some(record) = view.record(collection::TOKENS, id.as_str())? else { return Ok(None) };
    TokenRecord::read(&record)
}

/// The error for a reference that cannot be read.
pub(crate) fn unreadable_reference(error: ReferenceError) -> Error {
    match error {
        ReferenceError::Kind { .. } => Error::InvalidReference,
        other => Error::InvalidTruncatedReference(other.to_string()),
    }
}

/// The password to present, if the reference requires one. Otherwise a given password is ignored.
fn chosen_password(core: &Core, reference: &TokenReference, given: Option<&str>) -> Result<Option<StoredPassword>> {
    let Some(shared) = &reference.password_protection else { return Ok(None) };
    let password = given.filter(|password| !password.is_empty()).or(reference.password.as_deref());
    let password = password.ok_or_else(|| {
        let reason = "You need to provide a password to perform this operation.";
        core.transport_error(ErrorCode::NoPasswordProvided, reason)
    })?;
    Ok(Some(StoredPassword { password: Zeroizing::new(password.to_owned()), shared: shared.clone() }))
}

fn open(
    core: &Core,
    reference: &TokenReference,
    token: BackboneToken,
    password_protection: Option<StoredPassword>,
) -> Result<TokenRecord> {
    if token.id != reference.id {
        return Err(Error::Unknown("the backbone answered with another token than the one asked for".to_owned()));
    }
    if token.for_identity.as_ref().is_some_and(|address| address != core.account.address()) {
        return Err(not_for_you(core, reference));
    }
    let (Some(content), Some(created_by), Some(created_by_device)) =
        (token.content, token.created_by, token.created_by_device)
    else {
        return Err(core.transport_error(ErrorCode::EmptyToken, "The token has no content yet."));
    };
    let secret_key = SecretKey::from(&reference.key);
    let max_length = core.config.backbone.max_token_content;
    let content = TokenJson::open(&content.0, &secret_key, max_length).map_err(|error| unreadable(core, error))?;
    let is_own = created_by == *core.account.address();
    Ok(TokenRecord {
        secret_key,
        is_own,
        created_by,
        created_at: token.created_at,
        expires_at: token.expires_at,
        created_by_device,
        for_identity: token.for_identity,
        content: JsonText::from(content.value()),
        password_protection,
        // The answer does not say, and what may have to be counted is left to the device that counts it.
        has_terms: is_own,
    })
}

fn unreadable(core: &Core, error: UnreadableContent) -> Error {
    match error {
        UnreadableContent::Decryption => Error::InvalidTruncatedReference(
            "its key does not open what the backbone sent: the reference is damaged, then copy it again and completely, \
             or the answer is"
                .to_owned(),
        ),
        UnreadableContent::Malformed => {
            core.transport_error(ErrorCode::UnreadableTokenContent, "What is inside the token cannot be read.")
        }
        UnreadableContent::TooLarge => {
            let max = core.config.backbone.max_token_content;
            let reason = format!(
                "The content of the token is larger than the {max} bytes, {} values or {} levels that this node takes; \
                 whoever made it can share it as a file.",
                MAX_CONTENT.max_nodes, MAX_CONTENT.max_depth
            );
            core.transport_error(ErrorCode::UnreadableTokenContent, reason)
        }
    }
}

fn not_for_you(core: &Core, reference: &TokenReference) -> Error {
    let reason = format!(
        "You tried to access personalized content '{}'. You are either not logged in or the content is not intended for \
         you.",
        reference.id
    );
    core.transport_error(ErrorCode::NotIntendedForYou, reason)
}
