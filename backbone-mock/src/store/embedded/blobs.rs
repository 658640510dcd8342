//! Blob files: written to a temporary name, flushed, then renamed.
//!
//! Names are random lower-case hex, so that they differ on file systems that ignore case. The first two digits are the
//! folder.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Take, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::{Bytes, BytesMut};
use durable::private::{self, Existing, NewFile};
use futures_util::{Stream, StreamExt as _, stream};
use sha2::{Digest, Sha512};
use tokio::task::JoinHandle;
use tokio_util::io::StreamReader;

use crate::error::StoreError;
use crate::secrets::random_hex;
use crate::store::contract::{
    Appending, BlobReader, BlobWriter, Blobs, Claim, Pending, PublishedBlob, READ_SIZE, Unclaimed, Written,
};
use crate::store::embedded::append::FileAppender;

/// Bytes that are gathered before they are hashed and written in one go.
pub(super) const WRITE_SIZE: usize = 256 * 1024;
const TEMPORARY_FOLDER: &str = "tmp";

/// A folder of blobs.
#[derive(Clone)]
pub(super) struct BlobFiles {
    dir: PathBuf,
    /// Published blobs whose record is not committed yet. The sweep does not remove them.
    claimed: Arc<Mutex<HashSet<String>>>,
    /// Blobs that somebody appends to.
    appended: Arc<Mutex<HashSet<String>>>,
}

impl BlobFiles {
    /// Opens a folder of blobs, creates what is missing and removes temporary files of an earlier process.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let temporary = dir.join(TEMPORARY_FOLDER);
        private::create_directory(&temporary)?;
        for entry in fs::read_dir(&temporary)? {
            fs::remove_file(entry?.path())?;
        }
        private::create_directories(dir, (0..=u8::MAX).map(|first| format!("{first:02x}")))?;
        Ok(Self { dir: dir.to_owned(), claimed: Arc::default(), appended: Arc::default() })
    }

    fn start(self) -> io::Result<FileWriter> {
        let name = random_hex();
        let path = self.dir.join(TEMPORARY_FOLDER).join(&name);
        let file = NewFile::create_at(path, &self.path(&name))?;
        let sink = Sink { file, hash: Sha512::new(), size: 0 };
        Ok(FileWriter { blobs: self, name, buffer: BytesMut::new(), sink: Some(sink) })
    }

    fn unclaimed_in(&self, folder: u8) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.dir.join(format!("{folder:02x}")))? {
            names.extend(entry?.file_name().into_string().ok());
        }
        // A name that is neither claimed nor in a record now was not committed while the folder was read.
        let claimed = self.claimed();
        names.retain(|name| !claimed.contains(name));
        Ok(names)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        let folder = name.get(..2).unwrap_or(TEMPORARY_FOLDER);
        self.dir.join(folder).join(name)
    }

    /// Who appends to which blob.
    pub(super) fn appended(&self) -> MutexGuard<'_, HashSet<String>> {
        self.appended.lock().expect("no code panics while it holds the lock")
    }

    fn claimed(&self) -> MutexGuard<'_, HashSet<String>> {
        self.claimed.lock().expect("no code panics while it holds the lock")
    }
}

impl Blobs for BlobFiles {
    fn create(&self) -> Pending<'_, Box<dyn BlobWriter>> {
        let blobs = self.clone();
        Box::pin(async { Ok(Box::new(blocking(move || blobs.start()).await?) as Box<dyn BlobWriter>) })
    }

    /// Reads the first bytes, too.
    fn open_part<'a>(&'a self, name: &'a str, offset: u64, length: u64) -> Pending<'a, Option<BlobReader>> {
        let path = self.path(name);
        Box::pin(async move {
            let opened = blocking(move || {
                let mut file = OpenOptions::new().read(true).open(path)?;
                let size = file.metadata()?.len();
                let length = size.saturating_sub(offset).min(length);
                file.seek(SeekFrom::Start(offset.min(size)))?;
                let mut part = file.take(length);
                Ok((length, read_piece(&mut part)?, part))
            });
            match opened.await {
                Ok((size, first, part)) => {
                    Ok(Some(BlobReader::new(size, StreamReader::new(Box::pin(pieces(first, part))))))
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
    }

    fn append<'a>(&'a self, name: &'a str) -> Pending<'a, Appending> {
        let (blobs, name) = (self.clone(), name.to_owned());
        Box::pin(async { Ok(blocking(move || FileAppender::open(blobs, name)).await?) })
    }

    fn delete<'a>(&'a self, name: &'a str) -> Pending<'a, ()> {
        let path = self.path(name);
        Box::pin(async {
            match blocking(move || fs::remove_file(path)).await {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                other => Ok(other?),
            }
        })
    }

    /// Steps are folders: names are random, so each has about one of 256 blobs.
    fn unclaimed<'a>(&'a self, after: Option<&'a str>) -> Pending<'a, Unclaimed> {
        Box::pin(async move {
            let folder = after.map_or(Some(0), |folder| u8::from_str_radix(folder, 16).ok()?.checked_add(1));
            let Some(folder) = folder else { return Ok(Unclaimed { names: Vec::new(), next: None }) };
            let blobs = self.clone();
            let names = blocking(move || blobs.unclaimed_in(folder)).await?;
            Ok(Unclaimed { names, next: (folder < u8::MAX).then(|| format!("{folder:02x}")) })
        })
    }
}

/// The bytes in pieces, each of which is read while the one before it is sent. Ends after an error.
fn pieces(first: Vec<u8>, part: Take<File>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let second = following(&first, part);
    let rest = stream::try_unfold(second, |reading| async {
        let Some(reading) = reading else { return Ok(None) };
        let (part, piece) = reading.await.map_err(io::Error::other)??;
        let next = following(&piece, part);
        Ok((!piece.is_empty()).then(|| (Bytes::from(piece), next)))
    });
    stream::iter((!first.is_empty()).then(|| Ok(first.into()))).chain(rest)
}

/// A piece that is being read, and what is left to read.
type Reading = JoinHandle<io::Result<(Take<File>, Vec<u8>)>>;

/// Starts to read on, unless this piece was the last one.
fn following(piece: &[u8], mut part: Take<File>) -> Option<Reading> {
    let read = move || read_piece(&mut part).map(|piece| (part, piece));
    (piece.len() == READ_SIZE).then(|| tokio::task::spawn_blocking(read))
}

/// A full piece, or what is left; empty at the end.
fn read_piece(part: &mut Take<File>) -> io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(usize::try_from(part.limit()).unwrap_or(READ_SIZE).min(READ_SIZE));
    part.by_ref().take(READ_SIZE as u64).read_to_end(&mut piece)?;
    Ok(piece)
}

/// Takes the bytes of a new blob.
struct FileWriter {
    blobs: BlobFiles,
    name: String,
    buffer: BytesMut,
    sink: Option<Sink>,
}

struct Sink {
    file: NewFile,
    hash: Sha512,
    size: u64,
}

impl Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        durable::check_room(private::parent_of(self.file.target()), bytes.len())?;
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        self.file.file().write_all(bytes)
    }

    fn publish(self) -> io::Result<Written> {
        // The name is random: nothing is replaced.
        self.file.publish(Existing::Replace)?;
        Ok(Written { size: self.size, sha512: self.hash.finalize().to_vec() })
    }
}

impl FileWriter {
    async fn drain(&mut self) -> Result<(), StoreError> {
        let mut sink = self.sink.take().ok_or_else(interrupted)?;
        let bytes = self.buffer.split().freeze();
        let sink = blocking(move || sink.write(&bytes).map(|()| sink)).await?;
        self.sink = Some(sink);
        Ok(())
    }
}

impl BlobWriter for FileWriter {
    fn write(&mut self, bytes: Bytes) -> Pending<'_, ()> {
        Box::pin(async move {
            self.buffer.extend_from_slice(&bytes);
            if self.buffer.len() >= WRITE_SIZE { self.drain().await } else { Ok(()) }
        })
    }

    fn publish(mut self: Box<Self>) -> Pending<'static, (PublishedBlob, Written)> {
        Box::pin(async move {
            self.drain().await?;
            let sink = self.sink.take().ok_or_else(interrupted)?;
            let claim = FileClaim { blobs: self.blobs.clone(), name: self.name.clone(), is_kept: false };
            self.blobs.claimed().insert(claim.name.clone());
            // The thread owns the claim until the file is renamed: if the caller has stopped waiting, the claim removes the file.
            let (claim, written) = blocking(move || sink.publish().map(|written| (claim, written))).await?;
            Ok((PublishedBlob::new(self.name, claim), written))
        })
    }
}

/// A blob that is in place and on disk.
struct FileClaim {
    blobs: BlobFiles,
    name: String,
    is_kept: bool,
}

impl Claim for FileClaim {
    fn keep(&mut self) {
        self.is_kept = true;
    }
}

impl Drop for FileClaim {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = fs::remove_file(self.blobs.path(&self.name));
        }
        self.blobs.claimed().remove(&self.name);
    }
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

pub(super) fn interrupted() -> io::Error {
    io::Error::other("an earlier write to this blob failed")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::poll;
    use tokio::sync::oneshot;

    use super::*;

    fn files_below(dir: &Path) -> usize {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| if path.is_dir() { files_below(&path) } else { 1 }).sum()
    }

    /// Returns when everything has run that was given to the only blocking thread before.
    async fn all_has_run() {
        blocking(|| Ok(())).await.unwrap();
    }

    /// Keeps the only blocking thread busy until the sender is dropped. The receiver learns when it has begun.
    fn hold_the_thread() -> (mpsc::Sender<()>, oneshot::Receiver<()>) {
        let (until, held) = mpsc::channel();
        let (begin, begun) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            let _ = begin.send(());
            let _ = held.recv();
        });
        (until, begun)
    }

    #[test]
    fn a_cancelled_publication_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let files = BlobFiles::open(dir.path()).unwrap();
            let mut writer = files.create().await.unwrap();
            writer.write(vec![1; 100].into()).await.unwrap();
            let mut publishing = writer.publish();
            let (first, begun) = hold_the_thread();
            begun.await.unwrap();
            assert!(poll!(&mut publishing).is_pending(), "its write is behind the first");
            let (second, begun) = hold_the_thread();
            drop(first);
            begun.await.unwrap();
            assert!(
                poll!(&mut publishing).is_pending(),
                "it has written and waits behind the second for its turn to rename"
            );
            drop(publishing);
            drop(second);
            all_has_run().await;
            assert_eq!((files_below(dir.path()), files.claimed().len()), (0, 0));
        });
    }
}
