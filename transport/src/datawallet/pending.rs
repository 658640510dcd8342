//! Modifications that wait for their place in the log.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::label::Label;
use super::{PayloadCategory, SUPPORTED_VERSION, seal_payload};
use crate::Error;
use crate::crypto::SecretKey;
use crate::wire::backbone::datawallet::{ModificationType, NewModification};

/// A modification in clear. It is sealed when it is pushed, because only then its index is known.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingModification {
    /// What happens.
    pub kind: ModificationType,
    /// The collection the object is in.
    pub collection: String,
    /// The object it is about.
    pub object_identifier: String,
    /// Category and properties; none for a deletion.
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

    /// Seals it, together with its labels, for the index it will get: the last known one plus one for the first of a push, then
    /// counting up.
    ///
    /// # Errors
    /// [`Error::Crypto`] if the index is 2^31 or more.
    pub fn seal(&self, synchronization_key: &SecretKey, index: u64) -> Result<NewModification, Error> {
        let sealed = self.labelled().map(|properties| seal_payload(synchronization_key, index, &properties));
        Ok(NewModification {
            kind: self.kind,
            object_identifier: self.object_identifier.clone(),
            payload_category: self.payload.as_ref().map(|(category, _)| category.to_string()),
            collection: self.collection.clone(),
            encrypted_payload: sealed.transpose()?,
            datawallet_version: SUPPORTED_VERSION,
        })
    }

    /// The properties together with the label that binds them to this modification.
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

/// Leaves the properties out.
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
