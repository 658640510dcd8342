//! Which properties of synchronised objects belong to which category: the one table of it.
//!
//! Objects of collections that are not in it travel the same way, but only those who made them know the categories.

use serde_json::{Map, Value};

use super::{PayloadCategory, PendingModification};
use crate::wire::backbone::datawallet::ModificationType;

/// A collection whose objects this program makes or reads, with the properties of its objects in the order in which updates list them.
#[derive(Debug, PartialEq, Eq)]
pub struct Collection {
    /// Its name.
    pub name: &'static str,
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
    /// Made and received tokens.
    pub const TOKENS: Self = Self {
        name: "Tokens",
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
        categories: [
            (TechnicalData, &["@type", "relationshipSecretId", "peer", "status", "peerDeletionInfo", "auditLog"]),
            (Content, &["templateId", "creationContent", "lastMessageSentAt", "lastMessageReceivedAt"]),
            METADATA,
            NO_USERDATA,
        ],
    };
    /// Made and received relationship templates.
    pub const TEMPLATES: Self = Self {
        name: "Templates",
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
                ],
            ),
            (Content, &[]),
            NO_METADATA,
            (Userdata, &["name", "description"]),
        ],
    };
    /// Synchronised secrets.
    pub const SECRETS: Self = Self {
        name: "Secrets",
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
    /// Notes of applications about identities; the published runtime's, where the others are the protocol's.
    pub const IDENTITY_METADATA: Self = Self {
        name: "IdentityMetadata",
        categories: [
            (TechnicalData, &["@type", "reference", "key"]),
            (Content, &[]),
            NO_METADATA,
            (Userdata, &["value"]),
        ],
    };

    /// All of them.
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

    /// The collection with a name, if it is in the table.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|collection| collection.name == name)
    }
}

/// The modifications that make an object known to other devices: one per category with data. Properties that belong to
/// no category stay on this device.
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

/// The modifications for a changed object: one per category in which a property changed, with all its properties.
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

fn pick(object: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    names.iter().filter_map(|name| present(object, name).map(|value| ((*name).to_owned(), value.clone()))).collect()
}

/// A property with a value; `null` counts as absent.
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
