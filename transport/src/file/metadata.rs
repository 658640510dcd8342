//! Metadata of a file: name, type, and the key to its content.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{AnyFileMetadata, FileError};
use crate::crypto::hash::Sha512Hash;
use crate::crypto::{Cipher, CryptoObject, SecretKey, Signature, SignatureHash, SignatureKeypair, compact};
use crate::wire::{ByteText, Timestamp};

/// Maximum length in bytes of sealed metadata at the backbone.
pub const MAX_SEALED_METADATA_LENGTH: usize = 1024 * 1024;

pub(super) const TYPE: &str = "FileMetadata";

/// The metadata of a file of format `v1`. JSON members sorted by name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileMetadata {
    /// Description shown to receivers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// When the file was last changed before the upload.
    #[serde(rename = "filemodified", default, skip_serializing_if = "Option::is_none")]
    pub modified_at: Option<Timestamp>,
    /// File name; chosen by the sender, so not safe to use as a path.
    pub filename: String,
    /// Length of the plaintext in bytes.
    pub filesize: u64,
    /// Media type; chosen by the sender.
    pub mimetype: String,
    /// SHA-512 of the plaintext.
    pub plaintext_hash: Sha512Hash,
    /// Key to the content.
    #[serde(with = "compact")]
    pub secret_key: SecretKey,
    /// Tags, used by applications.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Title shown to receivers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

impl FileMetadata {
    /// The text that is sealed.
    #[must_use]
    pub fn to_text(&self) -> String {
        let typed = Typed { type_name: TYPE, metadata: self };
        serde_json::to_string(&typed).expect("metadata have text keys only")
    }

    /// Reads a text.
    ///
    /// # Errors
    /// [`FileError::InvalidMetadata`] if it cannot be parsed or exceeds [`MAX_FREE_JSON`](crate::wire::json_budget::MAX_FREE_JSON);
    /// [`FileError::NeedsNewerReader`] if it names a format, which metadata of `v1` do not.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        match AnyFileMetadata::parse(text)? {
            AnyFileMetadata::V1(metadata) => Ok(metadata),
            AnyFileMetadata::V2(_) => Err(FileError::NeedsNewerReader),
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
    /// [`FileError::Decryption`] for a wrong key or altered metadata, [`FileError::NeedsNewerReader`] if they name a format,
    /// [`FileError::InvalidMetadata`] if they are too long or cannot be parsed.
    pub fn open(sealed: &[u8], metadata_key: &SecretKey) -> Result<Self, FileError> {
        open(sealed, metadata_key, Self::parse)
    }
}

/// Opens sealed metadata of any format.
pub(super) fn open<M>(
    sealed: &[u8],
    metadata_key: &SecretKey,
    parse: impl FnOnce(&str) -> Result<M, FileError>,
) -> Result<M, FileError> {
    if sealed.len() > MAX_SEALED_METADATA_LENGTH {
        return Err(FileError::InvalidMetadata);
    }
    let cipher = Cipher::from_bytes(sealed).map_err(|_| FileError::InvalidMetadata)?;
    let plaintext = metadata_key.decrypt(&cipher)?;
    parse(std::str::from_utf8(&plaintext).map_err(|_| FileError::InvalidMetadata)?)
}

#[derive(Serialize)]
struct Typed<'a> {
    #[serde(rename = "@type")]
    type_name: &'static str,
    #[serde(flatten)]
    metadata: &'a FileMetadata,
}

/// Shows sizes only.
impl fmt::Debug for FileMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(TYPE).field("filesize", &self.filesize).finish_non_exhaustive()
    }
}

/// The signature that an upload carries: the device key's over the raw 64 bytes of the plaintext hash.
///
/// Peers do not know device keys, so only devices of the same identity can check it.
#[must_use]
pub fn sign_ownership(plaintext_hash: &Sha512Hash, device_key: &SignatureKeypair) -> Signature {
    device_key.sign(plaintext_hash.as_bytes(), SignatureHash::Sha512)
}
