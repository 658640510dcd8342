//! Notes an application keeps about an identity.

use std::sync::Arc;

use serde_json::Value;
use transport::crypto::random;
use transport::wire::json_budget::{self, MAX_CONTENT};
use transport::wire::{Address, json};

use super::Node;
use crate::dto::IdentityMetadata;
use crate::store::{Batch, Object, StoreError, View, collection};
use crate::{Error, Result};

/// The value of `@type`.
const TYPE: &str = "IdentityMetadata";
const ID_PREFIX: &str = "IDM";
const ID_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const ID_RANDOM_LENGTH: usize = 17;

/// Values stored under an address and an optional key.
#[derive(Clone)]
pub struct IdentityMetadataFacade {
    node: Arc<Node>,
}

impl IdentityMetadataFacade {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    /// Stores a value, replacing the one under the same address and key, as other devices of the identity read it: numbers
    /// are doubles, and keys that are array indices come first.
    ///
    /// # Errors
    /// [`Error::Unknown`] for null, [`Error::InvalidPropertyValue`] for a value that other devices could not read, which is one
    /// beyond [`MAX_CONTENT`], [`Error::UnfamiliarReferencedIdentity`] unless the address is the own one
    /// or a peer's.
    pub async fn upsert(&self, mut entry: IdentityMetadata) -> Result<IdentityMetadata> {
        if entry.value.is_null() {
            return Err(Error::Unknown("value must not be null; delete the entry instead".to_owned()));
        }
        check_size(&entry.value)?;
        entry.value = as_sealed(&entry.value)?;
        if !self.is_familiar(&entry.reference)? {
            return Err(Error::UnfamiliarReferencedIdentity);
        }
        self.node.core.change(|view| Ok((replacement(view, &entry)?, ()))).await?;
        Ok(entry)
    }

    /// The value under this address and key.
    ///
    /// # Errors
    /// [`Error::IdentityMetadataNotFound`] if there is none.
    pub async fn find(&self, reference: &Address, key: Option<&str>) -> Result<IdentityMetadata> {
        let object = entries(&self.node.core.store.view(), reference, key)?
            .into_iter()
            .next()
            .ok_or(Error::IdentityMetadataNotFound)?;
        let entry = serde_json::from_value(Value::Object(object.properties));
        Ok(entry.map_err(|_| StoreError::Damaged)?)
    }

    /// Removes the value under this address and key.
    ///
    /// # Errors
    /// [`Error::IdentityMetadataNotFound`] if there is none.
    pub async fn delete(&self, reference: &Address, key: Option<&str>) -> Result<()> {
        let delete = |view: &View<'_>| {
            let mut batch = Batch::new();
            for object in entries(view, reference, key)? {
                batch.record_delete(collection::IDENTITY_METADATA, &object.id);
            }
            if batch.is_empty() { Err(Error::IdentityMetadataNotFound) } else { Ok((batch, ())) }
        };
        self.node.core.change(delete).await
    }

    fn is_familiar(&self, address: &Address) -> Result<bool> {
        if address == self.node.core.account.address() {
            return Ok(true);
        }
        let relationships = self.node.core.store.objects_where(collection::RELATIONSHIPS, &["peer"], |relationship| {
            let peer = relationship.get("peer").and_then(|peer| peer.get("address"));
            peer.and_then(Value::as_str) == Some(address.as_str())
        });
        Ok(!relationships?.is_empty())
    }
}

fn check_size(value: &Value) -> Result<()> {
    let too_large = |error| Error::InvalidPropertyValue(format!("'value' is too large: {error}"));
    json_budget::check(value.to_string().as_bytes(), &MAX_CONTENT).map_err(too_large)
}

/// The value that other devices read from what is sealed for them.
fn as_sealed(value: &Value) -> Result<Value> {
    let too_large = |_| Error::InvalidPropertyValue("'value' is too large".to_owned());
    json::from_text(&json::to_text(value)).map_err(too_large)
}

/// Puts an entry in the place of those under the same address and key.
fn replacement(view: &View<'_>, entry: &IdentityMetadata) -> Result<Batch> {
    let mut existing = entries(view, &entry.reference, entry.key.as_deref())?.into_iter();
    let mut batch = Batch::new();
    match existing.next() {
        Some(mut object) => {
            object.properties.insert("value".to_owned(), entry.value.clone());
            batch.record_update(object);
        }
        None => {
            let id = format!("{ID_PREFIX}{}", random::text(ID_ALPHABET, ID_RANDOM_LENGTH));
            batch.record_create(Object::typed(collection::IDENTITY_METADATA, &id, TYPE, entry));
        }
    }
    // Two devices may have made an entry each.
    for twin in existing {
        batch.record_delete(collection::IDENTITY_METADATA, &twin.id);
    }
    Ok(batch)
}

/// Usually one or none. An entry without a key is not one with an empty key.
fn entries(view: &View<'_>, reference: &Address, key: Option<&str>) -> Result<Vec<Object>> {
    let found = view.objects_where(collection::IDENTITY_METADATA, &["reference", "key"], |entry| {
        let text = |name| entry.get(name).and_then(Value::as_str);
        text("reference") == Some(reference.as_str()) && text("key") == key
    });
    Ok(found?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_may_be_as_large_as_other_devices_can_read_and_no_larger() {
        let nested = |depth| (0..depth).fold(json!(0), |inner, _| json!([inner]));
        for (value, fits) in [
            (Value::from(vec![0; MAX_CONTENT.max_nodes - 1]), true),
            (Value::from(vec![0; MAX_CONTENT.max_nodes]), false),
            (nested(MAX_CONTENT.max_depth), true),
            (nested(MAX_CONTENT.max_depth + 1), false),
        ] {
            assert_eq!(check_size(&value).is_ok(), fits);
        }
    }
}
