//! Looks for an upload to go on with.

use tracing::{info, warn};
use transport::content::{CHUNK_LENGTH, HASH_LENGTH, HEADER_LENGTH, Layout, SEALED_CHUNK_LENGTH};
use transport::file::FileMetadataV2;
use transport::wire::backbone::files::FileMetadata;
use transport::wire::{FileId, Timestamp};

use super::Unfinished;
use crate::core::Core;
use crate::delivery::{self, Delivery as _, ResumedUpload, UploadState};
use crate::file::load;
use crate::logging::short;
use crate::store::collection;
use crate::{Error, Result};

/// An unfinished upload that goes on.
pub(in crate::file) struct Continued {
    pub(in crate::file) unfinished: Unfinished,
    /// The hashes of all chunks that may have left.
    pub(in crate::file) hashes: Vec<u8>,
    pub(in crate::file) resumed: ResumedUpload,
}

impl Continued {
    /// Bytes of the content that had arrived.
    pub(in crate::file) fn content_bytes(&self, layout: Layout) -> u64 {
        let chunks = self.resumed.acknowledged.saturating_sub(HEADER_LENGTH as u64) / SEALED_CHUNK_LENGTH;
        match self.resumed.acknowledged >= layout.tree().start {
            true => layout.length(),
            false => chunks * CHUNK_LENGTH,
        }
    }
}

impl Unfinished {
    /// Goes on with it, to upload a file with these metadata, in which the extent means nothing. If that is not possible it is given
    /// up, and the next upload of the source has a new key: nothing of the old one is left at the backbone, so the old key would
    /// save nothing. Only a file for which somebody may have a token stays. `is_early` says whether others are going to be shown the
    /// upload.
    ///
    /// # Errors
    /// The backbone's, if it cannot be asked.
    pub(in crate::file) async fn take_up(
        mut self,
        core: &Core,
        layout: Layout,
        metadata: FileMetadataV2,
        (expires_at, is_early): (Timestamp, bool),
    ) -> Result<Option<Continued>> {
        let hashes = self.kept(core)?;
        let may_have_left = hashes.as_ref().map_or(0, |hashes| may_have_left(hashes, layout));
        let state = delivery::of(core).upload_state(&self.upload).await.map_err(Error::from)?;
        let acknowledged = match &state {
            UploadState::Unfinished { acknowledged } => Some(*acknowledged),
            UploadState::Finished(found) if self.has_become(found, metadata, expires_at) => Some(layout.blob_length()),
            UploadState::Finished(_) | UploadState::Gone => None,
        };
        let upload = short(&self.upload);
        let acknowledged = acknowledged.filter(|acknowledged| *acknowledged <= may_have_left);
        if let (Some(acknowledged), Some(hashes)) = (acknowledged, hashes) {
            info!(upload, acknowledged, "an unfinished upload is continued");
            self.asks_for(core, (expires_at, is_early)).await?;
            let resumed = ResumedUpload { id: self.upload.clone(), acknowledged };
            return Ok(Some(Continued { unfinished: self, hashes, resumed }));
        }
        warn!(upload, "an unfinished upload cannot be continued; the file is uploaded anew");
        self.give_up(core, state).await.map(|()| None)
    }

    /// Whether it has become the file that is uploaded now.
    fn has_become(&self, found: &FileMetadata, wanted: FileMetadataV2, expires_at: Timestamp) -> bool {
        let described = FileMetadataV2::open(&found.encrypted_properties.0, &self.metadata_key);
        self.expires_at == expires_at
            && described.is_ok_and(|described| FileMetadataV2 { extent: described.extent, ..wanted } == described)
    }

    async fn give_up(self, core: &Core, state: UploadState) -> Result<()> {
        match state {
            UploadState::Finished(found) if self.is_shown => self.keep_file(core, &found.id).await,
            UploadState::Finished(found) => remove_file(core, &found.id).await?,
            UploadState::Unfinished { .. } => {
                self.warn_of_tokens();
                delivery::of(core).remove_upload(&self.upload).await;
            }
            UploadState::Gone => self.warn_of_tokens(),
        }
        self.forget(core).await
    }

    /// Stores the file for which somebody may have a token here, so that whoever has it can still load it and the user can delete it.
    async fn keep_file(&self, core: &Core, id: &FileId) {
        let file = short(id);
        match load(core, id, self.metadata_key.clone(), None).await {
            Ok(_) => warn!(file, "a file that was uploaded before stays, because references to it were given out"),
            Err(error) => {
                warn!(file, %error, "a file to which references were given out stays at the backbone until it expires")
            }
        }
    }
}

/// Bytes of the blob that may have left, with these hashes of its first chunks.
fn may_have_left(hashes: &[u8], layout: Layout) -> u64 {
    let sealed = hashes.len() as u64 / HASH_LENGTH;
    match sealed >= layout.chunk_count() {
        true => layout.blob_length(),
        false => HEADER_LENGTH as u64 + sealed * SEALED_CHUNK_LENGTH,
    }
}

/// Removes a file of which nobody knows but the backbone.
async fn remove_file(core: &Core, id: &FileId) -> Result<()> {
    if core.store.object(collection::FILES, id.as_str())?.is_some() {
        return Ok(());
    }
    match core.account.session().delete_file(id).await {
        Err(error) if !error.is_record_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}
