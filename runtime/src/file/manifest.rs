//! The list of files at the head of a content of several files.

use std::sync::Arc;

use tokio::io::AsyncReadExt as _;
use transport::content::manifest::{MAX_MANIFEST_LENGTH, Manifest, ManifestError};
use transport::wire::FileId;

use super::reader::of_reader;
use super::record::needs_newer_reader;
use super::{FileRecord, Wanted, download};
use crate::code::ErrorCode;
use crate::core::Core;
use crate::{Error, Result};

/// Fetches and checks the list of files, if the content has one. Holds at most [`MAX_MANIFEST_LENGTH`] bytes of it, and the entries.
pub(crate) async fn manifest(core: &Arc<Core>, id: &FileId, record: &FileRecord) -> Result<Option<Manifest>> {
    let Some(length) = record.manifest_length else { return Ok(None) };
    if length > record.filesize.min(MAX_MANIFEST_LENGTH as u64) {
        return Err(invalid(core, "The list of files is said to be longer than it can be."));
    }
    let content = download(core, id, record, Wanted::Range(0..length), None).await?;
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
    content.into_reader().read_to_end(&mut bytes).await.map_err(of_reader)?;
    Manifest::decode(&bytes, record.filesize).map(Some).map_err(|error| match error {
        ManifestError::NeedsNewerReader => needs_newer_reader(core),
        other => invalid(core, &format!("The sender's list of files is not valid: {other}.")),
    })
}

fn invalid(core: &Core, reason: &str) -> Error {
    core.transport_error(ErrorCode::InvalidFileMetadata, reason)
}
