//! The things that are kept.

use serde::{Deserialize, Serialize};
use transport::wire::backbone::datawallet::ModificationType;

use super::Category;

/// Members of an object, `@type` included, `id` not.
pub(crate) type Properties = serde_json::Map<String, serde_json::Value>;

/// A flat JSON object as every device of the identity knows it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object {
    /// The collection it is in; unknown ones are kept too.
    pub(crate) collection: String,
    /// Unique within the collection.
    pub(crate) id: String,
    /// Its members.
    pub(crate) properties: Properties,
}

impl Object {
    pub(crate) fn new(collection: &str, id: impl Into<String>, properties: Properties) -> Self {
        Self { collection: collection.to_owned(), id: id.into(), properties }
    }
}

/// A change of an object that other devices have not seen yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LocalModification {
    /// What happened.
    pub(crate) kind: ModificationType,
    /// To an object of this collection.
    pub(crate) collection: String,
    /// Which object.
    pub(crate) object_id: String,
    /// Which part of it; none for deletions.
    pub(crate) category: Option<Category>,
    /// The members of that part; none for deletions.
    pub(crate) payload: Option<Properties>,
}

/// An object as it is on disk. The collection and the place in it are in the key.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredObject {
    #[serde(rename = "i")]
    pub(super) id: String,
    #[serde(rename = "p")]
    pub(super) properties: Properties,
}

impl StoredObject {
    pub(super) fn into_object(self, collection: &str) -> Object {
        Object { collection: collection.to_owned(), id: self.id, properties: self.properties }
    }
}
