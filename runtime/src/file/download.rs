//! Downloading: the whole ciphertext first, into private storage; then every check; only then the first byte of plaintext.
//! What can be checked while the ciphertext arrives, its hash and its structure, is.

use std::io::{self, Cursor, Read as _};

use transport::backbone;
use transport::file::{FileError, Opener, ReceivingBody, sealed_length};
use transport::wire::FileId;

use super::FileRecord;
use super::spool::{Spool, temporary_file_error};
use super::verified::VerifiedReader;
use crate::blocking::blocking;
use crate::error::TransportError;
use crate::facade::{Observer, Phase, Progress, VerifiedContent};
use crate::runtime::Node;
use crate::{Error, Result};

/// What another writer's JSON text may be longer than ours: long member names, white space.
const FRAME_SLACK: u64 = 64 * 1024;
/// Ciphertext that is hashed and written in one go.
const PIECE: usize = 256 * 1024;
/// Ciphertext that is hashed without handing it to another thread.
const INLINE: usize = 32 * 1024;
/// Plaintext up to here is decrypted at once, more of it while it is read.
const AT_ONCE: u64 = 256 * 1024;

/// Fetches and verifies the content of a file.
pub(crate) async fn download(
    node: &Node,
    id: &FileId,
    record: &FileRecord,
    observer: Option<&Observer>,
) -> Result<VerifiedContent> {
    let arrived = fetch(node, id, record.filesize, observer).await?;
    report(observer, Phase::Verifying, 0, Some(record.filesize));
    let opener = Opener::new(&record.metadata(), record.cipher_hash);
    let verified = blocking(move || verify(&opener, arrived)).await.map_err(|error| refused(node, error))?;
    report(observer, Phase::Verifying, record.filesize, Some(record.filesize));
    Ok(verified)
}

async fn fetch(node: &Node, id: &FileId, filesize: u64, observer: Option<&Observer>) -> Result<Arrival> {
    let limit = sealed_length(filesize).saturating_add(FRAME_SLACK);
    let unavailable = |error| fetch_error(node, error);
    let mut download = node.account.session().download_file(id, limit).await.map_err(unavailable)?;
    let total = download.length();
    let mut arrival = Arrival::new(Spool::new(node.temporary_directory.clone()));
    let mut piece = Vec::new();
    while let Some(chunk) = download.chunk().await.map_err(unavailable)? {
        piece.extend_from_slice(&chunk);
        if piece.len() >= PIECE {
            (arrival, piece) = take(arrival, piece).await?;
        }
        report(observer, Phase::Downloading, download.received(), total);
    }
    Ok(take(arrival, piece).await?.0)
}

/// The ciphertext as far as it came.
struct Arrival {
    spool: Spool,
    seen: ReceivingBody,
}

impl Arrival {
    fn new(spool: Spool) -> Self {
        Self { spool, seen: ReceivingBody::new() }
    }

    fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        self.seen.push(piece);
        self.spool.append(piece)
    }
}

/// Gives the buffer back, empty.
async fn take(mut arrival: Arrival, mut piece: Vec<u8>) -> Result<(Arrival, Vec<u8>)> {
    let outcome = if piece.len() > INLINE || arrival.spool.writes_to_disk(piece.len()) {
        blocking(move || arrival.take(&piece).map(|()| (arrival, piece))).await
    } else {
        arrival.take(&piece).map(|()| (arrival, piece))
    };
    (arrival, piece) = outcome.map_err(|error| temporary_file_error(&error))?;
    piece.clear();
    Ok((arrival, piece))
}

fn verify(opener: &Opener, arrival: Arrival) -> Result<VerifiedContent, FileError> {
    let mut file = opener.open_received(arrival.spool.into_reader(), arrival.seen.finish())?;
    let length = file.length();
    if length > AT_ONCE {
        return Ok(VerifiedContent::new(VerifiedReader::new(file), length));
    }
    let mut plaintext = Vec::new();
    file.read_to_end(&mut plaintext)?;
    Ok(VerifiedContent::new(Cursor::new(plaintext), length))
}

fn fetch_error(node: &Node, error: backbone::Error) -> Error {
    match error {
        backbone::Error::AnswerTooLarge { .. } => node.transport_error(
            TransportError::CipherMismatch,
            "The backbone sends more bytes than the file has; it is not the one that was uploaded.",
        ),
        other => other.into(),
    }
}

fn refused(node: &Node, error: FileError) -> Error {
    let kind = match &error {
        FileError::Io(error) => return temporary_file_error(error),
        FileError::PlaintextHashMismatch => TransportError::PlaintextHashMismatch,
        FileError::InvalidMetadata => TransportError::InvalidFileMetadata,
        _ => TransportError::CipherMismatch,
    };
    node.transport_error(kind, error.to_string())
}

fn report(observer: Option<&Observer>, phase: Phase, bytes: u64, total: Option<u64>) {
    if let Some(observer) = observer {
        observer(Progress { phase, bytes, total });
    }
}
