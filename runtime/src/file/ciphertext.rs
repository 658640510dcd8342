//! The ciphertext of a file, at given places, as a backbone has it: what this node serves to peers.
//!
//! Chunks of format `v2` come from the content store, which seals them again from files of this machine; what it does not have
//! comes from the backbone. In order, the next chunks are sealed while one is read: [`AHEAD`] of them, so a reader costs that
//! many chunks of memory and one more. A body of format `v1` is fetched as a whole, see [`Bodies`].

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::task::JoinHandle;
use tracing::info;
use transport::content::{BlobPart, ContentKey, HEADER_LENGTH, Layout, Root};
use transport::crypto::hash::Sha512Stream;
use transport::crypto::{CryptoObject as _, SecretKey};
use transport::file::{Extent, FileError, FileMetadataV2, max_body_length, sealed_length};
use transport::wire::backbone::files::FileMetadata as BackboneFile;
use transport::wire::{ByteText, FileId};

use super::FileRecord;
use super::bodies::{Bodies, Body, BodyInUse};
use super::download::spool_for;
use super::record::ContentRecord;
use super::remote::{RemoteBlob, Run, read_at};
use super::spool::{Storage, temporary_file_error};
use crate::blocking::{blocking, joined};
use crate::chunk_buffers::ChunkBuffers;
use crate::code::ErrorCode;
use crate::core::Core;
use crate::delivery::{self, Delivery as _, Incoming, Sources};
use crate::event::Event;
use crate::logging::short;
use crate::{Error, Result};

/// Chunks that are sealed while another one is read.
const AHEAD: usize = 2;

/// Where the bytes of a file are beside this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    /// At the backbone.
    Backbone,
    /// Nowhere.
    Nowhere,
}

/// Reads the ciphertext of a file.
pub(crate) struct Ciphertext(Form);

enum Form {
    /// Boxed, because it is much larger.
    Blob(Box<Blob>),
    Body(BodyInUse),
}

impl Ciphertext {
    /// Opens a file of this identity for a reader. Nothing is read of format `v2`.
    ///
    /// # Errors
    /// [`Unopened::Busy`] if there is no place among the [`Bodies`] for this reader; `needsNewerReader` for other formats, and those of the backbone.
    pub(crate) async fn open(
        core: &Arc<Core>,
        id: &FileId,
        record: &FileRecord,
        elsewhere: Elsewhere,
        (bodies, reader): (&Arc<Bodies>, &str),
    ) -> Result<Self, Unopened> {
        match record.content(core)? {
            ContentRecord::V1(_) => {
                let place = bodies.take(id, reader).ok_or(Unopened::Busy)?;
                // What fetches is boxed here and below: it is large, and most reads do without.
                place.fetched(Box::pin(Body::fetch(core, id, record))).await?;
                Ok(Self(Form::Body(place)))
            }
            ContentRecord::V2 { root, layout, key } => {
                Ok(Self(Form::Blob(Box::new(Blob::new(core, id, (root, layout, &key), elsewhere)))))
            }
        }
    }

    /// Whether it has format `v2`.
    pub(crate) fn is_in_chunks(&self) -> bool {
        matches!(self.0, Form::Blob(_))
    }

    /// How many bytes it has.
    pub(crate) fn length(&self) -> u64 {
        match &self.0 {
            Form::Blob(blob) => blob.layout.blob_length(),
            Form::Body(place) => place.get().map_or(0, |body| body.length),
        }
    }

    /// Where among them the content is, sealed: a blob also has a header and the hashes that verify it.
    pub(crate) fn content(&self) -> Range<u64> {
        match &self.0 {
            Form::Blob(blob) => HEADER_LENGTH as u64..blob.layout.tree().start,
            Form::Body(_) => 0..self.length(),
        }
    }

    /// Exactly these bytes. Cancel-safe, and may be called again after an error.
    ///
    /// # Errors
    /// Why they are not to be had now, those beyond the end among them.
    pub(crate) async fn read(&mut self, range: Range<u64>) -> Result<Bytes> {
        if range.start > range.end || range.end > self.length() {
            return Err(Error::Unknown("bytes beyond the end of a file were asked for".to_owned()));
        }
        match &mut self.0 {
            Form::Blob(blob) => blob.read(range).await,
            Form::Body(place) => match place.get() {
                Some(body) => body.read(range).await,
                None => Err(Error::Unknown("a body was not fetched".to_owned())),
            },
        }
    }
}

/// Why a file is not opened.
pub(crate) enum Unopened {
    /// There is no place for this reader among the [`Bodies`].
    Busy,
    Failed(Error),
}

impl From<Error> for Unopened {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// A blob of format `v2`.
struct Blob {
    core: Arc<Core>,
    id: FileId,
    root: Root,
    layout: Layout,
    header: [u8; HEADER_LENGTH],
    /// The chunk that was read last.
    current: Option<(u64, Bytes)>,
    /// Those behind it, in their order.
    ahead: VecDeque<(u64, JoinHandle<Option<Vec<u8>>>)>,
    buffers: ChunkBuffers,
    remote: Option<RemoteBlob>,
    run: Option<Run>,
}

impl Blob {
    fn new(core: &Arc<Core>, id: &FileId, content: (Root, Layout, &SecretKey), elsewhere: Elsewhere) -> Self {
        let (root, layout, key) = content;
        let header = *ContentKey::new(key).header().as_bytes();
        let remote = (elsewhere == Elsewhere::Backbone)
            .then(|| RemoteBlob::at_backbone(core.clone(), id.clone(), layout.blob_length()));
        let (current, ahead, buffers, run) = (None, VecDeque::new(), ChunkBuffers::default(), None);
        Self { core: core.clone(), id: id.clone(), root, layout, header, current, ahead, buffers, remote, run }
    }

    async fn read(&mut self, range: Range<u64>) -> Result<Bytes> {
        let first = self.part(range.clone()).await?;
        if first.len() as u64 == range.end - range.start {
            return Ok(first);
        }
        let mut bytes = BytesMut::with_capacity((range.end - range.start) as usize);
        bytes.extend_from_slice(&first);
        while (bytes.len() as u64) < range.end - range.start {
            bytes.extend_from_slice(&self.part(range.start + bytes.len() as u64..range.end).await?);
        }
        Ok(bytes.freeze())
    }

    /// The first of these bytes, as far as they are in one part of the blob.
    async fn part(&mut self, range: Range<u64>) -> Result<Bytes> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let (part, place) = self.layout.part_at(range.start).map_err(|error| Error::Unknown(error.to_string()))?;
        let end = range.end.min(place.end);
        let within = (range.start - place.start) as usize..(end - place.start) as usize;
        match part {
            BlobPart::Header => Ok(Bytes::copy_from_slice(&self.header[within])),
            BlobPart::Chunk(index) => Ok(self.chunk(index).await?.slice(within)),
            BlobPart::Tree => self.tree(range.start..end).await,
        }
    }

    async fn chunk(&mut self, index: u64) -> Result<Bytes> {
        if let Some((current, sealed)) = &self.current
            && *current == index
        {
            return Ok(sealed.clone());
        }
        let is_next = self.current.as_ref().map_or(0, |(current, _)| current + 1) == index;
        if self.ahead.front().is_some_and(|(first, _)| *first != index) {
            self.ahead.clear();
        }
        self.look_ahead(index, if is_next { AHEAD + 1 } else { 1 });
        // It stays in its place until it is there: the next call goes on if this one is dropped.
        let stored = match self.ahead.front_mut() {
            Some((_, sealing)) => joined(sealing).await,
            None => None,
        };
        self.ahead.pop_front();
        let sealed = match stored {
            Some(sealed) => self.buffers.lend(sealed),
            None => self.fetch_chunk(index).await?,
        };
        self.current = Some((index, sealed));
        Ok(self.current.as_ref().map(|(_, sealed)| sealed.clone()).unwrap_or_default())
    }

    /// Begins to read chunks of the content store from this one on, so many in all.
    fn look_ahead(&mut self, index: u64, count: usize) {
        let next = self.ahead.back().map_or(index, |(last, _)| last + 1);
        let end = self.layout.chunk_count().min(index.saturating_add(count as u64));
        for index in next..end {
            if self.first_stored(index) != index {
                break;
            }
            let (store, root, buffers) = (self.core.content_store.clone(), self.root, self.buffers.clone());
            self.ahead.push_back((index, tokio::spawn(async move { store.chunk(&root, index, &buffers).await })));
        }
    }

    /// The first chunk from this one on that the content store has.
    fn first_stored(&self, index: u64) -> u64 {
        self.core.content_store.first_stored(&self.root, index..self.layout.chunk_count())
    }

    async fn fetch_chunk(&mut self, index: u64) -> Result<Bytes> {
        let unknown = |error: transport::content::ContentError| Error::Unknown(error.to_string());
        let place = self.layout.sealed_chunk(index).map_err(unknown)?;
        // A chunk that should be here and is not is no reason to stop in front of it.
        let end = self.first_stored(index + 1).min(self.layout.chunk_count());
        let end = self.layout.sealed(&(index..end)).map_err(unknown)?.end;
        self.fetch(place, end).await
    }

    async fn tree(&mut self, place: Range<u64>) -> Result<Bytes> {
        match self.core.content_store.tree(&self.root, place.clone()).await {
            Some(bytes) => Ok(bytes.into()),
            None => self.fetch(place, self.layout.blob_length()).await,
        }
    }

    async fn fetch(&mut self, place: Range<u64>, end: u64) -> Result<Bytes> {
        match &mut self.remote {
            Some(remote) => {
                let fetched = Box::pin(remote.bytes(&mut self.run, place, end)).await?;
                Ok(fetched.bytes.into())
            }
            None => {
                info!(file = short(&self.id), "a file that is shared directly cannot be read");
                // What cannot be read for a moment only has its source still.
                let store = &self.core.content_store;
                if !store.has_source(&self.root) && !store.is_whole(&self.root) {
                    self.core.events.publish(Event::SharedFileLost(self.id.clone()));
                }
                Err(Error::Unknown("the file is gone or has changed since it was shared; share it again".to_owned()))
            }
        }
    }
}

impl Body {
    /// The whole body, if it is the one that the file was made with: a wrong one is not kept, and asked for again.
    async fn fetch(core: &Arc<Core>, id: &FileId, record: &FileRecord) -> Result<Self> {
        let longest = max_body_length(record.filesize);
        let (mut spool, mut hash) = (spool_for(core, longest)?, Sha512Stream::new());
        let mut arriving = delivery::by(core, Sources::Backbone).file_content(id, longest).await?;
        while let Some(piece) = Incoming::chunk(&mut arriving).await? {
            let append = move || {
                hash.update(&piece);
                spool.append(&piece).map(|()| (spool, hash))
            };
            (spool, hash) = blocking(append).await.map_err(|error| temporary_file_error(&error))?;
        }
        if hash.finish_hash() != record.cipher_hash {
            return Err(core.transport_error(ErrorCode::CipherMismatch, FileError::CipherMismatch.to_string()));
        }
        let length = Incoming::received(&arriving);
        Ok(Self { storage: spool.into_storage(), length })
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        match &self.storage {
            Storage::Memory(bytes) => Ok(Bytes::copy_from_slice(&bytes[range.start as usize..range.end as usize])),
            Storage::File(file, _) => {
                let file = file.try_clone().map_err(|error| temporary_file_error(&error))?;
                let read = blocking(move || read_at(file, range)).await;
                read.map(Bytes::from).map_err(|error| temporary_file_error(&error))
            }
        }
    }
}

/// What a backbone shows of a file of this identity to others. The metadata are sealed again: they say the same in other bytes.
///
/// # Errors
/// `needsNewerReader` for other formats, those of the backbone for a file of format `v1` that another device has made.
pub(crate) async fn shown(core: &Arc<Core>, id: &FileId, record: &FileRecord) -> Result<BackboneFile> {
    let (cipher_size, encrypted_properties) = match record.content(core)? {
        // How long the body is, only its maker knows.
        ContentRecord::V1(_) if record.created_by_device != *core.account.device_id() => {
            let by = delivery::by(core, Sources::Backbone);
            return Ok(Box::pin(by.file_metadata(id, None)).await?);
        }
        ContentRecord::V1(metadata) => (sealed_length(record.filesize), metadata.seal(&record.secret_key)),
        ContentRecord::V2 { root, layout, .. } => (layout.blob_length(), sealed_v2(record, root)),
    };
    Ok(BackboneFile {
        id: id.clone(),
        created_at: record.created_at,
        created_by: record.created_by.clone(),
        created_by_device: record.created_by_device.clone(),
        modified_at: None,
        modified_by: None,
        modified_by_device: None,
        deleted_at: None,
        deleted_by: None,
        deleted_by_device: None,
        owner: record.owner.clone(),
        owner_signature: record.owner_signature.to_byte_text(),
        ownership_is_locked: false,
        cipher_size,
        cipher_hash: record.cipher_hash.into(),
        expires_at: record.expires_at,
        encrypted_properties,
    })
}

fn sealed_v2(record: &FileRecord, root: Root) -> ByteText {
    let metadata = FileMetadataV2 {
        description: record.description.clone(),
        modified_at: record.filemodified,
        filename: record.filename.clone(),
        extent: Extent::Complete { length: record.filesize, root },
        manifest_length: record.manifest_length,
        mimetype: record.mimetype.clone(),
        secret_key: record.cipher_key.clone(),
        tags: record.tags.clone(),
        title: record.title.clone(),
    };
    metadata.seal(&record.secret_key)
}
