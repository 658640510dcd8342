//! Uploads a file. In format `v1` plaintext is sealed while it is read, then the ciphertext is uploaded, then the file is stored.
//! A content whose length is not known may turn out to be too long for that: then it is sealed in chunks from its start.

use std::io::Cursor;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tracing::info;
use transport::backbone::{UploadContent, UploadFile};
use transport::content::manifest::Manifest;
use transport::crypto::{CryptoObject as _, SecretKey};
use transport::file::{
    Extent, FileError, FileMetadata, FileMetadataV2, MAX_SEALED_METADATA_LENGTH, SealedFile, Sealer, sign_ownership,
};
use transport::wire::{ByteText, FileId, Timestamp};

use super::blob::unreadable;
use super::several::SeveralFiles;
use super::spool::{Spool, temporary_file_error};
use super::{ContentFormat, EarlyShare, FileRecord, Observer, Phase, Progress, chunked_upload, download};
use crate::blocking::blocking;
use crate::core::Core;
use crate::delivery::{self, Delivery as _};
use crate::error::{Property, PropertyRule};
use crate::source::Source;
use crate::store::{Batch, View};
use crate::{Error, Result};

/// Bytes of plaintext that are read and sealed at a time.
const PIECE: usize = 256 * 1024;
/// Up to this many bytes sealing is faster than handing the work to another thread.
const INLINE: usize = 16 * 1024;

pub(super) type Content = Pin<Box<dyn AsyncRead + Send>>;

/// Where the bytes of a new file come from.
pub enum NewContent {
    /// They are read once.
    Stream(Pin<Box<dyn AsyncRead + Send>>),
    /// The same for several files with their list, see [`NewContent::several`].
    Several(SeveralFiles),
    /// They can be read again.
    Source(Source),
}

impl NewContent {
    /// Length of the list of files with which the content begins, if there is one.
    pub(super) fn manifest_length(&self) -> Option<u64> {
        match self {
            Self::Stream(_) => None,
            Self::Several(several) => Some(several.manifest().length()),
            Self::Source(source) => source.manifest().map(Manifest::length),
        }
    }

    /// Bytes of the content, if they are known.
    pub(super) fn length(&self) -> Option<u64> {
        match self {
            Self::Stream(_) => None,
            Self::Several(several) => Some(several.manifest().content_length()),
            Self::Source(source) => Some(source.length()),
        }
    }

    /// What can be read again.
    #[must_use]
    pub fn source(&self) -> Option<&Source> {
        match self {
            Self::Stream(_) | Self::Several(_) => None,
            Self::Source(source) => Some(source),
        }
    }

    /// The content from its first byte on. Must be called within a tokio runtime.
    #[must_use]
    pub fn into_reader(mut self) -> Pin<Box<dyn AsyncRead + Send>> {
        self.take_reader()
    }

    /// The same; nothing is left of what is read once.
    pub(super) fn take_reader(&mut self) -> Content {
        match self {
            Self::Stream(stream) => std::mem::replace(stream, Box::pin(tokio::io::empty())),
            Self::Several(several) => several.take_reader(),
            Self::Source(source) => Box::pin(source.reader()),
        }
    }
}

/// A file whose values have all been checked, except the length of the content.
pub(crate) struct NewFile {
    pub(crate) content: NewContent,
    pub(crate) filename: String,
    pub(crate) mimetype: String,
    pub(crate) expires_at: Timestamp,
    pub(crate) title: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) tags: Option<Vec<String>>,
    /// What is stored in the same commit as the file.
    pub(crate) beside: Option<Beside>,
}

/// Adds changes to the commit that stores a file.
pub(crate) type Beside = Box<dyn FnOnce(&View<'_>, &mut Batch, &FileId, &FileRecord) -> Result<()> + Send>;

/// Adds the changes to a batch, if there are some.
pub(super) fn store_beside(
    beside: Option<Beside>,
    (view, batch): (&View<'_>, &mut Batch),
    id: &FileId,
    record: &FileRecord,
) -> Result<()> {
    beside.map_or(Ok(()), |beside| beside(view, batch, id, record))
}

impl NewFile {
    /// Uploads and stores it. If that fails before the backbone has the file, nothing remains.
    pub(crate) async fn upload(
        mut self,
        core: &Core,
        format: ContentFormat,
        observer: Option<&Observer>,
    ) -> Result<(FileId, FileRecord)> {
        if self.is_in_chunks(core, format)? {
            return chunked_upload::upload(core, self, None, observer).await;
        }
        let mut content = self.content.take_reader();
        match seal(core, &mut content, observer).await? {
            Outcome::Sealed(sealed) => self.send(core, sealed, observer).await,
            Outcome::TooLong(_) if format == ContentFormat::V1 => Err(too_large()),
            Outcome::TooLong(begun) => {
                self.content = NewContent::Stream(begun.followed_by(core, content).await?);
                chunked_upload::upload(core, self, None, observer).await
            }
        }
    }

    /// Uploads it in chunks, and lets others follow the upload.
    pub(crate) async fn upload_early(
        self,
        core: &Core,
        early: EarlyShare,
        observer: Option<&Observer>,
    ) -> Result<(FileId, FileRecord)> {
        chunked_upload::upload(core, self, Some(early), observer).await
    }

    /// Its metadata in format `v2`.
    pub(super) fn metadata_v2(&self, content_key: &SecretKey, extent: Extent) -> FileMetadataV2 {
        FileMetadataV2 {
            description: self.description.clone(),
            modified_at: None,
            filename: self.filename.clone(),
            extent,
            manifest_length: self.content.manifest_length(),
            mimetype: self.mimetype.clone(),
            secret_key: content_key.clone(),
            tags: self.tags.clone(),
            title: self.title.clone(),
        }
    }

    /// Whether it is known before the content is read that it has format `v2`.
    fn is_in_chunks(&self, core: &Core, format: ContentFormat) -> Result<bool> {
        let has_manifest = self.content.manifest_length().is_some();
        match format {
            ContentFormat::V1 if has_manifest => Err(Error::InvalidPropertyValue(
                "several files cannot have format v1; use v2, or upload an archive of them".to_owned(),
            )),
            ContentFormat::V1 => Ok(false),
            ContentFormat::V2 => Ok(true),
            ContentFormat::Auto => {
                Ok(has_manifest || self.content.length().is_some_and(|length| length > core.config.max_file_size))
            }
        }
    }

    async fn send(self, core: &Core, sealed: Sealed, observer: Option<&Observer>) -> Result<(FileId, FileRecord)> {
        let Sealed { content, content_key, file } = sealed;
        let metadata_key = SecretKey::generate();
        let metadata = FileMetadata {
            description: self.description,
            modified_at: None,
            filename: self.filename,
            filesize: file.plaintext_length,
            mimetype: self.mimetype,
            plaintext_hash: file.plaintext_hash,
            secret_key: content_key,
            tags: self.tags,
            title: self.title,
        };
        let owner_signature = sign_ownership(&file.plaintext_hash, core.account.device_key());
        let upload = UploadFile {
            cipher_hash: file.cipher_hash.into(),
            owner: core.account.address().clone(),
            owner_signature: owner_signature.to_byte_text(),
            expires_at: self.expires_at,
            encrypted_properties: seal_metadata(&metadata, &metadata_key)?,
        };
        let progress = observer.map(|observer| uploading(observer.clone(), file.body_length));
        let created = delivery::of(core).upload_file(&upload, &content, progress).await?;
        info!(file = crate::logging::short(&created.id), bytes = metadata.filesize, "file uploaded");
        // Of the answer only members that the backbone alone knows are used, and a shorter expiry; everything else is as it
        // was sent.
        let record = FileRecord {
            secret_key: metadata_key,
            is_own: true,
            ownership_token: Some(created.ownership_token),
            ownership_is_locked: None,
            filesize: metadata.filesize,
            filemodified: metadata.modified_at,
            mimetype: metadata.mimetype,
            cipher_hash: file.cipher_hash,
            created_at: created.created_at,
            expires_at: created.expires_at,
            cipher_key: metadata.secret_key,
            owner: core.account.address().clone(),
            owner_signature,
            plaintext_hash: metadata.plaintext_hash,
            created_by: core.account.address().clone(),
            created_by_device: core.account.device_id().clone(),
            title: metadata.title,
            description: metadata.description,
            filename: metadata.filename,
            tags: metadata.tags,
            format: None,
            root: None,
            manifest_length: None,
        };
        let (beside, id) = (self.beside, &created.id);
        let also = |view: &View<'_>, batch: &mut Batch| store_beside(beside, (view, batch), id, &record);
        core.remember_and(record.to_object(id), also).await?;
        Ok((created.id, record))
    }
}

fn seal_metadata(metadata: &FileMetadata, key: &SecretKey) -> Result<ByteText> {
    let sealed = metadata.seal(key);
    if sealed.0.len() > MAX_SEALED_METADATA_LENGTH {
        return Err(metadata_too_long());
    }
    Ok(sealed)
}

pub(super) fn metadata_too_long() -> Error {
    Error::InvalidPropertyValue("title, description, tags and file name are too long together".to_owned())
}

fn uploading(observer: Observer, total: u64) -> Arc<dyn Fn(u64) + Send + Sync> {
    Arc::new(move |bytes| {
        let bytes = bytes.min(total);
        observer(Progress { phase: Phase::Uploading, bytes, total: Some(total), resumed: 0, path: None });
    })
}

/// A body to be sent.
pub(super) struct Sealed {
    pub(super) content: UploadContent,
    pub(super) content_key: SecretKey,
    pub(super) file: SealedFile,
}

/// What became of a content.
enum Outcome {
    Sealed(Sealed),
    /// It has more bytes than may be sealed at once.
    TooLong(Box<Begun>),
}

/// The start of a content: sealed, and the piece behind that.
struct Begun {
    sealing: Sealing,
    piece: Vec<u8>,
}

impl Begun {
    /// The whole plaintext again: the start is decrypted from where it was kept, so that none of it is written anywhere.
    async fn followed_by(self, core: &Core, rest: Content) -> Result<Content> {
        let Self { sealing, piece } = self;
        let start = download::reopened(core, sealing.finish()?).await?;
        Ok(Box::pin(start.into_reader().chain(Cursor::new(piece)).chain(rest)))
    }
}

async fn seal(core: &Core, content: &mut Content, observer: Option<&Observer>) -> Result<Outcome> {
    let mut sealing = Sealing::new(core);
    let mut length = 0;
    loop {
        let piece = read_piece(content).await?;
        if piece.is_empty() {
            return sealing.finish().map(Outcome::Sealed);
        }
        length += piece.len() as u64;
        if length > core.config.max_file_size {
            return Ok(Outcome::TooLong(Box::new(Begun { sealing, piece })));
        }
        sealing = sealing.push(piece).await?;
        if let Some(observer) = observer {
            observer(Progress { phase: Phase::Sealing, bytes: length, total: None, resumed: 0, path: None });
        }
    }
}

fn too_large() -> Error {
    Error::invalid_property(Property::Content, PropertyRule::NotTooLarge)
}

/// A full piece, or the rest; empty at the end.
async fn read_piece(content: &mut Content) -> Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(INLINE);
    let outcome = content.take(PIECE as u64).read_to_end(&mut piece).await;
    outcome.map_err(unreadable)?;
    Ok(piece)
}

/// A body that is being sealed.
struct Sealing {
    content_key: SecretKey,
    sealer: Sealer,
    spool: Spool,
    /// Ciphertext of one piece.
    out: Vec<u8>,
}

impl Sealing {
    fn new(core: &Core) -> Self {
        let content_key = SecretKey::generate();
        let mut out = Vec::new();
        let sealer = Sealer::new(&content_key, &mut out);
        Self { content_key, sealer, spool: Spool::new(core.temporary_directory.clone()), out }
    }

    async fn push(mut self, piece: Vec<u8>) -> Result<Self> {
        if piece.len() <= INLINE {
            self.push_now(&piece)?;
            return Ok(self);
        }
        blocking(move || self.push_now(&piece).map(|()| self)).await
    }

    fn push_now(&mut self, piece: &[u8]) -> Result<()> {
        self.sealer.push(piece, &mut self.out).map_err(|error| match error {
            FileError::TooLarge => too_large(),
            other => Error::Unknown(other.to_string()),
        })?;
        self.spool.append(&self.out).map_err(|error| temporary_file_error(&error))?;
        self.out.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<Sealed> {
        let file = self.sealer.finish(&mut self.out);
        self.spool.append(&self.out).map_err(|error| temporary_file_error(&error))?;
        Ok(Sealed { content: self.spool.into_upload(), content_key: self.content_key, file })
    }
}
