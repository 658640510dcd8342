//! Downloads a file: first the whole ciphertext, into private storage; then every check; only then the first byte of plaintext.
//! While the ciphertext is received, another thread hashes, parses and decodes the piece before.

use std::io::{self, Cursor, Read, Seek as _};
use std::ops::Range;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::info;
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
use crate::delivery::claims::{self, Loading};
use crate::delivery::{self, Delivery as _, Failure, Incoming, Retries};
use crate::peer::{PathLog, Sender};
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
    core: &Arc<Core>,
    id: &FileId,
    record: &FileRecord,
    metadata: &FileMetadata,
    observer: Option<&Observer>,
) -> Result<VerifiedContent> {
    check_size(core, record.is_own, record.filesize)?;
    let paths = PathLog::default();
    let mut may_mix = true;
    loop {
        let whole = fetch(core, id, record.filesize, observer, &paths, may_mix).await?;
        report(observer, Phase::Verifying, 0, Some(record.filesize), &paths);
        let (opener, arrived) = (Opener::new(metadata, record.cipher_hash), whole.arrival);
        let error = match blocking(move || arrived.open(&opener)).await {
            Ok(verified) => {
                report(observer, Phase::Verifying, record.filesize, Some(record.filesize), &paths);
                whole.by.iter().for_each(|by| core.routes.worked(id, by.origin));
                claims::verified(core, id);
                return Ok(verified.by(paths));
            }
            Err(error) => error,
        };
        let can_be_fetched_again = match (&error, whole.by) {
            (FileError::Io(_), _) => false,
            (_, Some(by)) => delivery::dropped(&core.events, &core.routes, id, by, &error),
            // Who of them sent wrong bytes shows if one sends all.
            (_, None) => whole.is_mixed && std::mem::take(&mut may_mix),
        };
        if !can_be_fetched_again {
            return Err(refused(core, error));
        }
    }
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

/// A body that has arrived.
struct Whole {
    arrival: Box<Arrival>,
    /// Who sent all of it, and by which path the end; none if several did, or if there is nothing.
    by: Option<Sender>,
    is_mixed: bool,
}

/// Receives a body. If whoever sends it fails, it goes on behind what has arrived with whoever else can be asked; or begins again, if
/// one is to send all.
async fn fetch(
    core: &Arc<Core>,
    id: &FileId,
    filesize: u64,
    observer: Option<&Observer>,
    paths: &PathLog,
    may_mix: bool,
) -> Result<Whole> {
    let mut receiving = Receiving::new(core, filesize)?;
    let mut loading = Loading::of(core.clone(), id.clone());
    let (mut retries, mut most_received) = (Retries::default(), 0);
    loop {
        let failure = match receive(core, id, &mut receiving, observer, paths, &mut loading).await {
            Ok(()) => return receiving.finish().await,
            Err(Interrupted::Here(error)) => return Err(error),
            Err(Interrupted::There(by, failure)) => {
                if by.is_some_and(|by| was_wrong(core, id, by, &failure)) {
                    receiving = Receiving::new(core, filesize)?;
                    continue;
                }
                failure
            }
        };
        // Bytes that are received again are no progress.
        if receiving.received > most_received {
            most_received = receiving.received;
            retries.reset();
        }
        // Without a route there is nobody else, and whoever asked for the file decides about another attempt.
        if !core.routes.is_any_ready(id, Instant::now()) || !retries.go_on() {
            return Err(fetch_error(core, failure));
        }
        info!(error = %failure.error(), file = crate::logging::short(id), "a download is continued");
        if !may_mix {
            receiving = Receiving::new(core, filesize)?;
        }
    }
}

/// Why a body did not arrive.
enum Interrupted {
    /// It cannot be kept.
    Here(Error),
    /// Who sent the last bytes, and why there are no more.
    There(Option<Sender>, Failure),
}

/// Whether whoever sent bytes sends what no honest one does, and somebody else can be asked.
fn was_wrong(core: &Core, id: &FileId, by: Sender, failure: &Failure) -> bool {
    let is_wrong = match failure {
        Failure::TooLarge(_) => true,
        Failure::Failed(Error::Undelivered(error)) => error.is_lie(),
        _ => false,
    };
    is_wrong && delivery::dropped(&core.events, &core.routes, id, by, failure.error())
}

/// Receives the rest of a body from one sender.
async fn receive(
    core: &Core,
    id: &FileId,
    receiving: &mut Receiving,
    observer: Option<&Observer>,
    paths: &PathLog,
    loading: &mut Loading,
) -> Result<(), Interrupted> {
    let (limit, position) = (receiving.limit, receiving.received);
    let by = delivery::of(core);
    let asked = match position {
        0 => by.file_content(id, limit).await,
        _ => by.file_range(id, position..limit, limit).await,
    };
    let mut arriving = asked.map_err(|failure| Interrupted::There(None, failure))?;
    let total = arriving.length().map(|length| length + arriving.offset());
    let mut skipped = position.saturating_sub(arriving.offset());
    loop {
        let (path, sender) = (arriving.path(), arriving.sender());
        let chunk = match Incoming::chunk(&mut arriving).await {
            Ok(Some(chunk)) => chunk,
            Ok(None) if skipped > 0 => {
                let text = "it has fewer bytes than before".to_owned();
                core.routes.failed(id, path.origin(), Instant::now());
                return Err(Interrupted::There(Some(sender), Failure::Failed(Error::Unknown(text))));
            }
            Ok(None) => return Ok(()),
            Err(failure) => {
                core.routes.failed(id, path.origin(), Instant::now());
                return Err(Interrupted::There(Some(sender), failure));
            }
        };
        paths.add(path, chunk.len() as u64);
        loading.arrived(Some(path));
        // Who sends everything begins with what is here.
        let known = skipped.min(chunk.len() as u64);
        skipped -= known;
        let new = chunk.get(usize::try_from(known).unwrap_or(usize::MAX)..).unwrap_or_default();
        receiving.take(new, sender).await.map_err(Interrupted::Here)?;
        report(observer, Phase::Downloading, receiving.received, total, paths);
    }
}

/// A body that is being received, with the piece that is not complete.
struct Receiving {
    taking: Option<Taking>,
    piece: Vec<u8>,
    received: u64,
    limit: u64,
    by: Option<Sender>,
    is_mixed: bool,
}

impl Receiving {
    fn new(core: &Core, filesize: u64) -> Result<Self> {
        let taking = Some(Taking::Idle(Box::new(Arrival::new(spool_for(core, filesize)?)), Vec::new()));
        let limit = max_body_length(filesize);
        Ok(Self { taking, piece: Vec::new(), received: 0, limit, by: None, is_mixed: false })
    }

    async fn take(&mut self, mut rest: &[u8], sender: Sender) -> Result<()> {
        self.is_mixed |= self.by.is_some_and(|by| !by.is(&sender));
        self.by = Some(sender);
        self.received += rest.len() as u64;
        while !rest.is_empty() {
            let (fitting, behind) = rest.split_at(rest.len().min(PIECE - self.piece.len()));
            self.piece.extend_from_slice(fitting);
            rest = behind;
            if self.piece.len() == PIECE {
                let (arrival, empty) = self.taken().await?;
                self.taking = Some(Taking::start(arrival, std::mem::replace(&mut self.piece, empty)));
            }
        }
        Ok(())
    }

    /// Waits for the piece that is being processed.
    async fn taken(&mut self) -> Result<(Box<Arrival>, Vec<u8>)> {
        let gone = || Error::Unknown("the download was given up before".to_owned());
        self.taking.take().ok_or_else(gone)?.finish().await
    }

    async fn finish(mut self) -> Result<Whole> {
        let (mut arrival, _) = self.taken().await?;
        let by = self.by.filter(|_| !self.is_mixed);
        if self.piece.len() > INLINE || arrival.spool.writes_to_disk(self.piece.len()) {
            arrival = Taking::start(arrival, self.piece).finish().await?.0;
        } else {
            arrival.take(&self.piece).map_err(|error| temporary_file_error(&error))?;
        }
        Ok(Whole { arrival, by, is_mixed: self.is_mixed })
    }
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

fn report(observer: Option<&Observer>, phase: Phase, bytes: u64, total: Option<u64>, paths: &PathLog) {
    if let Some(observer) = observer {
        let path = paths.last().filter(|_| phase == Phase::Downloading);
        observer(Progress { phase, bytes, total, resumed: 0, path });
    }
}
