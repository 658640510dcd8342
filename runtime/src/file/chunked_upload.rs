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
use transport::wire::backbone::previews::{CreatedPreview, NewPreview};
use transport::wire::{ByteText, FileId, UploadId};

use super::blob::{BlobSealer, Limit, SealedBlob};
use super::record::ChunkMembers;
use super::spool::{Spool, temporary_file_error};
use super::unfinished::{self, Continued, Unfinished};
use super::upload::{metadata_too_long, store_beside};
use super::{EarlyShare, FileRecord, NewFile, Observer, Phase, Progress, StartedUpload};
use crate::blocking::blocking;
use crate::content_store::UploadedContent;
use crate::core::Core;
use crate::delivery::{self, Delivery as _, Outgoing, ResumedUpload};
use crate::held;
use crate::source::{Source, SourceIdentity};
use crate::store::{Batch, View};
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
    /// Until others are shown the upload.
    early: Option<EarlyShare>,
    /// What others were told of the length.
    length: Option<u64>,
    /// Whether others are shown the upload.
    is_shown: bool,
}

/// Uploads and stores a file. If that fails before the backbone has the file, nothing of it is stored here, and the backbone
/// removes what it has, unless it can be continued.
pub(super) async fn upload(
    core: &Core,
    new: NewFile,
    early: Option<EarlyShare>,
    observer: Option<&Observer>,
) -> Result<(FileId, FileRecord)> {
    let told = early.as_ref().and_then(|early| early.length);
    if let (Some(told), Some(length)) = (told, new.content.length())
        && told != length
    {
        return Err(of_another_length());
    }
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
            let mut upload = ChunkedUpload::new(core, new, limit, observer).shown_by(early);
            upload.blob.keeping = core.content_store.keep_upload();
            let created = delivery::of(core).upload_pieces(&mut upload, None, progress).await?;
            upload.remember(created).await
        }
        (Some(_), Some(source)) => upload_source(core, &source, new, (limit, early), observer).await,
    }
}

/// Uploads files of this machine; goes on with an upload of them that was interrupted.
async fn upload_source(
    core: &Core,
    source: &Source,
    new: NewFile,
    (limit, early): (Limit, Option<EarlyShare>),
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
        continued = unfinished.take_up(core, layout, metadata, (new.expires_at, early.is_some())).await?;
    }
    let mut upload = ChunkedUpload::new(core, new, limit, observer).shown_by(early);
    loop {
        upload.source = Some(identity);
        let before = continued.as_ref().map_or(0, |continued| continued.content_bytes(layout));
        let resumed = continued.take().map(|continued| upload.go_on_with(continued));
        let progress = progress(resumed.as_ref().map_or(0, |resumed| resumed.acknowledged), before);
        match delivery::of(core).upload_pieces(&mut upload, resumed, progress).await {
            Ok(created) => return upload.remember(created).await,
            Err(_) if upload.blob.has_changed() => {
                upload.give_up().await?;
                if upload.is_shown {
                    return Err(shown_and_changed());
                }
                warn!("a file has changed although its state has not; it is uploaded anew");
                let early = upload.early.take();
                upload = ChunkedUpload::new(core, upload.new, limit, observer).shown_by(early);
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

fn of_another_length() -> Error {
    let text = "'content' has another length than was told to those who follow the upload; share it again";
    Error::InvalidPropertyValue(text.to_owned())
}

/// A new upload would be another file, of which those who were told of this one know nothing.
fn shown_and_changed() -> Error {
    let text = "'content' has changed since its upload began, so references to it that were given out do not work; share it again";
    Error::InvalidPropertyValue(text.to_owned())
}

fn uploading(observer: Observer, total: Option<u64>, resumed: u64) -> UploadObserver {
    Arc::new(move |bytes| observer(Progress { phase: Phase::Uploading, bytes, total, resumed, path: None }))
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
            early: None,
            length: None,
            is_shown: false,
        }
    }

    /// Others are shown it while it is sent.
    fn shown_by(mut self, early: Option<EarlyShare>) -> Self {
        self.length = early.as_ref().and_then(|early| early.length.or(self.new.content.length()));
        self.early = early;
        self
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
            Some(unfinished) => {
                unfinished.warn_of_tokens();
                unfinished.forget(self.core).await
            }
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

    fn sealed_metadata(&self, extent: Extent) -> Result<ByteText> {
        let sealed = self.new.metadata_v2(&self.content_key, extent).seal(&self.metadata_key);
        if sealed.0.len() > MAX_SEALED_METADATA_LENGTH { Err(metadata_too_long()) } else { Ok(sealed) }
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
        let (object, new) = (record.to_object(&created.id), record.to_object(&created.id));
        let (beside, id, unfinished) = (self.new.beside.take(), &created.id, &self.unfinished);
        let also = |view: &View<'_>, batch: &mut Batch| {
            if let Some(unfinished) = unfinished {
                unfinished.end(view, batch)?;
            }
            held::leave_new_to_this_device(core, (view, &mut *batch), new)?;
            store_beside(beside, (view, batch), id, &record)
        };
        core.remember_and(object, also).await?;
        if let Some(unfinished) = unfinished {
            unfinished.remove_hashes(core).await;
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
        let asked = (self.new.expires_at, self.early.is_some());
        let unfinished = Unfinished::new(self.core, &source, upload.clone(), keys, asked);
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

    fn preview(&mut self) -> Result<Option<NewPreview>> {
        if self.early.is_none() {
            return Ok(None);
        }
        let encrypted_properties = self.sealed_metadata(Extent::Growing { length: self.length })?;
        Ok(Some(NewPreview { encrypted_properties, expires_at: self.new.expires_at }))
    }

    fn shown(&mut self, shown: CreatedPreview) {
        if let Some(early) = self.early.take() {
            self.is_shown = true;
            (early.started)(StartedUpload::new(shown, self.metadata_key.clone(), self.new.expires_at));
        }
    }

    fn describe(&mut self) -> Result<UploadFile> {
        let SealedBlob { length, root, cipher_hash } = self.blob.sealed()?;
        if self.length.is_some_and(|told| told != length) {
            return Err(of_another_length());
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
