//! A token as it is stored, by every device of the identity.

use serde::{Deserialize, Serialize};
use transport::crypto::{SecretKey, compact};
use transport::wire::reference::BaseUrl;
use transport::wire::{Address, DeviceId, Timestamp, TokenId, TokenReference};

use super::password::{NewPassword, StoredPassword};
use crate::Result;
use crate::core::place;
use crate::dto::{self, JsonText};
use crate::store::{Object, Record, collection};

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
    pub(crate) content: JsonText,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password_protection: Option<StoredPassword>,
    /// Whether it has, or may have, terms that are kept where they are enforced, as a limit of uses, a beginning, or the paths by which
    /// peers get it: other devices leave it to them.
    /// Set, too, in an own token that a device loaded by its reference, because that does not say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) has_terms: bool,
}

/// Distinguishes tokens from other objects in their collection.
#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "@type")]
    name: Option<String>,
}

impl TokenRecord {
    /// The value of `@type`. Tokens without a content are in the same collection, with another type.
    pub(crate) const TYPE: &str = "Token";

    /// Reads a stored object; none if it is of another type.
    pub(crate) fn read(record: &Record) -> Result<Option<Self>> {
        let (_, kind) = record.read::<String, Kind>()?;
        if kind.name.is_some_and(|name| name != Self::TYPE) {
            return Ok(None);
        }
        Ok(Some(record.read::<TokenId, Self>()?.1))
    }

    /// Whether a stored object is a token, readable or not.
    pub(crate) fn is_one(record: &Record) -> bool {
        let kind = record.read::<String, Kind>().ok().and_then(|(_, kind)| kind.name);
        kind.is_none_or(|name| name == Self::TYPE)
    }

    pub(crate) fn to_object(&self, id: &TokenId) -> Object {
        Object::typed(collection::TOKENS, id.as_str(), Self::TYPE, self)
    }

    /// Its password for another token, which gets a salt of its own.
    ///
    /// # Errors
    /// [`crate::Error::InvalidPropertyValue`] for one that this version does not take, as another program may have stored it.
    pub(crate) fn password(&self) -> Result<Option<NewPassword>> {
        self.password_protection.as_ref().map(|password| NewPassword::check(password.to_dto())).transpose()
    }

    /// The token as users see it, with references to the backbone at `base_url`.
    ///
    /// # Errors
    /// [`crate::Error::Config`] if the URL cannot be part of references.
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
            revoked_at: None,
            label: None,
            not_before: None,
            max_downloads: None,
            strict_uses: false,
            notify: None,
            transports: None,
        }
    }

    fn reference(&self, id: TokenId, place: &BaseUrl) -> dto::Reference {
        let mut reference = TokenReference::new(id, (&self.secret_key).into());
        reference.for_identity_truncated = self.for_identity.as_ref().map(|address| address.truncated().to_owned());
        reference.password_protection = self.password_protection.as_ref().map(|password| password.shared.clone());
        dto::Reference::of(&reference, place)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use transport::wire::json_budget::MAX_FREE_JSON;

    use super::*;
    use crate::store::{Batch, Store, StoreKeySource};

    /// A store with a token as earlier versions stored it: with any content.
    async fn store_with(content: &Value) -> (Store, TokenId, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let key = StoreKeySource::File(directory.path().join("store.key"));
        let store = Store::open_in(directory.path(), &key, true).unwrap();
        let id: TokenId = "TOKabcdefghijklmno12".parse().unwrap();
        let properties = json!({
            "@type": "Token", "secretKey": { "key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "alg": 3 },
            "isOwn": false, "createdBy": "did:e:localhost:dids:c5b454f4a8133c3d2cf2ef",
            "createdAt": "2026-01-01T00:00:00.000Z", "expiresAt": "2027-01-01T00:00:00.000Z",
            "createdByDevice": "DVCabcdefghijklmno12", "content": content
        });
        let object = Object::new(collection::TOKENS, id.as_str(), properties.as_object().unwrap().clone());
        let mut batch = Batch::new();
        batch.put_object(object);
        store.commit(batch).await.unwrap();
        (store, id, directory)
    }

    #[tokio::test]
    async fn a_stored_token_that_is_larger_than_allowed_now_is_read_and_deleted() {
        let values = 4 * MAX_FREE_JSON.max_nodes;
        let content = json!({ "b": vec![1.5; values], "a": "x".repeat(1_000_000), "n": [u64::MAX, -1, null, 1.0] });
        let (store, id, _directory) = store_with(&content).await;
        let record = store.view().record(collection::TOKENS, id.as_str()).unwrap().unwrap();
        let read = TokenRecord::read(&record).unwrap().unwrap();
        assert_eq!(read.content.as_str(), content.to_string(), "every number and the order of members stay");
        let mut batch = Batch::new();
        batch.record_delete(collection::TOKENS, id.as_str());
        store.commit(batch).await.unwrap();
        assert!(store.view().record(collection::TOKENS, id.as_str()).unwrap().is_none());
    }

    #[tokio::test]
    async fn other_objects_in_the_collection_of_tokens_are_not_tokens() {
        let (store, id, _directory) = store_with(&json!({})).await;
        let mut object = store.object(collection::TOKENS, id.as_str()).unwrap().unwrap();
        object.properties.insert("@type".to_owned(), "EmptyToken".into());
        let mut batch = Batch::new();
        batch.put_object(object);
        store.commit(batch).await.unwrap();
        let record = store.view().record(collection::TOKENS, id.as_str()).unwrap().unwrap();
        assert!(TokenRecord::read(&record).unwrap().is_none());
    }
}
