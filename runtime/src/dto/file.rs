//! Files as users see them.

use std::fmt;

use serde::{Deserialize, Serialize};
use transport::wire::{Address, DeviceId, FileId, Timestamp};

/// A file, own or a peer's.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct File {
    /// Its identifier.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: FileId,
    /// Whether this identity owns it.
    pub is_own: bool,
    /// Last path segment only; of a peer's file without control and direction characters and at most 255 bytes.
    // Lists filter by the name as it was sealed.
    pub filename: String,
    /// Free or controlled tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Plaintext bytes.
    pub filesize: u64,
    /// When it was uploaded.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// By whom.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub created_by: Address,
    /// With which device.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub created_by_device: DeviceId,
    /// Until when it can be loaded.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub expires_at: Timestamp,
    /// Media type without parameters.
    pub mimetype: String,
    /// Title shown to receivers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Description shown to receivers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Holds the key of the metadata: whoever has it reads the file.
    pub reference: Reference,
    /// Differs from the creator after a transfer.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub owner: Address,
    /// Whoever presents it becomes the owner; on own files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership_token: Option<String>,
    /// Only ever `true`: too many wrong claims.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership_is_locked: Option<bool>,
    /// How its content is sealed. Not part of the JSON form, which is that of the published connectors; faces that show it
    /// add it.
    #[serde(skip)]
    #[cfg_attr(feature = "openapi", schema(ignore))]
    pub format: FileFormat,
}

/// How the content of a file is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FileFormat {
    /// One ciphertext over the whole, which every client of the protocol reads.
    #[default]
    V1,
    /// In chunks that are read one by one: `docs/content-v2.md`.
    V2,
}

impl FileFormat {
    /// `v1` or `v2`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Leaves out what is private: the texts that people gave, the keys, the ownership token.
impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("id", &self.id)
            .field("is_own", &self.is_own)
            .field("filesize", &self.filesize)
            .field("format", &self.format)
            .field("created_at", &self.created_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// A reference in both of its forms. Whoever has it has the key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Reference {
    /// base64url text.
    pub truncated: String,
    /// `<backbone>/r/<id>#<fragment>`.
    pub url: String,
}

/// Shows nothing: the text contains the key.
impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reference(…)")
    }
}
