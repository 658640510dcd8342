//! A file in a bucket as it is stored: a named entry that points to an ordinary own file of the node.

use serde::{Deserialize, Serialize};
use transport::wire::{FileId, Timestamp};

use super::range::parts_of;
use super::{Permissions, StorageId};
use crate::dto;

/// A file in a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileEntry {
    pub(crate) id: String,
    /// Unique among all buckets and files that this node ever had.
    pub(crate) number: u64,
    /// The number of its bucket.
    pub(crate) bucket: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) permissions: Permissions,
    pub(crate) name: String,
    pub(crate) folder: String,
    /// Bytes of the content, or what the first part of an upload has announced.
    pub(crate) size: u64,
    /// None while it is unfinished.
    pub(crate) content: Option<EntryContent>,
}

/// What a complete file has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EntryContent {
    /// The ordinary file.
    pub(crate) file: FileId,
    /// MD5 of the content in hexadecimal digits.
    pub(crate) signature: String,
    pub(crate) mime_type: String,
    /// In how many parts it came.
    pub(crate) parts: u64,
}

impl FileEntry {
    /// As users see it. `uploaded` is how many parts of an unfinished one are here.
    pub(crate) fn to_dto(&self, bucket: &str, uploaded: u64) -> dto::BucketFile {
        let content = self.content.as_ref();
        let text = |of: fn(&EntryContent) -> &String| content.map(of).cloned().unwrap_or_default();
        dto::BucketFile {
            id: StorageId::stored(&self.id),
            bucket_id: StorageId::stored(bucket),
            sequence: self.number,
            created_at: self.created_at,
            updated_at: self.updated_at,
            permissions: self.permissions.to_texts(),
            name: self.name.clone(),
            folder: self.folder.clone(),
            signature: text(|content| &content.signature),
            mime_type: text(|content| &content.mime_type),
            size_original: self.size,
            size_actual: content.map_or(0, |_| self.size),
            chunks_total: content.map_or_else(|| parts_of(self.size), |content| content.parts),
            chunks_uploaded: content.map_or(uploaded, |content| content.parts),
            file: content.map(|content| content.file.clone()),
        }
    }
}
