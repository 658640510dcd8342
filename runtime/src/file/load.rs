//! Loads the metadata of a file by its reference.

use tracing::info;
use transport::content::Layout;
use transport::crypto::hash::Sha512Hash;
use transport::crypto::{CryptoObject as _, SecretKey, Signature};
use transport::file::{AnyFileMetadata, Extent, FileError, FileMetadata, FileMetadataV2};
use transport::wire::FileId;
use transport::wire::backbone::files::FileMetadata as BackboneFile;
use transport::wire::backbone::previews::{FilePreview, PreviewState};

use super::FileRecord;
use super::download::{check_chunked_size, check_size};
use super::record::{ChunkMembers, needs_newer_reader};
use crate::code::ErrorCode;
use crate::core::Core;
use crate::delivery::{self, Delivery as _, Failure, Opened, learn};
use crate::event::Event;
use crate::peer::Sender;
use crate::store::{Batch, View, collection};
use crate::{Error, Result};

/// A file that a reference names.
pub(super) enum Loaded {
    /// Its upload goes on.
    Growing(Box<FilePreview>),
    /// It is stored here.
    Complete(Box<FileRecord>),
}

/// Returns the stored file, else loads it from the backbone and stores it.
///
/// `backbone` is the one that the reference names, for the error text only: this node asks its own.
///
/// # Errors
/// `uploadUnfinished` while it is uploaded.
pub(crate) async fn load(
    core: &Core,
    id: &FileId,
    metadata_key: SecretKey,
    backbone: Option<&str>,
) -> Result<FileRecord> {
    match find(core, id, metadata_key, backbone).await? {
        Loaded::Complete(record) => Ok(*record),
        Loaded::Growing(_) => Err(unfinished(core)),
    }
}

/// The same for a file whose upload may go on.
pub(super) async fn find(core: &Core, id: &FileId, metadata_key: SecretKey, backbone: Option<&str>) -> Result<Loaded> {
    if let Some(record) = stored(&core.store.view(), id)? {
        return Ok(Loaded::Complete(Box::new(record)));
    }
    let by = delivery::of(core);
    let answer = match by.file_metadata(id, backbone).await {
        Err(failure @ Failure::NotFound(_)) => match by.file_preview(id).await {
            Ok(preview) if preview.id != *id => return Err(another_file()),
            Ok(preview) if preview.state == PreviewState::Growing => return Ok(Loaded::Growing(Box::new(preview))),
            // It has ended meanwhile.
            Ok(_) => by.file_metadata(id, backbone).await?,
            // A backbone that cannot show uploads answers in many ways.
            Err(_) => return Err(failure.into()),
        },
        outcome => outcome?,
    };
    let is_peer_asked = core.routes.to_file(id).is_some();
    let ask = |sources| async move { delivery::by(core, sources).file_metadata(id, backbone).await };
    let open = |answer: BackboneFile| open(core, id, &answer, metadata_key.clone());
    let Opened { value: record, refused } = delivery::opened(answer, is_peer_asked, ask, open).await?;
    if let Some((origin, reason)) = refused {
        delivery::dropped(&core.events, &core.routes, id, Sender::one_of(origin), &reason);
    }
    remember(core, id, record).await.map(|record| Loaded::Complete(Box::new(record)))
}

/// Stores a file that was loaded.
pub(super) async fn remember(core: &Core, id: &FileId, record: FileRecord) -> Result<FileRecord> {
    let remember = |view: &View<'_>| {
        let mut batch = Batch::new();
        let known = stored(view, id)?;
        if known.is_none() {
            batch.record_create(record.to_object(id));
        }
        Ok((batch, known))
    };
    if let Some(known) = core.change(remember).await? {
        // Another call or another device was faster; its record may have members that a reference does not provide.
        return Ok(known);
    }
    learn::keep(core, id).await?;
    info!(file = crate::logging::short(id), own = record.is_own, "file loaded");
    let file = record.clone().into_dto(id.clone(), core.base_url())?;
    core.events.publish(Event::PeerFileLoaded(Box::new(file)));
    Ok(record)
}

/// The stored file with this id.
pub(crate) fn stored(view: &View<'_>, id: &FileId) -> Result<Option<FileRecord>> {
    let Some(record) = view.record(collection::FILES, id.as_str())? else { return Ok(None) };
    Ok(Some(record.read::<FileId, FileRecord>()?.1))
}

pub(super) fn open(core: &Core, id: &FileId, answer: &BackboneFile, metadata_key: SecretKey) -> Result<FileRecord> {
    if answer.id != *id {
        return Err(another_file());
    }
    let metadata = AnyFileMetadata::open(&answer.encrypted_properties.0, &metadata_key);
    match metadata.map_err(|error| unreadable(core, &error))? {
        AnyFileMetadata::V1(metadata) => whole(core, answer, metadata_key, metadata),
        AnyFileMetadata::V2(metadata) => in_chunks(core, answer, metadata_key, metadata),
    }
}

fn another_file() -> Error {
    Error::Unknown("the backbone answered with another file than the one asked for".to_owned())
}

fn unfinished(core: &Core) -> Error {
    let text = "The file is still being uploaded; load it again when its upload has ended.";
    core.transport_error(ErrorCode::UploadUnfinished, text)
}

pub(super) fn unreadable(core: &Core, error: &FileError) -> Error {
    match error {
        FileError::Decryption => Error::InvalidTruncatedReference(
            "its key does not open what the backbone sent: the reference is damaged, then copy it again and completely, \
             or the answer is"
                .to_owned(),
        ),
        FileError::NeedsNewerReader => needs_newer_reader(core),
        _ => invalid(core),
    }
}

pub(super) fn invalid(core: &Core) -> Error {
    core.transport_error(ErrorCode::InvalidFileMetadata, "The file's metadata cannot be read.")
}

fn whole(core: &Core, answer: &BackboneFile, secret_key: SecretKey, metadata: FileMetadata) -> Result<FileRecord> {
    check_size(core, answer.owner == *core.account.address(), metadata.filesize)?;
    record(core, answer, secret_key, metadata)
}

fn in_chunks(
    core: &Core,
    answer: &BackboneFile,
    secret_key: SecretKey,
    metadata: FileMetadataV2,
) -> Result<FileRecord> {
    let Extent::Complete { length, root } = metadata.extent else {
        let text = "The file is still being uploaded; load it again when its upload has ended.";
        return Err(core.transport_error(ErrorCode::InvalidFileMetadata, text));
    };
    check_chunked_size(core, answer.owner == *core.account.address(), length)?;
    // A backbone that does not say how many bytes it has says none.
    let layout = Layout::of(length).map_err(|_| invalid(core))?;
    if answer.cipher_size != 0 && answer.cipher_size != layout.blob_length() {
        return Err(invalid(core));
    }
    let ChunkMembers { format, root, plaintext_hash } = ChunkMembers::of(&root);
    let manifest_length = metadata.manifest_length;
    // What both formats say of a file.
    let common = FileMetadata {
        description: metadata.description,
        modified_at: metadata.modified_at,
        filename: metadata.filename,
        filesize: length,
        mimetype: metadata.mimetype,
        plaintext_hash,
        secret_key: metadata.secret_key,
        tags: metadata.tags,
        title: metadata.title,
    };
    Ok(FileRecord { format, root, manifest_length, ..record(core, answer, secret_key, common)? })
}

fn record(core: &Core, answer: &BackboneFile, secret_key: SecretKey, metadata: FileMetadata) -> Result<FileRecord> {
    let is_own = answer.owner == *core.account.address();
    Ok(FileRecord {
        secret_key,
        is_own,
        ownership_token: None,
        ownership_is_locked: (is_own && answer.ownership_is_locked).then_some(true),
        filesize: metadata.filesize,
        filemodified: metadata.modified_at,
        mimetype: metadata.mimetype,
        cipher_hash: Sha512Hash::try_from(&answer.cipher_hash).map_err(|_| invalid(core))?,
        created_at: answer.created_at,
        expires_at: answer.expires_at,
        cipher_key: metadata.secret_key,
        owner: answer.owner.clone(),
        owner_signature: Signature::from_bytes(&answer.owner_signature.0).map_err(|_| invalid(core))?,
        plaintext_hash: metadata.plaintext_hash,
        created_by: answer.created_by.clone(),
        created_by_device: answer.created_by_device.clone(),
        title: metadata.title,
        description: metadata.description,
        filename: metadata.filename,
        tags: metadata.tags,
        format: None,
        root: None,
        manifest_length: None,
    })
}
