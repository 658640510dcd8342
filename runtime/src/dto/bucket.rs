//! Buckets and their files as users see them. Faces have forms of their own for them.

use std::fmt;

use transport::wire::{FileId, Timestamp};

use crate::storage::{Compression, StorageId};

/// A named group of files of this node, with its rules.
#[derive(Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "the interface has them")]
pub struct Bucket {
    /// Its id.
    pub id: StorageId,
    /// Grows with each bucket and file of the node, and is never used again.
    pub sequence: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// Its permissions, `write` expanded.
    pub permissions: Vec<String>,
    /// Whether its files have permissions of their own.
    pub file_security: bool,
    /// Its name.
    pub name: String,
    /// Whether those who have no key see it.
    pub enabled: bool,
    /// Most bytes of a file.
    pub maximum_file_size: u64,
    /// Which extensions its files may have; all if there are none.
    pub allowed_file_extensions: Vec<String>,
    /// What was asked for; contents are stored as they are.
    pub compression: Compression,
    /// What was asked for; contents are always encrypted.
    pub encryption: bool,
    /// What was asked for; contents are not scanned.
    pub antivirus: bool,
    /// Whether those who have no key get previews.
    pub transformations: bool,
    /// Bytes of its complete files; 0 in lists.
    pub total_size: u64,
}

/// A file in a bucket.
#[derive(Clone, PartialEq, Eq)]
pub struct BucketFile {
    /// Its id, unique in the bucket.
    pub id: StorageId,
    /// The id of the bucket.
    pub bucket_id: StorageId,
    /// Grows with each bucket and file of the node, and is never used again: what is bound to a file and not to its id uses it.
    pub sequence: u64,
    /// When its first part came.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// Its own permissions, `write` expanded.
    pub permissions: Vec<String>,
    /// Its name.
    pub name: String,
    /// Empty, or segments with a slash behind each.
    pub folder: String,
    /// MD5 of the content as 32 hexadecimal digits; empty while it is unfinished.
    pub signature: String,
    /// Media type by its content; empty while it is unfinished.
    pub mime_type: String,
    /// Bytes that were announced.
    pub size_original: u64,
    /// Bytes of the content; 0 while it is unfinished.
    pub size_actual: u64,
    /// Of how many parts it consists.
    pub chunks_total: u64,
    /// How many of them are here. The answer to a part counts all; elsewhere only those count before the first one that is missing,
    /// because clients go on there.
    pub chunks_uploaded: u64,
    /// The file of this node that has the content; none while it is unfinished.
    pub file: Option<FileId>,
}

impl BucketFile {
    /// Folder and name.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}{}", self.folder, self.name)
    }

    /// Whether all of it is here.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.file.is_some()
    }
}

/// Leaves out the texts that people gave.
impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("id", &self.id).field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

/// Leaves out the texts that people gave.
impl fmt::Debug for BucketFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketFile")
            .field("id", &self.id)
            .field("bucket_id", &self.bucket_id)
            .field("sequence", &self.sequence)
            .field("chunks_total", &self.chunks_total)
            .field("chunks_uploaded", &self.chunks_uploaded)
            .finish_non_exhaustive()
    }
}
