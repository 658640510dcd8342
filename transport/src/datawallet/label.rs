//! The label of a modification: a copy of its clear-text members inside the sealed payload, where a backbone cannot change them.
//!
//! The label is one member of the sealed JSON object. Other clients merge payloads into documents and read the known
//! members of these, so they ignore it. Payloads of other clients and of older versions of this one have no label.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::PayloadCategory;
use crate::wire::backbone::datawallet::{Modification, ModificationType};

/// Name of the member with the label.
pub const LABEL_MEMBER: &str = "@datawallet";

/// Object, collection, category and type of a modification. Its index is bound by the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Label {
    pub(super) collection: String,
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) kind: ModificationType,
    pub(super) category: PayloadCategory,
}

/// The member exists but is not a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InvalidLabel;

impl Label {
    /// Adds the label to properties before they are sealed.
    pub(super) fn put(&self, properties: &mut Map<String, Value>) {
        let label = serde_json::to_value(self).expect("texts can be written as JSON");
        properties.insert(LABEL_MEMBER.to_owned(), label);
    }

    /// Removes the label from opened properties and returns it.
    pub(super) fn take(properties: &mut Map<String, Value>) -> Result<Option<Self>, InvalidLabel> {
        let label = properties.shift_remove(LABEL_MEMBER);
        label.map(serde_json::from_value).transpose().map_err(|_| InvalidLabel)
    }

    /// Whether it matches the modification as listed by the backbone.
    pub(super) fn is_of(&self, listed: &Modification) -> bool {
        self.collection == listed.collection
            && self.id == listed.object_identifier
            && self.kind == listed.kind
            && Some(self.category.as_str()) == listed.payload_category.as_deref()
    }
}
