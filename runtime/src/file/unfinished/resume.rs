//! Looks for an upload to go on with.

use tracing::{info, warn};
use transport::content::{CHUNK_LENGTH, HEADER_LENGTH, Layout, SEALED_CHUNK_LENGTH};
use transport::file::FileMetadataV2;
use transport::wire::FileId;
use transport::wire::backbone::files::FileMetadata;

use super::{Unfinished, find};
use crate::core::Core;
use crate::delivery::{self, Delivery as _, ResumedUpload, UploadState};
use crate::file::NewFile;
use crate::file::blob::HASH_LENGTH;
use crate::logging::short;
use crate::source::Source;
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

/// The upload of a source that can be continued. One that cannot is given up, and the next one has a new key: nothing of the old one
/// is left at the backbone, so the old key would save nothing.
///
/// # Errors
/// The backbone's, if it cannot be asked.
pub(in crate::file) async fn take_up(core: &Core, source: &Source, new: &NewFile) -> Result<Option<Continued>> {
    let Some(mut unfinished) = find(core, &source.identity())? else { return Ok(None) };
    let Ok(layout) = Layout::of(source.length()) else { return Ok(None) };
    let hashes = unfinished.kept(core)?;
    let sealed = hashes.len() as u64 / HASH_LENGTH;
    let state = delivery::of(core).upload_state(&unfinished.upload).await.map_err(Error::from)?;
    let acknowledged = match &state {
        UploadState::Unfinished { acknowledged } => Some(*acknowledged),
        UploadState::Finished(found) if is_wanted(&unfinished, found, new) => Some(layout.blob_length()),
        UploadState::Finished(_) | UploadState::Gone => None,
    };
    let may_have_left = match sealed >= layout.chunk_count() {
        true => layout.blob_length(),
        false => HEADER_LENGTH as u64 + sealed * SEALED_CHUNK_LENGTH,
    };
    let upload = short(&unfinished.upload);
    if let Some(acknowledged) = acknowledged.filter(|acknowledged| *acknowledged <= may_have_left) {
        info!(upload, acknowledged, "an unfinished upload is continued");
        unfinished.asks_for(core, new.expires_at).await?;
        let resumed = ResumedUpload { id: unfinished.upload.clone(), acknowledged };
        return Ok(Some(Continued { unfinished, hashes, resumed }));
    }
    warn!(upload, "an unfinished upload cannot be continued; the file is uploaded anew");
    match state {
        UploadState::Finished(found) => remove_file(core, &found.id).await?,
        UploadState::Unfinished { .. } => delivery::of(core).remove_upload(&unfinished.upload).await,
        UploadState::Gone => {}
    }
    unfinished.forget(core).await?;
    Ok(None)
}

/// Whether the file that an upload has become is the one that is uploaded now.
fn is_wanted(unfinished: &Unfinished, found: &FileMetadata, new: &NewFile) -> bool {
    let Ok(described) = FileMetadataV2::open(&found.encrypted_properties.0, &unfinished.metadata_key) else {
        return false;
    };
    unfinished.expires_at == new.expires_at && described == new.metadata_v2(&unfinished.content_key, described.extent)
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
