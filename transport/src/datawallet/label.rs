//! What a payload says of its own place: the labels of a modification once more, where a backbone cannot change them.
//!
//! The label is one member of the sealed JSON object. Other clients merge payloads into documents and read the members
//! that they know from these, so they ignore it. Payloads of other clients, and older ones of this one, have no label.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::PayloadCategory;
use crate::wire::backbone::datawallet::{Modification, ModificationType};

/// The member of a sealed payload that holds its label.
pub const LABEL_MEMBER: &str = "@datawallet";

/// The labels of a modification, apart from those that follow from its index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Label {
    pub(super) collection: String,
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) kind: ModificationType,
    pub(super) category: PayloadCategory,
}

/// The member is there but is no label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InvalidLabel;

impl Label {
    /// Adds the label to the properties that will be sealed.
    pub(super) fn put(&self, properties: &mut Map<String, Value>) {
        let label = serde_json::to_value(self).expect("texts can be written as JSON");
        properties.insert(LABEL_MEMBER.to_owned(), label);
    }

    /// Removes the label from opened properties: it is not a property of the object.
    pub(super) fn take(properties: &mut Map<String, Value>) -> Result<Option<Self>, InvalidLabel> {
        let label = properties.shift_remove(LABEL_MEMBER);
        label.map(serde_json::from_value).transpose().map_err(|_| InvalidLabel)
    }

    /// Whether the backbone lists the payload under this label.
    pub(super) fn is_of(&self, listed: &Modification) -> bool {
        self.collection == listed.collection
            && self.id == listed.object_identifier
            && self.kind == listed.kind
            && Some(self.category.as_str()) == listed.payload_category.as_deref()
    }
}
