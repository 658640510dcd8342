//! A token as it is remembered, and as every device of the identity knows it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use transport::crypto::{SecretKey, compact};
use transport::wire::reference::{BaseUrl, Referable};
use transport::wire::{Address, DeviceId, Timestamp, TokenId, TokenReference};

use super::password::StoredPassword;
use crate::dto;
use crate::store::{Object, StoreError, collection};
use crate::{Error, Result};

/// Properties of a token in the collection of tokens.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenRecord {
    #[serde(with = "compact")]
    pub(crate) secret_key: SecretKey,
    pub(crate) is_own: bool,
    pub(crate) created_by: Address,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) created_by_device: DeviceId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) for_identity: Option<Address>,
    pub(crate) content: Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password_protection: Option<StoredPassword>,
}

impl TokenRecord {
    /// The value of `@type`. Tokens that wait for their content are kept in the same collection, under another type.
    pub(crate) const TYPE: &str = "Token";

    /// Reads a stored object; none if it is something else that is kept among the tokens.
    pub(crate) fn read(object: &Object) -> Result<Option<(TokenId, Self)>> {
        if object.properties.get("@type").is_some_and(|kind| kind != Self::TYPE) {
            return Ok(None);
        }
        let id = object.id.parse().map_err(|_| StoreError::Damaged)?;
        let record = Self::deserialize(&Value::Object(object.properties.clone())).map_err(|_| StoreError::Damaged)?;
        Ok(Some((id, record)))
    }

    pub(crate) fn to_object(&self, id: &TokenId) -> Object {
        Object::typed(collection::TOKENS, id.as_str(), Self::TYPE, self)
    }

    /// The token as users see it, with references to the backbone at `base_url`.
    ///
    /// # Errors
    /// [`Error::Config`] if the URL cannot stand in references.
    pub(crate) fn into_dto(self, id: TokenId, base_url: &str, is_ephemeral: bool) -> Result<dto::Token> {
        Ok(self.into_dto_at(id, &place(base_url)?, is_ephemeral))
    }

    /// The same for a URL that was checked before.
    pub(crate) fn into_dto_at(self, id: TokenId, place: &BaseUrl, is_ephemeral: bool) -> dto::Token {
        dto::Token {
            reference: self.reference(id.clone(), place),
            id,
            is_own: self.is_own,
            created_by: self.created_by,
            created_by_device: self.created_by_device,
            content: self.content,
            created_at: self.created_at,
            expires_at: self.expires_at,
            for_identity: self.for_identity,
            password_protection: self.password_protection.as_ref().map(StoredPassword::to_dto),
            is_ephemeral,
        }
    }

    fn reference(&self, id: TokenId, place: &BaseUrl) -> dto::Reference {
        let mut reference = TokenReference::new(id, (&self.secret_key).into());
        reference.for_identity_truncated = self.for_identity.as_ref().map(|address| address.truncated().to_owned());
        reference.password_protection = self.password_protection.as_ref().map(|password| password.shared.clone());
        dto::Reference::of(&reference, place)
    }
}

impl dto::Reference {
    /// Both forms of a reference, at a backbone.
    pub(crate) fn of<I: Referable>(reference: &transport::wire::Reference<I>, place: &BaseUrl) -> Self {
        let (truncated, url) = reference.forms_at(place);
        Self { truncated, url }
    }
}

/// The backbone that references lead to.
///
/// # Errors
/// [`Error::Config`] if the URL cannot stand in references.
pub(crate) fn place(base_url: &str) -> Result<BaseUrl> {
    BaseUrl::parse(base_url).map_err(|error| Error::Config(format!("backbone URL: {error}")))
}
