//! A file as it is stored, by every device of the identity.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use transport::content::{Layout, Root};
use transport::crypto::hash::Sha512Hash;
use transport::crypto::{SecretKey, Signature, compact};
use transport::file::FileMetadata;
use transport::wire::bytes::to_base64url;
use transport::wire::reference::BaseUrl;
use transport::wire::{Address, DeviceId, FileId, FileReference, Timestamp};

use crate::Result;
use crate::code::ErrorCode;
use crate::content_store::KnownContent;
use crate::core::{Core, place};
use crate::dto::{self, FileFormat};
use crate::file_name;
use crate::store::{Object, StoreError, collection};

/// The value of `@type`.
const TYPE: &str = "File";
/// The value of `format` for content in chunks.
const V2: &str = "v2";

/// Properties of a file in the collection of files.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FileRecord {
    /// Opens the metadata; it is what references carry.
    #[serde(with = "compact")]
    pub(crate) secret_key: SecretKey,
    pub(crate) is_own: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ownership_token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ownership_is_locked: Option<bool>,
    pub(crate) filesize: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) filemodified: Option<Timestamp>,
    pub(crate) mimetype: String,
    /// SHA-512 of the ciphertext. Of format `v2` no reader compares it, a backbone does at the end of an upload, and a file that was shared without one has
    /// that of the root.
    pub(crate) cipher_hash: Sha512Hash,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// Opens the content.
    #[serde(with = "compact")]
    pub(crate) cipher_key: SecretKey,
    pub(crate) owner: Address,
    #[serde(with = "compact")]
    pub(crate) owner_signature: Signature,
    /// Of format `v2` the SHA-512 of the root, which no content has: other programs of the same identity that know `v1` only
    /// read no record without this member, and could then list no file at all.
    pub(crate) plaintext_hash: Sha512Hash,
    pub(crate) created_by: Address,
    pub(crate) created_by_device: DeviceId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    pub(crate) filename: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tags: Option<Vec<String>>,
    /// Absent for `v1`. Another device may have stored a file of a format that came after this program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<String>,
    /// Of format `v2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) root: Option<Root>,
    /// Of format `v2` with several files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) manifest_length: Option<u64>,
}

/// What it takes to open the content of a file.
pub(crate) enum ContentRecord {
    /// The whole at once.
    V1(Box<FileMetadata>),
    /// Chunk by chunk.
    V2 { root: Root, layout: Layout, key: SecretKey },
}

/// The members of a record that a content of format `v2` has in its own way.
pub(super) struct ChunkMembers {
    pub(super) format: Option<String>,
    pub(super) root: Option<Root>,
    pub(super) plaintext_hash: Sha512Hash,
}

impl ChunkMembers {
    pub(super) fn of(root: &Root) -> Self {
        let plaintext_hash = Sha512Hash::of(root.as_bytes());
        Self { format: Some(V2.to_owned()), root: Some(*root), plaintext_hash }
    }
}

impl FileRecord {
    /// Reads a stored object.
    pub(crate) fn read(object: &Object) -> Result<(FileId, Self)> {
        let id = object.id.parse().map_err(|_| StoreError::Damaged)?;
        let record = Self::deserialize(&Value::Object(object.properties.clone())).map_err(|_| StoreError::Damaged)?;
        Ok((id, record))
    }

    pub(crate) fn to_object(&self, id: &FileId) -> Object {
        Object::typed(collection::FILES, id.as_str(), TYPE, self)
    }

    /// The name as users see it. Files that this identity uploaded have the name that was requested; names that peers chose
    /// are made harmless, even if this identity owns the file now. The record keeps the name as it was sealed.
    fn shown_name(&self) -> String {
        match self.is_own && self.owner == self.created_by {
            true => self.filename.clone(),
            false => file_name::shown(&self.filename).into_owned(),
        }
    }

    /// How the content is sealed.
    fn format(&self) -> FileFormat {
        if self.format.is_none() { FileFormat::V1 } else { FileFormat::V2 }
    }

    /// What it takes to open the content.
    ///
    /// # Errors
    /// `needsNewerReader` for a format that this program does not know, [`crate::Error::Store`] for a damaged record.
    pub(super) fn content(&self, core: &Core) -> Result<ContentRecord> {
        match (self.format.as_deref(), self.root) {
            (None, _) => Ok(ContentRecord::V1(Box::new(self.metadata()))),
            (Some(V2), Some(root)) => {
                let layout = Layout::of(self.filesize).map_err(|_| StoreError::Damaged)?;
                Ok(ContentRecord::V2 { root, layout, key: self.cipher_key.clone() })
            }
            (Some(V2), None) => Err(StoreError::Damaged.into()),
            (Some(_), _) => Err(needs_newer_reader(core)),
        }
    }

    /// Its content as the content store knows it; none for `v1` and what this program does not know.
    pub(crate) fn known_content(&self, id: &FileId) -> Option<KnownContent> {
        let root = self.root.filter(|_| self.format.as_deref() == Some(V2))?;
        let layout = Layout::of(self.filesize).ok()?;
        Some(KnownContent { file: id.clone(), root, layout, expires_at: self.expires_at })
    }

    /// A strong entity tag with its quotes: contents that differ have different ones.
    pub(crate) fn etag(&self) -> String {
        let hash = self.plaintext_hash.as_bytes();
        format!("\"{}\"", to_base64url(&hash[..24]))
    }

    /// The same for previews that are kept in memory: half of the hash, which still resists collisions.
    pub(crate) fn content_hash(&self) -> preview::ContentHash {
        let (half, _) = self.plaintext_hash.as_bytes().split_first_chunk().expect("SHA-512 has 64 bytes");
        preview::ContentHash(*half)
    }

    /// The metadata of a file of format `v1` as the uploader sealed them.
    fn metadata(&self) -> FileMetadata {
        FileMetadata {
            description: self.description.clone(),
            modified_at: self.filemodified,
            filename: self.filename.clone(),
            filesize: self.filesize,
            mimetype: self.mimetype.clone(),
            plaintext_hash: self.plaintext_hash,
            secret_key: self.cipher_key.clone(),
            tags: self.tags.clone(),
            title: self.title.clone(),
        }
    }

    /// The file as users see it, with references to the backbone at `base_url`.
    ///
    /// # Errors
    /// [`crate::Error::Config`] if the URL cannot be part of references.
    pub(crate) fn into_dto(self, id: FileId, base_url: &str) -> Result<dto::File> {
        Ok(self.into_dto_at(id, &place(base_url)?))
    }

    /// The same for a URL that was checked before.
    pub(crate) fn into_dto_at(self, id: FileId, place: &BaseUrl) -> dto::File {
        let reference = FileReference::new(id.clone(), (&self.secret_key).into());
        let (filename, format) = (self.shown_name(), self.format());
        dto::File {
            id,
            is_own: self.is_own,
            filename,
            tags: self.tags,
            filesize: self.filesize,
            created_at: self.created_at,
            created_by: self.created_by,
            created_by_device: self.created_by_device,
            expires_at: self.expires_at,
            mimetype: self.mimetype,
            title: self.title,
            description: self.description,
            reference: dto::Reference::of(&reference, place),
            owner: self.owner,
            ownership_token: self.ownership_token.filter(|_| self.is_own),
            ownership_is_locked: self.ownership_is_locked.filter(|locked| *locked),
            format,
        }
    }
}

/// The refusal of a file whose format came after this program.
pub(super) fn needs_newer_reader(core: &Core) -> crate::Error {
    core.transport_error(
        ErrorCode::NeedsNewerReader,
        "The file has a format that this version cannot read; update the program, and try again.",
    )
}
