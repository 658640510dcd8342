//! Uploads a file of format `v2`: chunks go to the backbone while the next ones are read and sealed. Neither plaintext nor
//! ciphertext touches the disk, unless the backbone takes files at once only.

use std::sync::Arc;

use bytes::Bytes;
use tracing::{info, warn};
use transport::backbone::{UploadFile, UploadObserver};
use transport::content::Layout;
use transport::crypto::{CryptoObject as _, SecretKey, Signature};
use transport::file::{Extent, FileMetadataV2, MAX_SEALED_METADATA_LENGTH, sealed_length, sign_content_ownership};
use transport::wire::backbone::files::{CreatedFile, FileMetadata};
use transport::wire::{FileId, UploadId};

use super::blob::{BlobSealer, Limit, SealedBlob};
use super::record::ChunkMembers;
use super::spool::{Spool, temporary_file_error};
use super::unfinished::{self, Continued, Unfinished};
use super::upload::metadata_too_long;
use super::{FileRecord, NewFile, Observer, Phase, Progress};
use crate::blocking::blocking;
use crate::content_store::UploadedContent;
use crate::core::Core;
use crate::delivery::{self, Delivery as _, Outgoing, ResumedUpload};
use crate::source::{Source, SourceIdentity};
use crate::{Error, Result};

/// A file that is being sealed and sent.
struct ChunkedUpload<'a> {
    core: &'a Core,
    blob: BlobSealer,
    /// `blob` reads its content.
    new: NewFile,
    content_key: SecretKey,
    metadata_key: SecretKey,
    owner_signature: Option<Signature>,
    /// A content that can be read again, so that the upload can be continued in another run.
    source: Option<SourceIdentity>,
    /// What is on disk for that.
    unfinished: Option<Unfinished>,
    /// Hashes of chunks that were sealed before the upload began.
    pending: Vec<u8>,
}

/// Uploads and stores a file. If that fails before the backbone has the file, nothing of it is stored here, and the backbone
/// removes what it has, unless it can be continued.
pub(super) async fn upload(core: &Core, new: NewFile, observer: Option<&Observer>) -> Result<(FileId, FileRecord)> {
    let support = delivery::of(core).piece_support().await?;
    // What is sent at once may have as many bytes as a file of format `v1`.
    let longest = match support {
        Some(support) => support.max_length.unwrap_or(u64::MAX),
        None => sealed_length(core.config.max_file_size),
    };
    let limit = Limit::of_blob(longest);
    limit.check(new.content.length().unwrap_or(0))?;
    match (support, new.content.source().cloned()) {
        (None, _) => ChunkedUpload::new(core, new, limit, observer).send_at_once(observer).await,
        (Some(_), None) => {
            let progress = observer.map(|observer| uploading(observer.clone(), None, 0));
            let mut upload = ChunkedUpload::new(core, new, limit, observer);
            upload.blob.keeping = core.content_store.keep_upload();
            let created = delivery::of(core).upload_pieces(&mut upload, None, progress).await?;
            upload.remember(created).await
        }
        (Some(_), Some(source)) => upload_source(core, &source, new, limit, observer).await,
    }
}

/// Uploads files of this machine; goes on with an upload of them that was interrupted.
async fn upload_source(
    core: &Core,
    source: &Source,
    new: NewFile,
    limit: Limit,
    observer: Option<&Observer>,
) -> Result<(FileId, FileRecord)> {
    let identity = source.identity();
    // One key must not have two writers.
    let _guard = core.uploading.hold(identity).await;
    let layout = Layout::of(source.length()).map_err(|error| Error::Unknown(error.to_string()))?;
    // Told at once where it begins, and also that a changed file begins anew.
    let progress = |acknowledged, resumed| {
        let progress = observer.map(|observer| uploading(observer.clone(), Some(layout.blob_length()), resumed));
        progress.inspect(|progress| progress(acknowledged))
    };
    let mut continued = None;
    if let Some(unfinished) = unfinished::find(core, &identity)? {
        let metadata = new.metadata_v2(&unfinished.content_key, Extent::Growing { length: None });
        continued = unfinished.take_up(core, layout, metadata, new.expires_at).await?;
    }
    let mut upload = ChunkedUpload::new(core, new, limit, observer);
    loop {
        upload.source = Some(identity);
        let before = continued.as_ref().map_or(0, |continued| continued.content_bytes(layout));
        let resumed = continued.take().map(|continued| upload.go_on_with(continued));
        let progress = progress(resumed.as_ref().map_or(0, |resumed| resumed.acknowledged), before);
        match delivery::of(core).upload_pieces(&mut upload, resumed, progress).await {
            Ok(created) => return upload.remember(created).await,
            Err(_) if upload.blob.has_changed() => {
                warn!("a file has changed although its state has not; it is uploaded anew");
                upload.give_up().await?;
                upload = ChunkedUpload::new(core, upload.new, limit, observer);
            }
            Err(failure) => {
                if !delivery::may_pass(failure.error()) {
                    upload.give_up().await?;
                }
                return Err(failure.into());
            }
        }
    }
}

fn uploading(observer: Observer, total: Option<u64>, resumed: u64) -> UploadObserver {
    Arc::new(move |bytes| observer(Progress { phase: Phase::Uploading, bytes, total, resumed }))
}

impl<'a> ChunkedUpload<'a> {
    /// With new keys.
    fn new(core: &'a Core, mut new: NewFile, limit: Limit, observer: Option<&Observer>) -> Self {
        let (reader, content_key) = (new.content.take_reader(), SecretKey::generate());
        Self {
            core,
            blob: BlobSealer::new(reader, &content_key, limit, observer.cloned()),
            new,
            content_key,
            metadata_key: SecretKey::generate(),
            owner_signature: None,
            source: None,
            unfinished: None,
            pending: Vec::new(),
        }
    }

    /// With the keys of an upload that was interrupted. Nothing has been read of the content.
    fn go_on_with(&mut self, continued: Continued) -> ResumedUpload {
        let Continued { unfinished, hashes, resumed } = continued;
        self.content_key = unfinished.content_key.clone();
        self.metadata_key = unfinished.metadata_key.clone();
        self.blob.go_on_with(&self.content_key, hashes);
        self.unfinished = Some(unfinished);
        resumed
    }

    /// Forgets what is on disk to continue it.
    async fn give_up(&mut self) -> Result<()> {
        match self.unfinished.take() {
            Some(unfinished) => unfinished.forget(self.core).await,
            None => Ok(()),
        }
    }

    /// Seals everything into a temporary file, and sends that.
    async fn send_at_once(mut self, observer: Option<&Observer>) -> Result<(FileId, FileRecord)> {
        let mut spool = Spool::new(self.core.temporary_directory.clone());
        while let Some(piece) = self.piece().await? {
            let appended = blocking(move || spool.append(&piece).map(|()| spool)).await;
            spool = appended.map_err(|error| temporary_file_error(&error))?;
        }
        let file = self.describe()?;
        let total = Layout::of(self.blob.sealed()?.length).map(|layout| layout.blob_length()).ok();
        let progress = observer.map(|observer| uploading(observer.clone(), total, 0));
        let created = delivery::of(self.core).upload_file(&file, &spool.into_upload(), progress).await?;
        self.remember(created).await
    }

    /// Stores the file. Of the answer only members that the backbone alone knows are used, and a shorter expiry.
    async fn remember(mut self, created: CreatedFile) -> Result<(FileId, FileRecord)> {
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
            manifest_length: self.new.content.manifest_length(),
        };
        let (content, tree) = (record.known_content(&created.id), self.blob.built.take());
        let object = record.to_object(&created.id);
        match &self.unfinished {
            None => core.remember(object).await?,
            Some(unfinished) => {
                core.remember_and(object, |view, batch| unfinished.end(view, batch)).await?;
                unfinished.remove_hashes(core).await;
            }
        }
        if let (Some(content), Some(tree)) = (content, tree) {
            let (key, source) = (record.cipher_key.clone(), self.new.content.source().cloned());
            core.content_store.uploaded(UploadedContent { content, key, tree, source }, self.blob.keeping.take());
        }
        Ok((created.id, record))
    }
}

impl Outgoing for ChunkedUpload<'_> {
    async fn piece(&mut self) -> Result<Option<Bytes>> {
        let piece = self.blob.piece().await?;
        let (first, hashes) = self.blob.take_fresh();
        match &self.unfinished {
            Some(unfinished) if !hashes.is_empty() => unfinished.keep(self.core, first, &hashes).await?,
            None if self.source.is_some() => self.pending.extend(hashes),
            _ => {}
        }
        Ok(piece)
    }

    async fn begun(&mut self, upload: &UploadId) -> Result<bool> {
        let Some(source) = self.source.take() else { return Ok(false) };
        let keys = (&self.content_key, &self.metadata_key);
        let unfinished = Unfinished::new(self.core, &source, upload.clone(), keys, self.new.expires_at);
        if unfinished.begin(self.core, &std::mem::take(&mut self.pending)).await? {
            self.unfinished = Some(unfinished);
        }
        Ok(self.unfinished.is_some())
    }

    fn is_described_by(&self, found: &FileMetadata) -> bool {
        let Ok(SealedBlob { length, root, .. }) = self.blob.sealed() else { return false };
        FileMetadataV2::open(&found.encrypted_properties.0, &self.metadata_key)
            .is_ok_and(|it| it == self.new.metadata_v2(&self.content_key, Extent::Complete { length, root }))
    }

    fn describe(&mut self) -> Result<UploadFile> {
        let SealedBlob { length, root, cipher_hash } = self.blob.sealed()?;
        let metadata = self.new.metadata_v2(&self.content_key, Extent::Complete { length, root });
        let encrypted_properties = metadata.seal(&self.metadata_key);
        if encrypted_properties.0.len() > MAX_SEALED_METADATA_LENGTH {
            return Err(metadata_too_long());
        }
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
