//! Metadata of a file whose content has format `v2` (`docs/content-v2.md`, section 10).

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{FileError, FileMetadata};
use crate::content::manifest::MAX_MANIFEST_LENGTH;
use crate::content::{CHUNK_LENGTH, Layout, Root};
use crate::crypto::{CryptoObject as _, SecretKey, Signature, SignatureHash, SignatureKeypair, compact};
use crate::wire::json_budget::{self, MAX_FREE_JSON};
use crate::wire::{ByteText, Timestamp};

pub(super) const FORMAT: &str = "v2";

/// The metadata of a file whose content has format `v2`.
#[derive(Clone, PartialEq, Eq)]
pub struct FileMetadataV2 {
    /// Description shown to receivers.
    pub description: Option<String>,
    /// When the file was last changed before the upload.
    pub modified_at: Option<Timestamp>,
    /// File name; chosen by the sender, so not safe to use as a path.
    pub filename: String,
    /// How much of the content is known.
    pub extent: Extent,
    /// Length of the [`Manifest`](crate::content::manifest::Manifest) at the head of the content in bytes, if it has several files:
    /// 1 to [`MAX_MANIFEST_LENGTH`].
    pub manifest_length: Option<u64>,
    /// Media type; chosen by the sender.
    pub mimetype: String,
    /// Key to the content. It must not be the key of any other content.
    pub secret_key: SecretKey,
    /// Tags, used by applications.
    pub tags: Option<Vec<String>>,
    /// Title shown to receivers.
    pub title: Option<String>,
}

/// Length and root of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The content is sealed to its end.
    Complete {
        /// Bytes of the content.
        length: u64,
        /// Its root.
        root: Root,
    },
    /// The content is still being sealed. Its metadata are to be loaded again when the upload has ended.
    Growing {
        /// Bytes of the content, if they are known before its end.
        length: Option<u64>,
    },
}

impl FileMetadataV2 {
    /// The text that is sealed.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(&Wire::from(self.clone())).expect("metadata have text keys only")
    }

    /// Reads a text.
    ///
    /// # Errors
    /// [`FileError::InvalidMetadata`] if it cannot be parsed or exceeds [`MAX_FREE_JSON`]; [`FileError::NeedsNewerReader`] for
    /// formats after this one.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        match AnyFileMetadata::parse(text)? {
            AnyFileMetadata::V2(metadata) => Ok(metadata),
            AnyFileMetadata::V1(_) => Err(FileError::InvalidMetadata),
        }
    }

    /// Seals them in the form that the backbone stores.
    #[must_use]
    pub fn seal(&self, metadata_key: &SecretKey) -> ByteText {
        metadata_key.encrypt(Zeroizing::new(self.to_text()).as_bytes()).to_byte_text()
    }

    /// Opens sealed metadata from the backbone.
    ///
    /// # Errors
    /// Like [`AnyFileMetadata::open`]; [`FileError::InvalidMetadata`] for those of format `v1`.
    pub fn open(sealed: &[u8], metadata_key: &SecretKey) -> Result<Self, FileError> {
        super::metadata::open(sealed, metadata_key, Self::parse)
    }
}

/// Metadata of a file in a format that this version can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnyFileMetadata {
    /// One ciphertext over the whole file, as every client of the protocol writes it.
    V1(FileMetadata),
    /// Chunks.
    V2(FileMetadataV2),
}

impl AnyFileMetadata {
    /// Reads a text.
    ///
    /// # Errors
    /// [`FileError::InvalidMetadata`] if it cannot be parsed or exceeds [`MAX_FREE_JSON`]; [`FileError::NeedsNewerReader`] for
    /// formats after `v2`.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        json_budget::check(text.as_bytes(), &MAX_FREE_JSON).map_err(|_| FileError::InvalidMetadata)?;
        let invalid = |_| FileError::InvalidMetadata;
        match format_of(text)? {
            Format::V1 => serde_json::from_str(text).map(Self::V1).map_err(invalid),
            Format::V2 => serde_json::from_str::<Wire>(text).map_err(invalid)?.try_into().map(Self::V2),
        }
    }

    /// Opens sealed metadata from the backbone.
    ///
    /// # Errors
    /// [`FileError::Decryption`] for a wrong key or altered metadata, [`FileError::NeedsNewerReader`] for formats after `v2`,
    /// [`FileError::InvalidMetadata`] if they are too long or cannot be parsed.
    pub fn open(sealed: &[u8], metadata_key: &SecretKey) -> Result<Self, FileError> {
        super::metadata::open(sealed, metadata_key, Self::parse)
    }
}

/// A format that this version can read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    V1,
    V2,
}

/// The format of metadata. Reads nothing else, because what another format has besides is not known.
pub(super) fn format_of(text: &str) -> Result<Format, FileError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Members {
        #[serde(default, deserialize_with = "present")]
        format: Option<serde_json::Value>,
        #[serde(default, deserialize_with = "present")]
        chunk_size: Option<serde_json::Value>,
    }
    let members: Members = serde_json::from_str(text).map_err(|_| FileError::InvalidMetadata)?;
    match members.format {
        None => Ok(Format::V1),
        Some(format) if format == FORMAT && members.chunk_size == Some(CHUNK_LENGTH.into()) => Ok(Format::V2),
        Some(_) => Err(FileError::NeedsNewerReader),
    }
}

/// Tells a member that is `null` from one that is missing.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(deserializer).map(Some)
}

/// The members, sorted by name. There is no `plaintextHash`, without which readers of `v1` refuse metadata.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    #[serde(rename = "@type")]
    type_name: String,
    chunk_size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(rename = "filemodified", default, skip_serializing_if = "Option::is_none")]
    modified_at: Option<Timestamp>,
    filename: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    filesize: Option<u64>,
    format: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    manifest_length: Option<u64>,
    mimetype: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root: Option<Root>,
    #[serde(with = "compact")]
    secret_key: SecretKey,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
}

impl From<FileMetadataV2> for Wire {
    fn from(metadata: FileMetadataV2) -> Self {
        let (filesize, root) = match metadata.extent {
            Extent::Complete { length, root } => (Some(length), Some(root)),
            Extent::Growing { length } => (length, None),
        };
        Self {
            type_name: super::metadata::TYPE.to_owned(),
            chunk_size: CHUNK_LENGTH,
            description: metadata.description,
            modified_at: metadata.modified_at,
            filename: metadata.filename,
            filesize,
            format: FORMAT.to_owned(),
            manifest_length: metadata.manifest_length,
            mimetype: metadata.mimetype,
            root,
            secret_key: metadata.secret_key,
            tags: metadata.tags,
            title: metadata.title,
        }
    }
}

impl TryFrom<Wire> for FileMetadataV2 {
    type Error = FileError;

    fn try_from(wire: Wire) -> Result<Self, FileError> {
        let extent = match (wire.filesize, wire.root) {
            (Some(length), Some(root)) => Extent::Complete { length, root },
            (length, None) => Extent::Growing { length },
            (None, Some(_)) => return Err(FileError::InvalidMetadata),
        };
        let longest = wire.filesize.unwrap_or(u64::MAX).min(MAX_MANIFEST_LENGTH as u64);
        let is_possible = wire.type_name == super::metadata::TYPE
            && wire.filesize.is_none_or(|length| Layout::of(length).is_ok())
            && wire.manifest_length.is_none_or(|length| (1..=longest).contains(&length));
        if !is_possible {
            return Err(FileError::InvalidMetadata);
        }
        Ok(Self {
            description: wire.description,
            modified_at: wire.modified_at,
            filename: wire.filename,
            extent,
            manifest_length: wire.manifest_length,
            mimetype: wire.mimetype,
            secret_key: wire.secret_key,
            tags: wire.tags,
            title: wire.title,
        })
    }
}

/// Shows sizes only.
impl fmt::Debug for FileMetadataV2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileMetadataV2").field("extent", &self.extent).finish_non_exhaustive()
    }
}

/// What is signed before the root, so that the signature means nothing else.
const OWNERSHIP_LABEL: &[u8] = b"enlace content v2 2026-11-29 owner\0";

/// The signature that an upload carries: the device key's over a label and the raw 32 bytes of the root.
///
/// Peers do not know device keys, so only devices of the same identity can check it.
#[must_use]
pub fn sign_content_ownership(root: &Root, device_key: &SignatureKeypair) -> Signature {
    device_key.sign(&[OWNERSHIP_LABEL, root.as_bytes()].concat(), SignatureHash::Sha512)
}
