//! Uploads a file of format `v2`: chunks go to the backbone while the next ones are read and sealed. Neither plaintext nor
//! ciphertext touches the disk, unless the backbone takes files at once only.

use std::sync::Arc;

use bytes::Bytes;
use tracing::info;
use transport::backbone::{UploadFile, UploadObserver};
use transport::content::Layout;
use transport::crypto::{CryptoObject as _, SecretKey, Signature};
use transport::file::{Extent, FileMetadataV2, MAX_SEALED_METADATA_LENGTH, sealed_length, sign_content_ownership};
use transport::wire::backbone::files::CreatedFile;
use transport::wire::backbone::previews::{CreatedPreview, NewPreview};
use transport::wire::{ByteText, FileId};

use super::blob::{BlobSealer, Limit, SealedBlob};
use super::record::ChunkMembers;
use super::spool::{Spool, temporary_file_error};
use super::upload::metadata_too_long;
use super::{EarlyShare, FileRecord, NewFile, Observer, Phase, Progress, StartedUpload};
use crate::blocking::blocking;
use crate::core::Core;
use crate::delivery::{self, Delivery as _, Outgoing};
use crate::{Error, Result};

/// A file that is being sealed and sent.
struct ChunkedUpload<'a> {
    core: &'a Core,
    blob: BlobSealer,
    /// Its content has been moved to `blob`.
    new: NewFile,
    content_key: SecretKey,
    metadata_key: SecretKey,
    owner_signature: Option<Signature>,
    /// Until others are shown the upload.
    early: Option<EarlyShare>,
    /// What others were told of the length.
    length: Option<u64>,
}

/// Uploads and stores a file. If that fails before the backbone has the file, nothing of it is stored here, and the backbone
/// removes what it has.
pub(super) async fn upload(
    core: &Core,
    mut new: NewFile,
    early: Option<EarlyShare>,
    observer: Option<&Observer>,
) -> Result<(FileId, FileRecord)> {
    let by = delivery::of(core);
    let support = by.piece_support().await?;
    // What is sent at once may have as many bytes as a file of format `v1`.
    let longest = match support {
        Some(support) => support.max_length.unwrap_or(u64::MAX),
        None => sealed_length(core.config.max_file_size),
    };
    let source = std::mem::replace(&mut new.content, Box::pin(tokio::io::empty()));
    let content_key = SecretKey::generate();
    let mut upload = ChunkedUpload {
        core,
        blob: BlobSealer::new(source, &content_key, Limit::of_blob(longest), observer.cloned()),
        new,
        content_key,
        metadata_key: SecretKey::generate(),
        owner_signature: None,
        length: early.as_ref().and_then(|early| early.length),
        early,
    };
    let progress = observer.map(|observer| uploading(observer.clone(), None));
    let created = match support {
        Some(_) => by.upload_pieces(&mut upload, progress).await?,
        None => upload.send_at_once(observer).await?,
    };
    upload.remember(created).await
}

fn uploading(observer: Observer, total: Option<u64>) -> UploadObserver {
    Arc::new(move |bytes| observer(Progress { phase: Phase::Uploading, bytes, total }))
}

impl ChunkedUpload<'_> {
    /// Seals everything into a temporary file, and sends that.
    async fn send_at_once(&mut self, observer: Option<&Observer>) -> Result<CreatedFile> {
        let mut spool = Spool::new(self.core.temporary_directory.clone());
        while let Some(piece) = self.piece().await? {
            let appended = blocking(move || spool.append(&piece).map(|()| spool)).await;
            spool = appended.map_err(|error| temporary_file_error(&error))?;
        }
        let file = self.describe()?;
        let total = Layout::of(self.blob.sealed()?.length).map(|layout| layout.blob_length()).ok();
        let progress = observer.map(|observer| uploading(observer.clone(), total));
        Ok(delivery::of(self.core).upload_file(&file, &spool.into_upload(), progress).await?)
    }

    fn sealed_metadata(&self, extent: Extent) -> Result<ByteText> {
        let metadata = FileMetadataV2 {
            description: self.new.description.clone(),
            modified_at: None,
            filename: self.new.filename.clone(),
            extent,
            manifest_length: None,
            mimetype: self.new.mimetype.clone(),
            secret_key: self.content_key.clone(),
            tags: self.new.tags.clone(),
            title: self.new.title.clone(),
        };
        let sealed = metadata.seal(&self.metadata_key);
        if sealed.0.len() > MAX_SEALED_METADATA_LENGTH { Err(metadata_too_long()) } else { Ok(sealed) }
    }

    /// Stores the file. Of the answer only members that the backbone alone knows are used, and a shorter expiry.
    async fn remember(self, created: CreatedFile) -> Result<(FileId, FileRecord)> {
        let SealedBlob { length, root, cipher_hash } = self.blob.sealed()?;
        let core = self.core;
        info!(file = crate::logging::short(&created.id), bytes = length, "file uploaded in chunks");
        let ChunkMembers { format, root, plaintext_hash } = ChunkMembers::of(&root);
        let owner_signature = self.owner_signature.ok_or_else(|| Error::Unknown("the file has no owner".to_owned()))?;
        let record = FileRecord {
            secret_key: self.metadata_key,
            is_own: true,
            ownership_token: Some(created.ownership_token),
            ownership_is_locked: None,
            filesize: length,
            filemodified: None,
            mimetype: self.new.mimetype,
            cipher_hash,
            created_at: created.created_at,
            expires_at: created.expires_at,
            cipher_key: self.content_key,
            owner: core.account.address().clone(),
            owner_signature,
            plaintext_hash,
            created_by: core.account.address().clone(),
            created_by_device: core.account.device_id().clone(),
            title: self.new.title,
            description: self.new.description,
            filename: self.new.filename,
            tags: self.new.tags,
            format,
            root,
            manifest_length: None,
        };
        core.remember(record.to_object(&created.id)).await?;
        Ok((created.id, record))
    }
}

impl Outgoing for ChunkedUpload<'_> {
    async fn piece(&mut self) -> Result<Option<Bytes>> {
        self.blob.piece().await
    }

    fn preview(&mut self) -> Result<Option<NewPreview>> {
        if self.early.is_none() {
            return Ok(None);
        }
        let encrypted_properties = self.sealed_metadata(Extent::Growing { length: self.length })?;
        Ok(Some(NewPreview { encrypted_properties, expires_at: self.new.expires_at }))
    }

    fn shown(&mut self, shown: CreatedPreview) {
        if let Some(early) = self.early.take() {
            (early.started)(StartedUpload::new(shown, self.metadata_key.clone(), self.new.expires_at));
        }
    }

    fn describe(&mut self) -> Result<UploadFile> {
        let SealedBlob { length, root, cipher_hash } = self.blob.sealed()?;
        if self.length.is_some_and(|told| told != length) {
            let text = "'content' has another length than was told to those who follow the upload; share it again";
            return Err(Error::InvalidPropertyValue(text.to_owned()));
        }
        let encrypted_properties = self.sealed_metadata(Extent::Complete { length, root })?;
        let owner_signature = sign_content_ownership(&root, self.core.account.device_key());
        let file = UploadFile {
            cipher_hash: cipher_hash.into(),
            owner: self.core.account.address().clone(),
            owner_signature: owner_signature.to_byte_text(),
            expires_at: self.new.expires_at,
            encrypted_properties,
        };
        self.owner_signature = Some(owner_signature);
        Ok(file)
    }
}
