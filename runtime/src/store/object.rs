//! Objects.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Members of an object, `@type` included, `id` not.
pub(crate) type Properties = serde_json::Map<String, serde_json::Value>;

/// A flat JSON object as every device of the identity knows it. Its members may be keys: `Debug` leaves them out.
#[derive(Clone, PartialEq)]
pub(crate) struct Object {
    /// Its collection; objects of unknown collections are stored, too.
    pub(crate) collection: String,
    /// Unique within the collection.
    pub(crate) id: String,
    /// Its members.
    pub(crate) properties: Properties,
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { collection, id, properties: _ } = self;
        f.debug_struct("Object").field("collection", collection).field("id", id).finish_non_exhaustive()
    }
}

impl Object {
    pub(crate) fn new(collection: &str, id: impl Into<String>, properties: Properties) -> Self {
        Self { collection: collection.to_owned(), id: id.into(), properties }
    }

    /// An object whose members are those of `record`, which must be a struct of JSON values.
    pub(crate) fn typed(collection: &str, id: &str, type_name: &str, record: &impl Serialize) -> Self {
        let mut properties = Properties::new();
        properties.insert("@type".to_owned(), type_name.into());
        match serde_json::to_value(record).expect("records have text keys and no failing members") {
            serde_json::Value::Object(members) => properties.extend(members),
            other => unreachable!("records are structs, not {other}"),
        }
        Self::new(collection, id, properties)
    }
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
