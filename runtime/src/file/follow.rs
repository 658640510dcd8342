//! Follows a file while it is uploaded: each chunk is handed out once it is authenticated, the end only when everything has the
//! root that the sender tells at the end.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};
use tracing::info;
use transport::content::{ContentError, Layout, MAX_CONTENT_LENGTH};
use transport::crypto::SecretKey;
use transport::file::{AnyFileMetadata, Extent, FileMetadataV2};
use transport::wire::backbone::previews::FilePreview;
use transport::wire::{Address, FileId, Timestamp};

use super::download::check_chunked_size;
use super::growth::{Growth, longest_blob};
use super::load::{self, Loaded};
use super::record::needs_newer_reader;
use super::{FileRecord, Observer, Phase, Progress};
use crate::blocking::blocking;
use crate::code::ErrorCode;
use crate::core::Core;
use crate::delivery::claims::{self, Loading};
use crate::delivery::{self, Arriving, Delivery as _, Failure, Incoming, Retries, Sources};
use crate::peer::Path;
use crate::{BackboneError, Error, Result, file_name};

/// A file that a reference names.
pub(crate) enum Found {
    /// Its upload goes on.
    Growing(Box<GrowingFile>),
    /// It is there.
    Complete(Box<FileRecord>),
}

/// A file whose upload has not ended: what its sender has told, and its content as it comes.
#[derive(Debug)]
pub struct GrowingFile {
    /// The id that the file has.
    pub id: FileId,
    /// The name, made harmless.
    pub filename: String,
    /// Media type; chosen by the sender.
    pub mimetype: String,
    /// Title shown to receivers.
    pub title: Option<String>,
    /// Description shown to receivers.
    pub description: Option<String>,
    /// Free or controlled tags.
    pub tags: Option<Vec<String>>,
    /// Who uploads it, as the backbone says.
    pub owner: Address,
    /// When it was shown first.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// Bytes of the content, if the sender told them.
    pub length: Option<u64>,
    /// Length of the manifest at the head of the content, if it has several files.
    pub manifest_length: Option<u64>,
    /// The content.
    pub content: GrowingReader,
}

/// Finds a file, or its upload.
///
/// # Errors
/// Those of [`load::load`].
pub(crate) async fn follow(
    core: &Arc<Core>,
    id: &FileId,
    metadata_key: SecretKey,
    backbone: Option<&str>,
    observer: Option<&Observer>,
) -> Result<Found> {
    let preview = match load::find(core, id, metadata_key.clone(), backbone).await? {
        Loaded::Complete(record) => return Ok(Found::Complete(record)),
        Loaded::Growing(preview) => *preview,
    };
    let metadata = AnyFileMetadata::open(&preview.encrypted_properties.0, &metadata_key);
    match metadata.map_err(|error| load::unreadable(core, &error))? {
        AnyFileMetadata::V2(metadata) => {
            let growing = begin(core, preview, metadata_key, metadata, observer.cloned())?;
            Ok(Found::Growing(Box::new(growing)))
        }
        AnyFileMetadata::V1(_) => Err(load::invalid(core)),
    }
}

fn begin(
    core: &Arc<Core>,
    preview: FilePreview,
    metadata_key: SecretKey,
    metadata: FileMetadataV2,
    observer: Option<Observer>,
) -> Result<GrowingFile> {
    let Extent::Growing { length } = metadata.extent else { return Err(load::invalid(core)) };
    let is_own = preview.owner == *core.account.address();
    check_chunked_size(core, is_own, length.unwrap_or(0))?;
    let layout = length.map(Layout::of).transpose().map_err(|_| load::invalid(core))?;
    let longest = if is_own { MAX_CONTENT_LENGTH } else { core.config.max_received_file_size };
    let following = Following {
        core: core.clone(),
        id: preview.id.clone(),
        growth: Growth::new(&metadata.secret_key, layout),
        content_key: metadata.secret_key,
        metadata_key,
        longest_blob: layout.map_or_else(|| longest_blob(longest), |layout| layout.blob_length()),
        arriving: None,
        loading: Loading::of(core.clone(), preview.id.clone()),
        retries: Retries::default(),
        observer,
        state: State::Growing,
    };
    Ok(GrowingFile {
        id: preview.id,
        filename: file_name::shown(&metadata.filename).into_owned(),
        mimetype: metadata.mimetype,
        title: metadata.title,
        description: metadata.description,
        tags: metadata.tags,
        owner: preview.owner,
        created_at: preview.created_at,
        expires_at: preview.expires_at,
        length,
        manifest_length: metadata.manifest_length,
        content: GrowingReader::new(following),
    })
}

/// An upload that is followed.
struct Following {
    core: Arc<Core>,
    id: FileId,
    metadata_key: SecretKey,
    content_key: SecretKey,
    growth: Growth,
    /// The most bytes that the blob may have.
    longest_blob: u64,
    arriving: Option<Arriving>,
    loading: Loading,
    retries: Retries,
    observer: Option<Observer>,
    state: State,
}

enum State {
    Growing,
    /// The upload has ended with this.
    Ended(Box<FileRecord>),
    /// Everything was handed out and has the root.
    Verified(Box<FileRecord>),
    /// What came is not the content.
    Refused(ContentError),
}

impl Following {
    /// The next chunk of plaintext; none when everything was handed out, verified against the root, and remembered here. After an
    /// error of the connection, goes on where it was.
    async fn chunk(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            match &self.state {
                State::Verified(_) => return Ok(None),
                State::Refused(error) => return Err(self.altered(*error)),
                State::Growing | State::Ended(_) => {}
            }
            if let Some(chunk) = self.take().await? {
                return Ok(Some(chunk));
            }
            if let State::Ended(record) = &self.state {
                let record = record.clone();
                return self.complete(record).await.map(|()| None);
            }
            self.receive().await?;
        }
    }

    /// A chunk that has arrived.
    async fn take(&mut self) -> Result<Option<Vec<u8>>> {
        let sealed = match self.growth.next() {
            Ok(sealed) => sealed,
            Err(error) => return Err(self.refuse(error)),
        };
        let Some(sealed) = sealed else { return Ok(None) };
        match blocking(move || sealed.open()).await {
            Ok(chunk) => Ok(Some(chunk)),
            Err(error) => Err(self.refuse(error)),
        }
    }

    /// Receives more bytes, or that the upload has ended.
    async fn receive(&mut self) -> Result<()> {
        match self.bytes().await {
            Ok(Some(bytes)) => {
                self.retries.reset();
                self.loading.arrived(Some(Path::Backbone));
                self.growth.push(&bytes).map_err(|error| self.refuse(error))?;
                self.report();
                Ok(())
            }
            Ok(None) => {
                self.arriving = None;
                self.end().await
            }
            Err(failure) => {
                self.arriving = None;
                self.interrupted(failure).await
            }
        }
    }

    async fn bytes(&mut self) -> Result<Option<Bytes>, Failure> {
        let arriving = match &mut self.arriving {
            Some(arriving) => arriving,
            None => {
                let received = self.growth.received();
                let limit = self.longest_blob.saturating_sub(received);
                let arriving = delivery::of(&self.core).follow_file(&self.id, received, limit).await?;
                self.arriving.insert(arriving)
            }
        };
        Incoming::chunk(arriving).await
    }

    /// The backbone says that these were all bytes: then it has the file, and it is as long.
    async fn end(&mut self) -> Result<()> {
        let answered = delivery::by(&self.core, Sources::Backbone).file_metadata(&self.id, None).await;
        let answer = match answered {
            Ok(answer) => answer,
            Err(failure) => return self.interrupted(failure).await,
        };
        let record = load::open(&self.core, &self.id, &answer, self.metadata_key.clone())?;
        let layout = Layout::of(record.filesize).map_err(|_| load::invalid(&self.core))?;
        if record.root.is_none() || record.cipher_key != self.content_key {
            return Err(self.refuse(ContentError::WrongKey));
        }
        if layout.blob_length() > self.growth.received() && self.retries.wait_after_short_answer().await {
            return Ok(());
        }
        self.growth.end(layout).map_err(|error| self.refuse(error))?;
        self.state = State::Ended(Box::new(record));
        Ok(())
    }

    /// Waits before another attempt, if the upload still goes on or has ended meanwhile.
    async fn interrupted(&mut self, failure: Failure) -> Result<()> {
        let error = match failure {
            Failure::TooLarge(_) => return Err(self.too_long()),
            Failure::NotFound(_) => None,
            Failure::Failed(Error::Backbone(error)) if is_passing(&error) => Some(Error::from(error)),
            Failure::Failed(other) | Failure::NoUseLeft(other) => return Err(other),
        };
        let preview = delivery::of(&self.core).file_preview(&self.id).await;
        if let Err(Failure::NotFound(_)) = preview {
            return Err(self.given_up());
        }
        if !self.retries.wait().await {
            // Whoever reads on after the error begins with as many attempts.
            self.retries.reset();
            return Err(match preview {
                Ok(_) => self.stalled(),
                Err(failure) => error.unwrap_or_else(|| failure.into()),
            });
        }
        info!(file = crate::logging::short(&self.id), "an upload is followed again");
        Ok(())
    }

    /// Verifies everything, and remembers the file.
    async fn complete(&mut self, record: Box<FileRecord>) -> Result<()> {
        let root = record.root.ok_or_else(|| load::invalid(&self.core))?;
        self.growth.verify(&root).map_err(|error| self.refuse(error))?;
        let record = load::remember(&self.core, &self.id, *record).await?;
        claims::verified(&self.core, &self.id);
        self.state = State::Verified(Box::new(record));
        Ok(())
    }

    fn report(&self) {
        if let Some(observer) = &self.observer {
            let total = self.growth.layout().map(|layout| layout.blob_length());
            observer(Progress {
                phase: Phase::Downloading,
                bytes: self.growth.received(),
                total,
                resumed: 0,
                path: Some(Path::Backbone),
            });
        }
    }

    fn refuse(&mut self, error: ContentError) -> Error {
        (self.state, self.arriving) = (State::Refused(error), None);
        self.altered(error)
    }

    fn altered(&self, error: ContentError) -> Error {
        match error {
            ContentError::NeedsNewerReader => needs_newer_reader(&self.core),
            other => self.core.transport_error(ErrorCode::CipherMismatch, other.to_string()),
        }
    }

    fn too_long(&self) -> Error {
        match self.growth.layout() {
            Some(_) => self.altered(ContentError::Length),
            None => check_chunked_size(&self.core, false, u64::MAX)
                .err()
                .unwrap_or_else(|| self.altered(ContentError::TooLong)),
        }
    }

    fn given_up(&self) -> Error {
        let text = "The upload of the file was given up before its end; ask whoever shares it to share it again.";
        self.core.transport_error(ErrorCode::UploadGivenUp, text)
    }

    fn stalled(&self) -> Error {
        let text = "The upload of the file makes no progress; try again when whoever shares it is connected.";
        self.core.transport_error(ErrorCode::UploadUnfinished, text)
    }
}

/// Whether the connection may only have broken. A follower whose upload is given up sees no more than that.
fn is_passing(error: &BackboneError) -> bool {
    error.is_transient() || matches!(error.status(), Some(408 | 429))
}

type Fetched = (Box<Following>, Result<Option<Vec<u8>>>);
type Fetching = Pin<Box<dyn Future<Output = Fetched> + Send>>;

/// The content of a file as it is uploaded, from its start. Each chunk is authenticated before a byte of it is handed out; the
/// end comes only when the upload has ended and everything has the root that its sender tells then. So whoever reads to the end
/// has the whole content. Holds some MiB, and 64 bytes for each MiB read.
///
/// A broken connection is continued, and a sender that pauses is waited for, for some minutes in all. Errors are [`Error`]
/// inside of the [`io::Error`]: `uploadGivenUp` if the upload has ended without a file, `uploadUnfinished` if it makes no
/// progress, `cipherMismatch` (of the kind [`InvalidData`](io::ErrorKind::InvalidData)) if the bytes are not those that are
/// uploaded. What was handed out before stays valid: it is the start of the content. After errors of the connection, reading goes
/// on with the same byte. Dropping the reader ends the requests; nothing remains.
pub struct GrowingReader {
    /// Behind a lock because a future is not `Sync`; nobody waits for it.
    state: Mutex<Reading>,
    chunk: Vec<u8>,
    /// Bytes of the chunk that were handed out.
    taken: usize,
}

enum Reading {
    Idle(Box<Following>),
    Fetching(Fetching),
    /// A panic ended the fetching.
    Lost,
}

impl GrowingReader {
    fn new(following: Following) -> Self {
        Self { state: Mutex::new(Reading::Idle(Box::new(following))), chunk: Vec::new(), taken: 0 }
    }

    /// The file, which is remembered here now; none before everything was read.
    pub(crate) fn record(&self) -> Option<(FileId, FileRecord)> {
        match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            Reading::Idle(following) => match &following.state {
                State::Verified(record) => Some((following.id.clone(), (**record).clone())),
                State::Growing | State::Ended(_) | State::Refused(_) => None,
            },
            Reading::Fetching(_) | Reading::Lost => None,
        }
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Reading::Idle(_) = state
            && let Reading::Idle(following) = std::mem::replace(state, Reading::Lost)
        {
            *state = Reading::Fetching(Box::pin(fetch(following)));
        }
        let Reading::Fetching(fetching) = state else {
            return Poll::Ready(Err(io::Error::other("the content failed before")));
        };
        let (following, outcome) = ready!(fetching.as_mut().poll(context));
        *state = Reading::Idle(following);
        let chunk = outcome.map_err(super::reader::io_error)?;
        self.taken = 0;
        let is_more = chunk.is_some();
        self.chunk = chunk.unwrap_or_default();
        Poll::Ready(Ok(is_more))
    }
}

async fn fetch(mut following: Box<Following>) -> Fetched {
    let outcome = following.chunk().await;
    (following, outcome)
}

/// Cancel-safe: what was not handed out comes with the next call.
impl AsyncRead for GrowingReader {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if out.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        // The chunk of an empty content is empty.
        while self.taken == self.chunk.len() {
            if !ready!(self.poll_chunk(context))? {
                return Poll::Ready(Ok(()));
            }
        }
        let rest = &self.chunk[self.taken..];
        let length = rest.len().min(out.remaining());
        out.put_slice(&rest[..length]);
        self.taken += length;
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for GrowingReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrowingReader").finish_non_exhaustive()
    }
}
