//! Tokens: create, load, list, delete.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tracing::{info, instrument};
use transport::wire::{Address, ReferenceError, Timestamp, TokenId, TokenReference};

use super::Node;
use super::list::List;
use crate::config::{Secret, serialize_in_clear};
use crate::core::{Core, place};
use crate::dto::{PasswordProtection, Token};
use crate::event::Event;
use crate::held;
use crate::logging::short;
use crate::query::{self, Ownership, Query, TOKENS};
use crate::store::{Batch, View, collection};
use crate::token::{
    self, NewPassword, NewTerms, NewToken, Revocation, TokenJson, TokenRecord, TokenSettings, check_future,
};
use crate::{Error, Result};

/// A token with any content.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateOwnToken {
    /// Any JSON but null. Objects with `@type` must be of a known type; the published clients read objects only.
    pub content: serde_json::Value,
    /// Must lie in the future.
    pub expires_at: Timestamp,
    /// Whether the token is left out of the store.
    #[serde(default)]
    pub ephemeral: bool,
    /// The only identity that may load it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_identity: Option<Address>,
    /// What loading it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_protection: Option<PasswordProtection>,
    /// What is beyond the published protocol.
    #[serde(flatten)]
    pub terms: NewTerms,
}

impl CreateOwnToken {
    /// A token about which nothing else is said.
    #[must_use]
    pub fn new(content: serde_json::Value, expires_at: Timestamp) -> Self {
        Self {
            content,
            expires_at,
            ephemeral: false,
            for_identity: None,
            password_protection: None,
            terms: NewTerms::default(),
        }
    }
}

/// A reference to somebody's token.
#[derive(Clone, Serialize, Deserialize)]
pub struct LoadPeerToken {
    /// Truncated or URL form.
    pub reference: String,
    /// Whether the token is left out of the store.
    #[serde(default)]
    pub ephemeral: bool,
    /// For protected tokens; `""` counts as none.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_in_clear")]
    pub password: Option<Secret>,
}

/// Everything a node does with tokens.
#[derive(Clone)]
pub struct TokensFacade {
    pub(super) node: Arc<Node>,
}

impl TokensFacade {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    /// Seals a content and creates a token for it.
    ///
    /// # Errors
    /// [`Error::InvalidPropertyValue`] for an expiry that is not in the future, an invalid PIN and an invalid password location,
    /// in this order; [`Error::InvalidTokenContent`]; [`Error::InvalidPropertyValue`] for a content that is too
    /// large; the backbone's errors; [`Error::Store`] if the token
    /// exists but could not be remembered here.
    #[instrument(skip_all)]
    pub async fn create_own_token(&self, request: CreateOwnToken) -> Result<Token> {
        check_future(request.expires_at, &*self.node.core.clock)?;
        let new = NewToken {
            terms: request.terms,
            replaces: None,
            password: request.password_protection.map(NewPassword::check).transpose()?,
            content: TokenJson::check(request.content, self.node.core.config.backbone.max_token_content)?,
            expires_at: request.expires_at,
            ephemeral: request.ephemeral,
            for_identity: request.for_identity,
            shares: None,
        };
        new.create(&self.node.core).await
    }

    /// Loads a token by its reference. A known token is not asked for again.
    ///
    /// # Errors
    /// [`Error::InvalidPropertyValue`] for references to something else, [`Error::InvalidTruncatedReference`] for
    /// unreadable ones, `noPasswordProvided` and `notIntendedForYou` where the reference tells, `emptyToken` and
    /// `invalidTokenContent`, and the backbone's errors.
    #[instrument(skip_all)]
    pub async fn load_peer_token(&self, request: LoadPeerToken) -> Result<Token> {
        let reference = TokenReference::parse(&request.reference).map_err(|error| match error {
            ReferenceError::Kind { .. } => Error::InvalidPropertyValue("token reference invalid".to_owned()),
            other => token::unreadable_reference(other),
        })?;
        let password = request.password.as_ref().map(Secret::expose);
        let loaded = token::load(&self.node.core, &reference, password).await?;
        if !loaded.was_known && !request.ephemeral {
            let remember = |view: &View<'_>| {
                let mut batch = Batch::new();
                // Another call or another device may have been faster.
                if token::stored(view, &loaded.id)?.is_none() {
                    batch.record_create(loaded.record.to_object(&loaded.id));
                }
                Ok((batch, ()))
            };
            self.node.core.change(remember).await?;
        }
        info!(token = short(&loaded.id), known = loaded.was_known, "token loaded");
        let is_ephemeral = request.ephemeral && !loaded.was_known;
        let token = loaded.record.into_dto(loaded.id, self.node.core.base_url(), is_ephemeral)?;
        if !loaded.was_known {
            self.node.core.events.publish(Event::PeerTokenLoaded(Box::new(token.clone())));
        }
        Ok(token)
    }

    /// The stored token with this id.
    ///
    /// # Errors
    /// [`Error::RecordNotFound`] if it is not known here, as ephemeral ones never are.
    pub async fn token(&self, id: &TokenId) -> Result<Token> {
        let token = self.record(id)?.into_dto(id.clone(), self.node.core.base_url(), false)?;
        complete(&self.node.core, token)
    }

    /// What [`tokens`](Self::tokens) can be filtered by.
    #[must_use]
    pub fn filters() -> Vec<&'static str> {
        query::public(TOKENS)
    }

    /// Stored tokens that match all parameters, in the order in which they became known. They are read page by page.
    ///
    /// # Errors
    /// [`Error::InvalidPropertyValue`] for fields that tokens do not have and values that a field does not take,
    /// [`Error::Unknown`] for unreadable regular expressions.
    pub fn tokens(&self, ownership: Ownership, parameters: &[(String, String)]) -> Result<List<Token>> {
        // Tokens that wait for their content are kept in the same collection.
        let query = Query::parse(TOKENS, parameters, ownership)?.of_type(TokenRecord::TYPE);
        let place = place(self.node.core.base_url())?;
        let core = self.node.core.clone();
        let show = move |id, record: TokenRecord| complete(&core, record.into_dto_at(id, &place, false));
        Ok(List::of_objects(self.node.core.clone(), collection::TOKENS, query, show))
    }

    /// Deletes a token: at the backbone too if it is ours. One that is gone there already counts as deleted.
    ///
    /// # Errors
    /// [`Error::RecordNotFound`] if it is not known here, and the backbone's errors; then nothing was deleted.
    #[instrument(skip_all, fields(token = short(id)))]
    pub async fn delete_token(&self, id: &TokenId) -> Result<()> {
        if self.record(id)?.is_own {
            match self.node.core.account.session().delete_token(id).await {
                Err(error) if error.is_record_not_found() => info!("the token was gone at the backbone already"),
                outcome => outcome?,
            }
        }
        held::remove_object(&self.node.core, collection::TOKENS, id.as_str()).await?;
        self.node.core.events.publish(Event::TokenDeleted(id.clone()));
        Ok(())
    }

    /// Unlocks an own token that too many wrong passwords have locked, at this node and at the backbone.
    ///
    /// This node comes first. If it had locked the token for peers, and the backbone had not as far as is known, that is enough: then a refusal
    /// of the backbone is none of this call.
    ///
    /// # Errors
    /// [`Error::RecordNotFound`] if it is not known here, `error.platform.forbidden` if it is somebody else's, and the
    /// backbone's errors: those of other vendors cannot do it.
    #[instrument(skip_all, fields(token = short(id)))]
    pub async fn unlock_token(&self, id: &TokenId) -> Result<()> {
        self.record(id)?;
        let core = &self.node.core;
        let settings = TokenSettings::stored(&core.store.view(), id)?;
        // The flag stays until the end, so a call that is repeated finds it, too.
        let is_locked_for_peers = settings.is_locked_for_peers || held::is_locked(core, id)?;
        let was_locked_here_only = is_locked_for_peers && !settings.is_locked;
        held::unlock(core, id).await?;
        match core.account.session().unlock_token(id).await {
            Err(error) if was_locked_here_only && error.failure().is_refusal() => {
                info!(%error, "the backbone does not unlock a token that this node has locked for peers");
            }
            outcome => outcome?,
        }
        let unlock = |view: &View<'_>| Ok::<_, Error>((TokenSettings::unlocking(view, id)?, ()));
        core.store.change(unlock).await
    }

    pub(super) fn record(&self, id: &TokenId) -> Result<TokenRecord> {
        token::stored(&self.node.core.store.view(), id)?.ok_or(Error::RecordNotFound("Token"))
    }
}

/// The token with what this device knows of it beside the object: its settings, and when it was revoked here.
fn complete(core: &Core, token: Token) -> Result<Token> {
    let view = core.store.view();
    let revocation = Revocation::stored(&view, &token.id)?.filter(|revocation| revocation.is_complete);
    let settings = TokenSettings::stored(&view, &token.id)?;
    Ok(settings.show_in(Token { revoked_at: revocation.map(|revocation| revocation.at), ..token }))
}
