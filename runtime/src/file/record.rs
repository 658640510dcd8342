//! A file as it is stored, by every device of the identity.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use transport::crypto::hash::Sha512Hash;
use transport::crypto::{SecretKey, Signature, compact};
use transport::file::FileMetadata;
use transport::wire::reference::BaseUrl;
use transport::wire::{Address, DeviceId, FileId, FileReference, Timestamp};

use crate::Result;
use crate::core::place;
use crate::dto;
use crate::file_name;
use crate::store::{Object, StoreError, collection};

/// The value of `@type`.
const TYPE: &str = "File";

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
    pub(crate) cipher_hash: Sha512Hash,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    /// Opens the content.
    #[serde(with = "compact")]
    pub(crate) cipher_key: SecretKey,
    pub(crate) owner: Address,
    #[serde(with = "compact")]
    pub(crate) owner_signature: Signature,
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

    /// The metadata as the uploader sealed them.
    pub(super) fn metadata(&self) -> FileMetadata {
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
        let filename = self.shown_name();
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
        }
    }
}
