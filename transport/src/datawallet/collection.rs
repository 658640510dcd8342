//! The table of collections, with the category of each property of their objects.
//!
//! Objects of other collections are synchronized, too, but only the programs that create them know their categories.

use serde_json::{Map, Value};

use super::{PayloadCategory, PendingModification};
use crate::wire::Timestamp;
use crate::wire::backbone::datawallet::ModificationType;

/// A collection that this program reads or writes, with the properties of its objects in the order used by updates.
#[derive(Debug, PartialEq, Eq)]
pub struct Collection {
    /// Its name.
    pub name: &'static str,
    /// Properties that never change once they are set: keys, hashes, and others that identify the object. No client changes
    /// them, so a modification that would change one was moved by the backbone from another object.
    immutable: &'static [&'static str],
    categories: [(PayloadCategory, &'static [&'static str]); 4],
}

use PayloadCategory::{Content, Metadata, TechnicalData, Userdata};

const METADATA: (PayloadCategory, &[&str]) = (Metadata, &["metadata", "metadataModifiedAt"]);
const NO_METADATA: (PayloadCategory, &[&str]) = (Metadata, &[]);
const NO_USERDATA: (PayloadCategory, &[&str]) = (Userdata, &[]);

impl Collection {
    /// Uploaded and received files.
    pub const FILES: Self = Self {
        name: "Files",
        immutable: &[
            "secretKey",
            "cipherKey",
            "cipherHash",
            "plaintextHash",
            "format",
            "root",
            "manifestLength",
            "filesize",
            "mimetype",
            "filename",
            "title",
            "description",
            "tags",
        ],
        categories: [
            (
                TechnicalData,
                &[
                    "@type",
                    "secretKey",
                    "isOwn",
                    "ownershipToken",
                    "ownershipIsLocked",
                    "filesize",
                    "filemodified",
                    "mimetype",
                    "cipherHash",
                    "createdAt",
                    "expiresAt",
                    "cipherKey",
                    "owner",
                    "ownerSignature",
                    "plaintextHash",
                    // Of files of format `v2` only; published clients ignore them.
                    "format",
                    "root",
                    "manifestLength",
                    // Of files of which a token may be had by some paths only; published clients ignore it.
                    "pathsLimitedBy",
                    "createdBy",
                    "createdByDevice",
                    "deletedAt",
                    "deletedBy",
                    "deletedByDevice",
                ],
            ),
            (Content, &["title", "description", "filename", "tags"]),
            METADATA,
            NO_USERDATA,
        ],
    };
    /// Created and received tokens.
    pub const TOKENS: Self = Self {
        name: "Tokens",
        immutable: &["secretKey", "forIdentity", "content", "passwordProtection"],
        categories: [
            (
                TechnicalData,
                &[
                    "@type",
                    "secretKey",
                    "isOwn",
                    "createdBy",
                    "createdAt",
                    "expiresAt",
                    "createdByDevice",
                    "forIdentity",
                    "hasTerms",
                ],
            ),
            (Content, &["content"]),
            METADATA,
            (Userdata, &["passwordProtection"]),
        ],
    };
    /// Relationships to other identities.
    pub const RELATIONSHIPS: Self = Self {
        name: "Relationships",
        immutable: &["relationshipSecretId", "peer", "templateId", "creationContent"],
        categories: [
            (TechnicalData, &["@type", "relationshipSecretId", "peer", "status", "peerDeletionInfo", "auditLog"]),
            (Content, &["templateId", "creationContent", "lastMessageSentAt", "lastMessageReceivedAt"]),
            METADATA,
            NO_USERDATA,
        ],
    };
    /// Created and received relationship templates.
    pub const TEMPLATES: Self = Self {
        name: "Templates",
        immutable: &["secretKey", "templateKey", "identity", "forIdentity", "content", "passwordProtection"],
        categories: [
            (
                TechnicalData,
                &[
                    "@type",
                    "secretKey",
                    "isOwn",
                    "identity",
                    "createdBy",
                    "createdByDevice",
                    "templateKey",
                    "createdAt",
                    "expiresAt",
                    "maxNumberOfAllocations",
                    "forIdentity",
                ],
            ),
            (Content, &["content"]),
            METADATA,
            (Userdata, &["passwordProtection"]),
        ],
    };
    /// Sent and received messages.
    pub const MESSAGES: Self = Self {
        name: "Messages",
        immutable: &["secretKey", "attachments", "content"],
        categories: [
            (
                TechnicalData,
                &[
                    "@type",
                    "secretKey",
                    "isOwn",
                    "createdBy",
                    "createdByDevice",
                    "recipients",
                    "createdAt",
                    "attachments",
                    "receivedByEveryone",
                ],
            ),
            (Content, &["content"]),
            METADATA,
            (Userdata, &["wasReadAt"]),
        ],
    };
    /// Devices of the identity.
    pub const DEVICES: Self = Self {
        name: "Devices",
        immutable: &["publicKey", "username"],
        categories: [
            (
                TechnicalData,
                &[
                    "@type",
                    "isAdmin",
                    "publicKey",
                    "operatingSystem",
                    "type",
                    "createdAt",
                    "createdByDevice",
                    "lastLoginAt",
                    "username",
                    "initialPassword",
                    "datawalletVersion",
                    "isOffboarded",
                    "isBackupDevice",
                    // The device asks with it for a certificate, `docs/peer-protocols.md`; published clients ignore both.
                    "peerCertificateRequest",
                    // Where the device can be reached, if it stands in for others; published clients ignore it.
                    "peerAddresses",
                ],
            ),
            (Content, &[]),
            // In a category of its own, because other devices write it: an update has all properties of a category.
            (Metadata, &["peerCertificate"]),
            (Userdata, &["name", "description"]),
        ],
    };
    /// Secret containers.
    pub const SECRETS: Self = Self {
        name: "Secrets",
        immutable: &["name", "cipher"],
        categories: [
            (
                TechnicalData,
                &["@type", "name", "description", "cipher", "createdAt", "validFrom", "validTo", "nonce", "active"],
            ),
            (Content, &[]),
            NO_METADATA,
            NO_USERDATA,
        ],
    };
    /// Metadata that applications attach to identities. Defined by the published runtime, the others by the protocol.
    pub const IDENTITY_METADATA: Self = Self {
        name: "IdentityMetadata",
        immutable: &["reference", "key"],
        categories: [
            (TechnicalData, &["@type", "reference", "key"]),
            (Content, &[]),
            NO_METADATA,
            (Userdata, &["value"]),
        ],
    };

    /// All collections of the table.
    pub const ALL: [Self; 8] = [
        Self::FILES,
        Self::TOKENS,
        Self::RELATIONSHIPS,
        Self::TEMPLATES,
        Self::MESSAGES,
        Self::DEVICES,
        Self::SECRETS,
        Self::IDENTITY_METADATA,
    ];

    /// The first immutable property to which `new` gives another value than `known` has.
    ///
    /// Values are equal if they mean the same to every client: type members and the notation of numbers and times do not matter. A
    /// property that `known` does not have may be set.
    #[must_use]
    pub fn contradiction(&self, known: &Map<String, Value>, new: &Map<String, Value>) -> Option<&'static str> {
        let contradicts = |name: &&str| match (present(known, name), new.get(*name)) {
            (Some(known), Some(new)) => !means_the_same(known, new),
            _ => false,
        };
        self.immutable.iter().copied().find(|name| contradicts(name))
    }

    /// Names of the immutable properties.
    #[must_use]
    pub fn immutable(&self) -> &'static [&'static str] {
        self.immutable
    }

    /// The collection with this name, if it is in the table.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|collection| collection.name == name)
    }
}

/// The modifications for a new object: one per category with data. Properties without a category stay on this device.
#[must_use]
pub fn create_modifications(
    collection: &Collection,
    id: &str,
    object: &Map<String, Value>,
) -> Vec<PendingModification> {
    let payloads = collection.categories.iter().map(|(category, names)| {
        let mut properties = pick(object, names);
        properties.sort_keys();
        (*category, properties)
    });
    let with_data = payloads.filter(|(_, properties)| !properties.is_empty());
    with_data.map(|payload| pending(collection, id, ModificationType::Create, payload)).collect()
}

/// The modifications for a changed object: one per changed category, with all its properties.
#[must_use]
pub fn update_modifications(
    collection: &Collection,
    id: &str,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> Vec<PendingModification> {
    let changed = collection
        .categories
        .iter()
        .filter(|(_, names)| names.iter().any(|name| present(before, name) != present(after, name)));
    changed
        .map(|(category, names)| pending(collection, id, ModificationType::Update, (*category, pick(after, names))))
        .collect()
}

/// Recursive. The depth is bounded, because both values come from JSON texts of bounded depth.
fn means_the_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let (named, others) = (significant(one), significant(other));
            named.clone().count() == others.count()
                && named.clone().all(|(name, value)| present(other, name).is_some_and(|b| means_the_same(value, b)))
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(a, b)| means_the_same(a, b))
        }
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::String(one), Value::String(other)) => one == other || is_same_time(one, other),
        (one, other) => one == other,
    }
}

/// Members with a value, without type and version members.
fn significant(object: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> + Clone {
    object.iter().filter(|(name, value)| !name.starts_with('@') && !value.is_null())
}

fn is_same_time(one: &str, other: &str) -> bool {
    matches!((one.parse::<Timestamp>(), other.parse::<Timestamp>()), (Ok(one), Ok(other)) if one == other)
}

fn pick(object: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    names.iter().filter_map(|name| present(object, name).map(|value| ((*name).to_owned(), value.clone()))).collect()
}

/// A property with a value; `null` is the same as absent.
fn present<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| !value.is_null())
}

fn pending(
    collection: &Collection,
    id: &str,
    kind: ModificationType,
    payload: (PayloadCategory, Map<String, Value>),
) -> PendingModification {
    PendingModification {
        kind,
        collection: collection.name.to_owned(),
        object_identifier: id.to_owned(),
        payload: Some(payload),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn contradiction(collection: &Collection, known: Value, new: Value) -> Option<&'static str> {
        collection.contradiction(known.as_object().unwrap(), new.as_object().unwrap())
    }

    #[test]
    fn keys_hashes_and_contents_may_be_set_once() {
        let key = |text: &str| json!({ "key": text, "alg": 3 });
        let rows = [
            (Collection::FILES, "secretKey", key("a"), key("b")),
            (Collection::FILES, "cipherHash", json!("a"), json!("b")),
            (Collection::FILES, "filesize", json!(1), json!(2)),
            (Collection::FILES, "filename", json!("a"), json!(null)),
            (Collection::TOKENS, "content", json!({ "list": [1, 2] }), json!({ "list": [1] })),
            (Collection::TOKENS, "content", json!({ "a": 1 }), json!({ "a": 1, "b": 1 })),
            (Collection::TOKENS, "passwordProtection", json!({ "password": "a" }), json!({ "password": "b" })),
            (Collection::TEMPLATES, "passwordProtection", json!({ "password": "a" }), json!({ "password": "b" })),
            (Collection::DEVICES, "publicKey", json!({ "pub": "a" }), json!({ "pub": "b" })),
            (Collection::SECRETS, "cipher", json!({ "cph": "a" }), json!({ "cph": "b" })),
            (Collection::IDENTITY_METADATA, "reference", json!("a"), json!("b")),
        ];
        for (collection, name, known, new) in rows {
            let object = |value: &Value| json!({ name: value });
            assert_eq!(contradiction(&collection, object(&known), object(&new)), Some(name), "{name}");
            assert_eq!(contradiction(&collection, object(&known), object(&known)), None, "{name}");
            assert_eq!(contradiction(&collection, json!({}), object(&new)), None, "{name} set for the first time");
            assert_eq!(contradiction(&collection, object(&known), json!({})), None, "{name} not mentioned");
        }
    }

    #[test]
    fn equivalent_values_are_not_a_contradiction() {
        let known =
            json!({ "content": { "at": "2030-01-01T00:00:00.000Z", "n": 1, "of": { "key": "a" }, "none": null } });
        let new = json!({ "content": { "n": 1.0, "@type": "X", "of": { "@type": "Key", "key": "a" }, "at": "2030-01-01T00:00:00Z" } });
        assert_eq!(contradiction(&Collection::TOKENS, known, new), None);
    }

    #[test]
    fn a_transfer_of_ownership_is_not_a_contradiction() {
        let before = json!({ "isOwn": true, "owner": "a", "ownershipToken": "x", "secretKey": { "key": "k" } });
        let after = json!({ "isOwn": false, "owner": "b", "ownershipIsLocked": true, "secretKey": { "key": "k" } });
        assert_eq!(contradiction(&Collection::FILES, before, after), None);
    }

    #[test]
    fn immutable_properties_are_properties_of_their_collection() {
        for collection in Collection::ALL {
            assert!(!collection.immutable.is_empty(), "{}", collection.name);
            let all: Vec<_> = collection.categories.iter().flat_map(|(_, names)| *names).collect();
            for name in collection.immutable {
                assert!(all.contains(&name), "{}: {name}", collection.name);
            }
        }
    }
}
