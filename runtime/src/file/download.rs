//! Downloads a file: first the whole ciphertext, into private storage; then every check; only then the first byte of plaintext.
//! While the ciphertext is received, another thread hashes, parses and decodes the piece before.

use std::io::{self, Cursor, Read, Seek as _};
use std::ops::Range;
use std::sync::Arc;

use tokio::task::JoinHandle;
use transport::backbone::UploadContent;
use transport::content::MAX_CONTENT_LENGTH;
use transport::crypto::TAG_LENGTH;
use transport::file::{FileError, FileMetadata, MAX_PLAINTEXT_LENGTH, Opener, ReceivingBody, max_body_length};
use transport::wire::FileId;

use super::chunks::{Access, ContentId};
use super::record::ContentRecord;
use super::spool::{Spool, Storage, temporary_file_error};
use super::upload::Sealed;
use super::verified::{VerifiedContent, VerifiedReader};
use super::{FileReader, FileRecord, Observer, Phase, Progress};
use crate::blocking::{blocking, joined};
use crate::code::ErrorCode;
use crate::core::Core;
use crate::delivery::{self, Delivery as _, Failure, Incoming};
use crate::{Error, Result};

/// Bytes of the body that are hashed and decoded at a time: large enough to be worth another thread, small enough for the
/// cache of the processor.
const PIECE: usize = 128 * 1024;
/// Up to this many bytes of the body are hashed and decoded on the current thread.
const INLINE: usize = 32 * 1024;

/// What is wanted of a file.
pub(crate) enum Wanted {
    /// All bytes in their order.
    Everything,
    /// All bytes in any order.
    Anything,
    /// Some bytes in their order.
    Range(Range<u64>),
}

/// Fetches and verifies the content of a file, or of a file in chunks as much as is needed to begin.
pub(crate) async fn download(
    core: &Arc<Core>,
    id: &FileId,
    record: &FileRecord,
    wanted: Wanted,
    observer: Option<&Observer>,
) -> Result<VerifiedContent> {
    let everything = 0..record.filesize;
    let (range, access) = match wanted {
        Wanted::Everything => (everything, Access::InOrder),
        Wanted::Anything => (everything, Access::Jumping),
        Wanted::Range(range) if range.start <= range.end && range.end <= record.filesize => (range, Access::InOrder),
        Wanted::Range(_) => {
            return Err(Error::InvalidPropertyValue(format!(
                "the range is beyond the {} bytes of the file",
                record.filesize
            )));
        }
    };
    match record.content(core)? {
        ContentRecord::V1(metadata) => {
            let whole = download_whole(core, id, record, &metadata, observer).await?;
            match range.end - range.start == record.filesize {
                true => Ok(whole),
                false => whole.range(range).await.map_err(|error| temporary_file_error(&error)),
            }
        }
        ContentRecord::V2 { root, layout, key } => {
            check_chunked_size(core, record.is_own, record.filesize)?;
            let expires_at = record.expires_at;
            let content = ContentId { id: id.clone(), root, layout, key, expires_at };
            let reader = FileReader::open(core.clone(), &content, range, access, observer).await?;
            Ok(VerifiedContent::in_chunks(reader))
        }
    }
}

async fn download_whole(
    core: &Core,
    id: &FileId,
    record: &FileRecord,
    metadata: &FileMetadata,
    observer: Option<&Observer>,
) -> Result<VerifiedContent> {
    check_size(core, record.is_own, record.filesize)?;
    let arrived = fetch(core, id, record.filesize, observer).await?;
    report(observer, Phase::Verifying, 0, Some(record.filesize));
    let opener = Opener::new(metadata, record.cipher_hash);
    let verified = blocking(move || arrived.open(&opener)).await.map_err(|error| refused(core, error))?;
    report(observer, Phase::Verifying, record.filesize, Some(record.filesize));
    Ok(verified)
}

/// The plaintext of a file that this node has just sealed.
pub(super) async fn reopened(core: &Core, sealed: Sealed) -> Result<VerifiedContent> {
    let Sealed { content, content_key, file } = sealed;
    let metadata = FileMetadata {
        description: None,
        modified_at: None,
        filename: String::new(),
        filesize: file.plaintext_length,
        mimetype: String::new(),
        plaintext_hash: file.plaintext_hash,
        secret_key: content_key,
        tags: None,
        title: None,
    };
    let opener = Opener::new(&metadata, file.cipher_hash);
    let arrival = Box::new(Arrival::new(spool_for(core, file.plaintext_length)?));
    let verified = blocking(move || {
        match content {
            UploadContent::Memory(body) => arrival.take_all(&body[..]),
            UploadContent::File(mut body, length) => {
                body.rewind()?;
                arrival.take_all(body.take(length))
            }
        }
        .and_then(|arrival| arrival.open(&opener))
    });
    verified.await.map_err(|error| refused(core, error))
}

/// Refuses a file that is announced as larger than this node takes.
pub(super) fn check_size(core: &Core, is_own: bool, filesize: u64) -> Result<()> {
    let received = core.config.max_received_file_size;
    let allowed = if is_own { received.max(core.config.max_file_size) } else { received };
    at_most(core, filesize, allowed.min(MAX_PLAINTEXT_LENGTH))
}

/// The same for a file in chunks, of which nothing is stored while it is read: own ones have no other bound than the format.
pub(super) fn check_chunked_size(core: &Core, is_own: bool, filesize: u64) -> Result<()> {
    at_most(core, filesize, if is_own { MAX_CONTENT_LENGTH } else { core.config.max_received_file_size })
}

fn at_most(core: &Core, filesize: u64, allowed: u64) -> Result<()> {
    if filesize <= allowed {
        return Ok(());
    }
    let reason = format!(
        "The file is said to have {filesize} bytes; this node takes {allowed}. If whoever sent it is trusted, raise the \
         setting enlace.maxReceivedFileSize."
    );
    Err(core.transport_error(ErrorCode::MaxFileSizeExceeded, reason))
}

/// A spool for a file, unless it does not fit in memory and the disk has no room for it.
pub(super) fn spool_for(core: &Core, filesize: u64) -> Result<Spool> {
    let (directory, length) = (&core.temporary_directory, filesize.saturating_add(TAG_LENGTH as u64));
    let spool = Spool::expecting(directory.clone(), length);
    let bytes = usize::try_from(length).unwrap_or(usize::MAX);
    if spool.writes_to_disk(bytes) {
        durable::check_room(directory, bytes).map_err(|error| temporary_file_error(&error))?;
    }
    Ok(spool)
}

async fn fetch(core: &Core, id: &FileId, filesize: u64, observer: Option<&Observer>) -> Result<Box<Arrival>> {
    let limit = max_body_length(filesize);
    let spool = spool_for(core, filesize)?;
    let unavailable = |failure| fetch_error(core, failure);
    let mut download = delivery::of(core).file_content(id, limit).await.map_err(unavailable)?;
    let total = Incoming::length(&download);
    let mut taking = Taking::Idle(Box::new(Arrival::new(spool)), Vec::new());
    let mut piece = Vec::new();
    while let Some(chunk) = Incoming::chunk(&mut download).await.map_err(unavailable)? {
        let mut rest = chunk.as_ref();
        while !rest.is_empty() {
            let (fitting, behind) = rest.split_at(rest.len().min(PIECE - piece.len()));
            piece.extend_from_slice(fitting);
            rest = behind;
            if piece.len() == PIECE {
                let (arrival, empty) = taking.finish().await?;
                taking = Taking::start(arrival, std::mem::replace(&mut piece, empty));
            }
        }
        report(observer, Phase::Downloading, download.received(), total);
    }
    let (mut arrival, _) = taking.finish().await?;
    if piece.len() > INLINE || arrival.spool.writes_to_disk(piece.len()) {
        return Ok(Taking::start(arrival, piece).finish().await?.0);
    }
    arrival.take(&piece).map_err(|error| temporary_file_error(&error))?;
    Ok(arrival)
}

/// A body that is being received.
struct Arrival {
    spool: Spool,
    seen: ReceivingBody,
    /// Ciphertext of one piece.
    ciphertext: Vec<u8>,
}

impl Arrival {
    fn new(spool: Spool) -> Self {
        Self { spool, seen: ReceivingBody::new(), ciphertext: Vec::new() }
    }

    fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        self.ciphertext.clear();
        self.seen.push(piece, &mut self.ciphertext);
        self.spool.append(&self.ciphertext)
    }

    /// Takes a whole body.
    fn take_all(mut self: Box<Self>, mut body: impl Read) -> Result<Box<Self>, FileError> {
        let mut piece = vec![0; PIECE];
        loop {
            match body.read(&mut piece) {
                Ok(0) => return Ok(self),
                Ok(length) => self.take(&piece[..length])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn open(mut self, opener: &Opener) -> Result<VerifiedContent, FileError> {
        self.ciphertext.clear();
        let received = self.seen.finish(&mut self.ciphertext);
        self.spool.append(&self.ciphertext)?;
        match self.spool.into_storage() {
            Storage::Memory(ciphertext) => {
                let plaintext = opener.open_in_place(ciphertext, received)?;
                let length = plaintext.len() as u64;
                Ok(VerifiedContent::new(Cursor::new(plaintext), length))
            }
            Storage::File(ciphertext, _) => {
                let file = opener.open_received(ciphertext, received)?;
                let length = file.length();
                Ok(VerifiedContent::new(VerifiedReader::new(file), length))
            }
        }
    }
}

/// A piece that is being processed while the next one is received.
enum Taking {
    /// With a buffer for the next piece.
    Idle(Box<Arrival>, Vec<u8>),
    Busy(JoinHandle<io::Result<(Box<Arrival>, Vec<u8>)>>),
}

impl Taking {
    fn start(mut arrival: Box<Arrival>, mut piece: Vec<u8>) -> Self {
        let take = move || {
            arrival.take(&piece)?;
            piece.clear();
            Ok((arrival, piece))
        };
        Self::Busy(tokio::task::spawn_blocking(take))
    }

    async fn finish(self) -> Result<(Box<Arrival>, Vec<u8>)> {
        let outcome = match self {
            Self::Idle(arrival, buffer) => Ok((arrival, buffer)),
            Self::Busy(mut task) => joined(&mut task).await,
        };
        outcome.map_err(|error| temporary_file_error(&error))
    }
}

fn fetch_error(core: &Core, failure: Failure) -> Error {
    match failure {
        Failure::TooLarge(_) => core.transport_error(
            ErrorCode::CipherMismatch,
            "The backbone sends more bytes than the file has; it is not the one that was uploaded.",
        ),
        other => other.into(),
    }
}

fn refused(core: &Core, error: FileError) -> Error {
    let kind = match &error {
        FileError::Io(error) => return temporary_file_error(error),
        FileError::PlaintextHashMismatch => ErrorCode::PlaintextHashMismatch,
        FileError::InvalidMetadata => ErrorCode::InvalidFileMetadata,
        _ => ErrorCode::CipherMismatch,
    };
    core.transport_error(kind, error.to_string())
}

fn report(observer: Option<&Observer>, phase: Phase, bytes: u64, total: Option<u64>) {
    if let Some(observer) = observer {
        observer(Progress { phase, bytes, total, resumed: 0 });
    }
}
