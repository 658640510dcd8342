//! `/Datawallet`: the append-only log that synchronizes the devices of an identity.

use serde::{Deserialize, Serialize};

use crate::wire::{ByteText, DatawalletModificationId, DeviceId, Timestamp};

/// Header with the datawallet version that a client supports.
pub const SUPPORTED_VERSION_HEADER: &str = "x-supported-datawallet-version";

/// What a modification does to its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ModificationType {
    /// The object is new.
    Create,
    /// Properties of one category changed.
    Update,
    /// The object was deleted.
    Delete,
    /// Cached data at the backbone changed; only from clients of major version 6.
    CacheChanged,
}

/// A modification to be pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewModification {
    /// Type of the change.
    #[serde(rename = "type")]
    pub kind: ModificationType,
    /// Up to 100 characters.
    pub object_identifier: String,
    /// `TechnicalData`, `Content`, `Metadata`, `Userdata`; absent for `Delete`. Up to 50 characters, opaque to the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_category: Option<String>,
    /// Up to 50 characters.
    pub collection: String,
    /// Encrypted under a key that is derived from the index that the modification will get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted_payload: Option<ByteText>,
    /// Format version of the payload.
    pub datawallet_version: u16,
}

/// A modification as the backbone lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Modification {
    /// Its identifier.
    pub id: DatawalletModificationId,
    /// Format version of the payload.
    pub datawallet_version: u16,
    /// Position in the log, from 0 without gaps.
    pub index: u64,
    /// The changed object.
    pub object_identifier: String,
    /// Must be written as explicit `null` when absent.
    pub payload_category: Option<String>,
    /// Time of creation.
    pub created_at: Timestamp,
    /// The device that pushed it.
    pub created_by_device: DeviceId,
    /// The object's collection.
    pub collection: String,
    /// Type of the change.
    #[serde(rename = "type")]
    pub kind: ModificationType,
    /// The sealed payload.
    pub encrypted_payload: Option<ByteText>,
}

/// Answer to `GET /Datawallet`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Datawallet {
    /// Format version of the datawallet.
    pub version: u16,
}

/// `POST /Datawallet/Modifications`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushModifications {
    /// Index of the newest modification the device knows; -1 for none.
    pub local_index: i64,
    /// In the order in which they get their indices.
    pub modifications: Vec<NewModification>,
}

/// Answer to [`PushModifications`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushedModifications {
    /// Index of the last pushed modification.
    pub new_index: i64,
    /// In the order in which they were sent.
    #[serde(default)]
    pub modifications: Vec<AssignedModification>,
}

/// Id and index that the backbone assigned to a pushed modification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssignedModification {
    /// Its identifier.
    pub id: DatawalletModificationId,
    /// Its index.
    pub index: u64,
    /// Time of creation.
    pub created_at: Timestamp,
}
