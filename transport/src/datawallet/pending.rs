//! Modifications that wait to be pushed.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::label::Label;
use super::payload::seal_payload_with_nonce;
use super::{DatawalletError, PayloadCategory, SUPPORTED_VERSION};
use crate::crypto::{NONCE_LENGTH, SecretKey, random};
use crate::wire::backbone::datawallet::{ModificationType, NewModification};

/// A modification in plaintext. It is sealed when it is pushed, because its key depends on its index.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingModification {
    /// Type of the change.
    pub kind: ModificationType,
    /// The object's collection.
    pub collection: String,
    /// The changed object.
    pub object_identifier: String,
    /// Category and properties; `None` for a deletion.
    pub payload: Option<(PayloadCategory, Map<String, Value>)>,
}

impl PendingModification {
    /// The deletion of an object.
    #[must_use]
    pub fn delete(collection: &str, object_identifier: &str) -> Self {
        Self {
            kind: ModificationType::Delete,
            collection: collection.to_owned(),
            object_identifier: object_identifier.to_owned(),
            payload: None,
        }
    }

    /// Seals it, including its label, for the index that it will get: the first of a push gets the last known index plus one.
    ///
    /// # Errors
    /// [`DatawalletError::Crypto`] if the index is 2^31 or more.
    pub fn seal(&self, synchronization_key: &SecretKey, index: u64) -> Result<NewModification, DatawalletError> {
        self.seal_with_nonce(synchronization_key, index, random::bytes())
    }

    /// As [`PendingModification::seal`], with a given nonce, which must never have been used for this index before: reuse
    /// reveals both payloads.
    ///
    /// # Errors
    /// As for [`PendingModification::seal`].
    #[doc(hidden)]
    pub fn seal_with_nonce(
        &self,
        synchronization_key: &SecretKey,
        index: u64,
        nonce: [u8; NONCE_LENGTH],
    ) -> Result<NewModification, DatawalletError> {
        let properties = self.labelled();
        let sealed =
            properties.map(|properties| seal_payload_with_nonce(synchronization_key, index, &properties, nonce));
        Ok(NewModification {
            kind: self.kind,
            object_identifier: self.object_identifier.clone(),
            payload_category: self.payload.as_ref().map(|(category, _)| category.to_string()),
            collection: self.collection.clone(),
            encrypted_payload: sealed.transpose()?,
            datawallet_version: SUPPORTED_VERSION,
        })
    }

    /// The properties, with the label that binds them to this modification.
    fn labelled(&self) -> Option<Map<String, Value>> {
        let (category, properties) = self.payload.as_ref()?;
        let label = Label {
            collection: self.collection.clone(),
            id: self.object_identifier.clone(),
            kind: self.kind,
            category: *category,
        };
        let mut properties = properties.clone();
        label.put(&mut properties);
        Some(properties)
    }
}

/// Omits the properties.
impl fmt::Debug for PendingModification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingModification")
            .field("kind", &self.kind)
            .field("collection", &self.collection)
            .field("object_identifier", &self.object_identifier)
            .field("category", &self.payload.as_ref().map(|(category, _)| category))
            .finish_non_exhaustive()
    }
}
