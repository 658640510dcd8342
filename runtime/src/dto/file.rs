//! Files as users see them.

use serde::{Deserialize, Serialize};
use transport::wire::{Address, DeviceId, FileId, Timestamp};

/// A file, own or a peer's. The bytes are at the backbone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct File {
    /// Its identifier.
    pub id: FileId,
    /// Whether this identity owns it.
    pub is_own: bool,
    /// Last path segment only.
    pub filename: String,
    /// Free or controlled tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Plaintext bytes.
    pub filesize: u64,
    /// When it was uploaded.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Address,
    /// With which device.
    pub created_by_device: DeviceId,
    /// Until when it can be loaded.
    pub expires_at: Timestamp,
    /// Media type without parameters.
    pub mimetype: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Holds the key of the metadata: whoever has it reads the file.
    pub reference: Reference,
    /// Differs from the creator after a transfer.
    pub owner: Address,
    /// Whoever presents it becomes the owner; on own files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership_token: Option<String>,
    /// Only ever `true`: too many wrong claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership_is_locked: Option<bool>,
}

/// A reference in both of its forms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// base64url text.
    pub truncated: String,
    /// `<backbone>/r/<id>#<fragment>`.
    pub url: String,
}
