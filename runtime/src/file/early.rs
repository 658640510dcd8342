//! Files that are shared while they are uploaded.

use std::fmt;

use transport::crypto::SecretKey;
use transport::wire::backbone::previews::CreatedPreview;
use transport::wire::{FileId, Timestamp};

/// Shares a file of format `v2` before its upload has ended.
pub struct EarlyShare {
    /// Bytes of the content, if they are known; those of files on this machine are. Readers are told; a content that turns out to
    /// have another length is refused.
    pub length: Option<u64>,
    /// Called when others can follow the upload, on the task that uploads: it must not block. Never called if the backbone cannot
    /// show unfinished uploads, or has all of an upload that is continued; then the file is uploaded all the same.
    pub started: Box<dyn FnOnce(StartedUpload) + Send>,
}

impl EarlyShare {
    /// Without a length.
    pub fn new(started: impl FnOnce(StartedUpload) + Send + 'static) -> Self {
        Self { length: None, started: Box::new(started) }
    }
}

impl fmt::Debug for EarlyShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EarlyShare").field("length", &self.length).finish_non_exhaustive()
    }
}

/// A file whose upload has begun, and that others may follow.
#[derive(Clone)]
pub struct StartedUpload {
    id: FileId,
    metadata_key: SecretKey,
    expires_at: Timestamp,
}

impl StartedUpload {
    pub(super) fn new(shown: CreatedPreview, metadata_key: SecretKey, asked: Timestamp) -> Self {
        // A backbone can shorten what was asked for, and lengthen nothing.
        Self { id: shown.id, metadata_key, expires_at: shown.expires_at.min(asked) }
    }

    /// The id that the file has.
    #[must_use]
    pub fn file_id(&self) -> &FileId {
        &self.id
    }

    /// When it is going to expire.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    pub(crate) fn metadata_key(&self) -> &SecretKey {
        &self.metadata_key
    }
}

/// Without the key.
impl fmt::Debug for StartedUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartedUpload").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}
