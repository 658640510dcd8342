//! `/Files`.

use serde::{Deserialize, Serialize};

use crate::wire::{Address, ByteText, DeviceId, FileId, Timestamp};

/// Names of the multipart parts of `POST /Files`, in the order in which the official client sends them.
pub mod part {
    /// The ciphertext: a file part.
    pub const CONTENT: &str = "content";
    /// SHA-512 of the ciphertext, base64url.
    pub const CIPHER_HASH: &str = "cipherHash";
    /// Address of the uploader; ignored by the server.
    pub const OWNER: &str = "owner";
    /// Signature over the plaintext hash, base64url of its JSON text.
    pub const OWNER_SIGNATURE: &str = "ownerSignature";
    /// ISO 8601 date-time.
    pub const EXPIRES_AT: &str = "expiresAt";
    /// The sealed metadata, base64url.
    pub const ENCRYPTED_PROPERTIES: &str = "encryptedProperties";
}

/// Answer to `POST /Files`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedFile {
    /// Its identifier.
    pub id: FileId,
    /// Time of creation.
    pub created_at: Timestamp,
    /// The uploader.
    pub created_by: Address,
    /// The uploader's device.
    pub created_by_device: DeviceId,
    /// Equal to `created_at`.
    #[serde(default)]
    pub modified_at: Option<Timestamp>,
    /// Equal to `created_by`.
    #[serde(default)]
    pub modified_by: Option<Address>,
    /// Never set in practice.
    #[serde(default)]
    pub deleted_at: Option<Timestamp>,
    /// Never set in practice.
    #[serde(default)]
    pub deleted_by: Option<Address>,
    /// The owner, who may regenerate the ownership token.
    pub owner: Address,
    /// Opaque to the server.
    pub owner_signature: ByteText,
    /// An identity that presents it becomes the owner.
    pub ownership_token: String,
    /// Length of the ciphertext in bytes.
    pub cipher_size: u64,
    /// SHA-512 of the ciphertext.
    pub cipher_hash: ByteText,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// Answer to `GET /Files/{id}/Metadata`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileMetadata {
    /// Its identifier.
    pub id: FileId,
    /// Time of creation.
    pub created_at: Timestamp,
    /// The uploader.
    pub created_by: Address,
    /// The uploader's device.
    pub created_by_device: DeviceId,
    /// Equal to `created_at`.
    #[serde(default)]
    pub modified_at: Option<Timestamp>,
    /// Equal to `created_by`.
    #[serde(default)]
    pub modified_by: Option<Address>,
    /// Equal to `created_by_device`.
    #[serde(default)]
    pub modified_by_device: Option<DeviceId>,
    /// Never set in practice.
    #[serde(default)]
    pub deleted_at: Option<Timestamp>,
    /// Never set in practice.
    #[serde(default)]
    pub deleted_by: Option<Address>,
    /// Never set in practice.
    #[serde(default)]
    pub deleted_by_device: Option<DeviceId>,
    /// The owner; differs from the creator after a transfer.
    pub owner: Address,
    /// Opaque to the server.
    pub owner_signature: ByteText,
    /// Whether the ownership is locked after a wrong ownership token.
    #[serde(default)]
    pub ownership_is_locked: bool,
    /// Length of the ciphertext in bytes.
    #[serde(default)]
    pub cipher_size: u64,
    /// SHA-512 of the ciphertext.
    pub cipher_hash: ByteText,
    /// When it expires.
    pub expires_at: Timestamp,
    /// The sealed metadata.
    pub encrypted_properties: ByteText,
}

/// Body of the ownership calls.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnershipToken {
    /// 20 characters without a prefix.
    pub ownership_token: String,
}

/// Answer to `PATCH …/ClaimOwnership` and `PATCH …/RegenerateOwnershipToken`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewOwnershipToken {
    /// The new token; the old one is invalid.
    pub new_ownership_token: String,
}

/// Answer to `POST …/ValidateOwnershipToken`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnershipTokenValidity {
    /// Whether the token is valid.
    pub is_valid: bool,
}
