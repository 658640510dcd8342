//! Contents on their way into a bucket: sealed files in a private directory, each under a key of its own.
//!
//! ```text
//! piece(262144 + 16) piece … last piece(1 to 262144, + 16)
//! ```
//!
//! Each piece is XChaCha20-Poly1305 with its number as the nonce, and a mark on the last one. The keys of parts that have to survive
//! are in the store, which is sealed; those of others are in memory only.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use durable::private::{self, Existing, NewFile};
use futures_util::stream;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio_util::io::StreamReader;
use transport::crypto::{Cipher, CipherNonce, NONCE_LENGTH, SecretKey, TAG_LENGTH, random};

use super::records::PartRecord;
use crate::blocking::blocking;

/// Name of the directory in the data directory.
const DIRECTORY: &str = "parts";
/// Bytes of plaintext that are sealed at a time; what has fewer stays in memory.
const PIECE: usize = 256 * 1024;

/// The directory with parts.
pub(super) fn directory(data_dir: &Path) -> PathBuf {
    data_dir.join(DIRECTORY)
}

/// A content that has arrived.
pub(super) enum Staged {
    Memory(Vec<u8>),
    Disk(Sealed),
}

/// A sealed file that has no name yet: it is removed if it is dropped.
pub(super) struct Sealed {
    file: NewFile,
    name: String,
    key: SecretKey,
    length: u64,
}

/// A part under its name. Removed if it is dropped before it is [kept](Self::keep).
pub(super) struct Published {
    path: PathBuf,
    record: PartRecord,
    is_kept: AtomicBool,
}

/// Why a content was not taken.
#[derive(Debug)]
pub(super) enum Unstaged {
    /// It has more bytes than it may have.
    TooLong,
    /// It cannot be read.
    Unreadable(io::Error),
    /// The disk failed.
    Disk(io::Error),
}

impl Staged {
    /// Takes a content of at most so many bytes.
    pub(super) async fn take(directory: PathBuf, content: impl AsyncRead + Send, most: u64) -> Result<Self, Unstaged> {
        let mut content = std::pin::pin!(content);
        let mut piece = read_piece(&mut content).await?;
        let mut length = piece.len() as u64;
        match (length > most, piece.len() < PIECE) {
            (true, _) => return Err(Unstaged::TooLong),
            (false, true) => return Ok(Self::Memory(piece)),
            (false, false) => {}
        }
        let mut writer = blocking(move || Writer::create(&directory)).await.map_err(Unstaged::Disk)?;
        loop {
            let next = read_piece(&mut content).await?;
            length += next.len() as u64;
            if length > most {
                return Err(Unstaged::TooLong);
            }
            let (sealed, is_last) = (std::mem::take(&mut piece), next.is_empty());
            writer = blocking(move || writer.push(&sealed, is_last)).await.map_err(Unstaged::Disk)?;
            if is_last {
                return Ok(Self::Disk(writer.finish(length)));
            }
            piece = next;
        }
    }

    pub(super) fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::Disk(sealed) => sealed.length,
        }
    }

    /// The plaintext. Nothing of it stays on the disk afterwards.
    pub(super) fn into_source(self) -> Source {
        match self {
            Self::Memory(bytes) => Source::Memory(bytes),
            Self::Disk(sealed) => Source::Staged(sealed),
        }
    }

    /// Gives the content a name that survives a power cut. Blocks.
    pub(super) fn publish(self, directory: &Path) -> io::Result<Published> {
        let sealed = match self {
            Self::Disk(sealed) => sealed,
            Self::Memory(bytes) => Writer::create(directory)?.push(&bytes, true)?.finish(bytes.len() as u64),
        };
        let Sealed { file, name, key, .. } = sealed;
        let published =
            Published { path: file.target().to_owned(), record: PartRecord { name, key }, is_kept: false.into() };
        file.publish(Existing::Refuse)?;
        Ok(published)
    }
}

impl Published {
    pub(super) fn record(&self) -> &PartRecord {
        &self.record
    }

    /// A commit that is about to be submitted names it: it stays, because whoever waits for the commit may not learn whether it took
    /// effect. If it did not, the next start removes the file.
    pub(super) fn keep(&self) {
        self.is_kept.store(true, Ordering::Release);
    }

    /// Its plaintext.
    pub(super) fn source(&self, length: u64) -> Source {
        Source::Named { path: self.path.clone(), key: self.record.key.clone(), length }
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        if !self.is_kept.load(Ordering::Acquire) {
            // What remains is removed at the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl PartRecord {
    /// The plaintext of a part.
    pub(super) fn source(&self, directory: &Path, length: u64) -> Source {
        Source::Named { path: directory.join(&self.name), key: self.key.clone(), length }
    }
}

/// Removes the files of parts that are not in the store any more. Blocks. What cannot be removed is removed at the next start.
pub(super) fn remove(directory: &Path, parts: &[PartRecord]) {
    for part in parts {
        let _ = std::fs::remove_file(directory.join(&part.name));
    }
}

/// Removes all files but those of parts in the store. Blocks.
///
/// # Errors
/// The first one; all other files are removed nevertheless.
pub(super) fn remove_others(directory: &Path, is_known: impl Fn(&str) -> bool) -> io::Result<()> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    let mut outcome = Ok(());
    for entry in entries {
        let removed = entry.and_then(|entry| match entry.file_name().to_str().is_some_and(&is_known) {
            true => Ok(()),
            false => std::fs::remove_file(entry.path()),
        });
        outcome = outcome.and(removed);
    }
    outcome
}

struct Writer {
    file: NewFile,
    directory: PathBuf,
    name: String,
    key: SecretKey,
    pieces: u64,
}

impl Writer {
    fn create(directory: &Path) -> io::Result<Self> {
        private::create_directory(directory)?;
        let name = random::bytes::<16>().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let file = NewFile::create(&directory.join(&name))?;
        Ok(Self { file, directory: directory.to_owned(), name, key: SecretKey::generate(), pieces: 0 })
    }

    fn push(mut self, piece: &[u8], is_last: bool) -> io::Result<Self> {
        durable::check_room(&self.directory, piece.len() + TAG_LENGTH)?;
        let sealed = self.key.encrypt_with_nonce(piece, nonce(self.pieces, is_last));
        self.file.file().write_all(sealed.ciphertext())?;
        self.pieces += 1;
        Ok(self)
    }

    fn finish(self, length: u64) -> Sealed {
        Sealed { file: self.file, name: self.name, key: self.key, length }
    }
}

/// No key seals two pieces with the same number.
fn nonce(piece: u64, is_last: bool) -> [u8; NONCE_LENGTH] {
    let mut nonce = [0; NONCE_LENGTH];
    nonce[..8].copy_from_slice(&piece.to_le_bytes());
    nonce[8] = u8::from(is_last);
    nonce
}

/// A full piece, or the rest; empty at the end.
async fn read_piece(content: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, Unstaged> {
    let mut piece = Vec::new();
    content.take(PIECE as u64).read_to_end(&mut piece).await.map_err(Unstaged::Unreadable)?;
    Ok(piece)
}

/// Where plaintext comes from.
pub(super) enum Source {
    Memory(Vec<u8>),
    Staged(Sealed),
    Named { path: PathBuf, key: SecretKey, length: u64 },
}

/// A source that is being read.
struct Opened {
    file: File,
    key: SecretKey,
    left: u64,
    pieces: u64,
    /// Removes the file when it was read.
    _staged: Option<NewFile>,
}

impl Source {
    fn open(self) -> io::Result<Result<Opened, Bytes>> {
        Ok(match self {
            Self::Memory(bytes) => Err(Bytes::from(bytes)),
            Self::Staged(Sealed { mut file, key, length, .. }) => {
                let mut read = file.file().try_clone()?;
                read.rewind()?;
                Ok(Opened { file: read, key, left: length, pieces: 0, _staged: Some(file) })
            }
            Self::Named { path, key, length } => {
                Ok(Opened { file: File::open(path)?, key, left: length, pieces: 0, _staged: None })
            }
        })
    }
}

impl Opened {
    fn piece(&mut self) -> io::Result<Bytes> {
        let length = self.left.min(PIECE as u64);
        let is_last = length == self.left;
        let mut sealed = vec![0; usize::try_from(length).unwrap_or(PIECE) + TAG_LENGTH];
        self.file.read_exact(&mut sealed)?;
        let cipher = Cipher::new(sealed, CipherNonce::Random(nonce(self.pieces, is_last)));
        let damaged = |_| io::Error::new(io::ErrorKind::InvalidData, "a part of the upload is damaged");
        let plain = self.key.decrypt(&cipher).map_err(damaged)?;
        (self.left, self.pieces) = (self.left - length, self.pieces + 1);
        Ok(Bytes::copy_from_slice(&plain))
    }
}

/// One source after the other. Holds one piece.
pub(super) fn reader(sources: Vec<Source>) -> impl AsyncRead + Send + 'static {
    let start = (VecDeque::from(sources), None);
    let pieces = stream::try_unfold(start, |(sources, opened)| blocking(move || next(sources, opened)));
    StreamReader::new(Box::pin(pieces))
}

type Reading = (VecDeque<Source>, Option<Opened>);

fn next(mut sources: VecDeque<Source>, mut opened: Option<Opened>) -> io::Result<Option<(Bytes, Reading)>> {
    loop {
        if let Some(open) = opened.as_mut().filter(|open| open.left > 0) {
            let piece = open.piece()?;
            return Ok(Some((piece, (sources, opened))));
        }
        let Some(source) = sources.pop_front() else { return Ok(None) };
        match source.open()? {
            Ok(source) => opened = Some(source),
            Err(bytes) => return Ok(Some((bytes, (sources, None)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(length: usize) -> Vec<u8> {
        (0..length).map(|place| (place * 7 % 251) as u8).collect()
    }

    async fn read(sources: Vec<Source>) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        reader(sources).read_to_end(&mut bytes).await?;
        Ok(bytes)
    }

    fn files(directory: &Path) -> usize {
        std::fs::read_dir(directory).map_or(0, Iterator::count)
    }

    #[tokio::test]
    async fn what_was_staged_is_read_and_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 5] {
            let content = content(length);
            let staged = Staged::take(directory.path().into(), content.as_slice(), length as u64).await.unwrap();
            assert_eq!((staged.length(), files(directory.path())), (length as u64, usize::from(length >= PIECE)));
            assert!(read(vec![staged.into_source()]).await.unwrap() == content, "{length}");
            assert_eq!(files(directory.path()), 0);
        }
    }

    #[tokio::test]
    async fn no_more_is_taken_than_the_bound() {
        let directory = tempfile::tempdir().unwrap();
        for most in [0, 10, PIECE, 2 * PIECE] {
            let content = content(most + 1);
            let refused = Staged::take(directory.path().into(), content.as_slice(), most as u64).await;
            assert!(matches!(refused, Err(Unstaged::TooLong)), "{most}");
            assert_eq!(files(directory.path()), 0);
        }
    }

    #[tokio::test]
    async fn published_parts_are_read_one_after_the_other_and_stay() {
        let directory = tempfile::tempdir().unwrap();
        let lengths = [PIECE + 7, 3, 2 * PIECE];
        let (mut records, mut expected) = (Vec::new(), Vec::new());
        for length in lengths {
            let content = content(length);
            let staged = Staged::take(directory.path().into(), content.as_slice(), length as u64).await.unwrap();
            let published = staged.publish(directory.path()).unwrap();
            records.push(published.record().clone());
            published.keep();
            expected.extend(content);
        }
        let sources = || {
            let both = records.iter().zip(lengths);
            both.map(|(part, length)| part.source(directory.path(), length as u64)).collect::<Vec<_>>()
        };
        assert!(read(sources()).await.unwrap() == expected);
        // Nothing in clear, and every change is found.
        for (part, length) in records.iter().zip(lengths) {
            let path = directory.path().join(&part.name);
            let mut bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(3).any(|window| window == [0, 7, 14]));
            private::check(&path, private::FILE_MODE).unwrap();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            let damaged = read(vec![part.source(directory.path(), length as u64)]).await.unwrap_err();
            assert_eq!(damaged.kind(), io::ErrorKind::InvalidData);
            bytes[last] ^= 1;
            bytes.truncate(last);
            std::fs::write(&path, &bytes).unwrap();
            assert!(read(vec![part.source(directory.path(), length as u64)]).await.is_err());
        }
        remove_others(directory.path(), |name| name == records[1].name).unwrap();
        assert_eq!(files(directory.path()), 1);
        remove(directory.path(), &records);
        assert_eq!(files(directory.path()), 0);
    }

    #[tokio::test]
    async fn a_part_that_is_not_kept_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let staged = Staged::take(directory.path().into(), &b"a"[..], 1).await.unwrap();
        let published = staged.publish(directory.path()).unwrap();
        assert_eq!(files(directory.path()), 1);
        drop(published);
        assert_eq!(files(directory.path()), 0);
    }

    #[test]
    fn what_cannot_be_removed_does_not_keep_the_rest() {
        let directory = tempfile::tempdir().unwrap();
        // No file: it cannot be removed as one.
        std::fs::create_dir(directory.path().join("directory")).unwrap();
        for name in ["a", "b", "y", "z"] {
            std::fs::write(directory.path().join(name), "x").unwrap();
        }
        remove_others(directory.path(), |name| name == "b").unwrap_err();
        assert_eq!(files(directory.path()), 2);
    }
}
