//! Blob files: written aside, synced, then renamed into place.
//!
//! Names are random lower-case hex, so that they differ on file systems that ignore case. The first two digits are the
//! folder.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::{Bytes, BytesMut};
use durable::private::{self, Existing, NewFile};
use futures_util::{Stream, StreamExt as _, stream};
use sha2::{Digest, Sha512};
use tokio::task::JoinHandle;

use crate::secrets::random_hex;

/// Bytes that are gathered before they are hashed and written in one go.
const WRITE_SIZE: usize = 256 * 1024;
/// Bytes that are read in one go. Memory for more is mapped and given back for each piece, which costs more than reading it.
const READ_SIZE: usize = 120 * 1024;
const TEMPORARY_FOLDER: &str = "tmp";

/// A folder of blobs.
#[derive(Clone)]
pub(in crate::store) struct Blobs {
    dir: PathBuf,
    /// Blobs in place whose record is not committed yet; the orphan sweep leaves them alone.
    in_flight: Arc<Mutex<HashSet<String>>>,
}

/// What a finished blob turned out to be.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    /// Bytes.
    pub(crate) size: u64,
    /// SHA-512 of the bytes.
    pub(crate) sha512: Vec<u8>,
}

impl Blobs {
    /// Opens a folder of blobs, creates what is missing and removes temporary files of an earlier process.
    pub(in crate::store) fn open(dir: &Path) -> io::Result<Self> {
        let temporary = dir.join(TEMPORARY_FOLDER);
        private::create_directory(&temporary)?;
        for entry in fs::read_dir(&temporary)? {
            fs::remove_file(entry?.path())?;
        }
        private::create_directories(dir, (0..=u8::MAX).map(|first| format!("{first:02x}")))?;
        Ok(Self { dir: dir.to_owned(), in_flight: Arc::default() })
    }

    /// Starts a blob.
    pub(in crate::store) async fn create(&self) -> io::Result<BlobWriter> {
        let blobs = self.clone();
        blocking(move || {
            let name = random_hex();
            let path = blobs.dir.join(TEMPORARY_FOLDER).join(&name);
            let file = NewFile::create_at(path, &blobs.path(&name))?;
            let sink = Sink { file, hash: Sha512::new(), size: 0 };
            Ok(BlobWriter { blobs, name, buffer: BytesMut::new(), sink: Some(sink) })
        })
        .await
    }

    /// Opens a blob and reads its first bytes.
    pub(in crate::store) async fn open_blob(&self, name: &str) -> io::Result<BlobReader> {
        let path = self.path(name);
        blocking(move || {
            let file = OpenOptions::new().read(true).open(path)?;
            let size = file.metadata()?.len();
            let first = read_piece(&file)?;
            Ok(BlobReader { file, size, first })
        })
        .await
    }

    /// Removes a blob. Readers that have it open read on.
    pub(in crate::store) async fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path(name);
        blocking(move || match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        })
        .await
    }

    /// The names of the blobs of a folder, by its number, that are in place and not in flight.
    pub(in crate::store) async fn idle_blobs(&self, folder: u8) -> io::Result<Vec<String>> {
        let blobs = self.clone();
        blocking(move || {
            let mut names = Vec::new();
            for entry in fs::read_dir(blobs.dir.join(format!("{folder:02x}")))? {
                names.extend(entry?.file_name().into_string().ok());
            }
            // A name that is neither in flight nor in a record now was not committed while the folder was read.
            let in_flight = blobs.in_flight();
            names.retain(|name| !in_flight.contains(name));
            Ok(names)
        })
        .await
    }

    fn path(&self, name: &str) -> PathBuf {
        let folder = name.get(..2).unwrap_or(TEMPORARY_FOLDER);
        self.dir.join(folder).join(name)
    }

    fn in_flight(&self) -> MutexGuard<'_, HashSet<String>> {
        self.in_flight.lock().expect("no code panics while it holds the lock")
    }
}

/// The bytes of a blob.
pub(crate) struct BlobReader {
    file: File,
    size: u64,
    first: Vec<u8>,
}

impl BlobReader {
    /// Bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The bytes in pieces, each of which is read while the one before it is sent. Ends after an error.
    pub(crate) fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        let Self { file, first, .. } = self;
        let second = following(&first, file);
        let rest = stream::try_unfold(second, |reading| async {
            let Some(reading) = reading else { return Ok(None) };
            let (file, piece) = reading.await.map_err(io::Error::other)??;
            let next = following(&piece, file);
            Ok((!piece.is_empty()).then(|| (Bytes::from(piece), next)))
        });
        stream::iter((!first.is_empty()).then(|| Ok(first.into()))).chain(rest)
    }
}

/// A piece that is being read, and the file to read on.
type Reading = JoinHandle<io::Result<(File, Vec<u8>)>>;

/// Starts to read on, unless this piece was the last one.
fn following(piece: &[u8], file: File) -> Option<Reading> {
    let read = move || read_piece(&file).map(|piece| (file, piece));
    (piece.len() == READ_SIZE).then(|| tokio::task::spawn_blocking(read))
}

/// A full piece, or what is left; empty at the end.
fn read_piece(file: &File) -> io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(READ_SIZE);
    file.take(READ_SIZE as u64).read_to_end(&mut piece)?;
    Ok(piece)
}

/// Takes the bytes of a new blob, in constant memory. Dropped before [`publish`](Self::publish), it leaves nothing.
pub(crate) struct BlobWriter {
    blobs: Blobs,
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
}

impl BlobWriter {
    /// Appends bytes.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> io::Result<()> {
        self.buffer.extend_from_slice(&bytes);
        if self.buffer.len() >= WRITE_SIZE { self.drain().await } else { Ok(()) }
    }

    /// Syncs the bytes to disk and puts them in their place.
    pub(crate) async fn publish(mut self) -> io::Result<(PublishedBlob, Written)> {
        self.drain().await?;
        let sink = self.sink.take().ok_or_else(interrupted)?;
        let blob = PublishedBlob { blobs: self.blobs.clone(), name: self.name.clone(), kept: false };
        self.blobs.in_flight().insert(blob.name.clone());
        let written = blocking(move || {
            // The name is random: nothing is replaced.
            sink.file.publish(Existing::Replace)?;
            Ok(Written { size: sink.size, sha512: sink.hash.finalize().to_vec() })
        })
        .await?;
        Ok((blob, written))
    }

    async fn drain(&mut self) -> io::Result<()> {
        let mut sink = self.sink.take().ok_or_else(interrupted)?;
        let bytes = self.buffer.split().freeze();
        let sink = blocking(move || sink.write(&bytes).map(|()| sink)).await?;
        self.sink = Some(sink);
        Ok(())
    }
}

/// A blob that is in place and on disk. Dropped before [`keep`](Self::keep), its file goes.
pub(crate) struct PublishedBlob {
    blobs: Blobs,
    name: String,
    kept: bool,
}

impl PublishedBlob {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Says that a record which names it was submitted. Drop the result when that is certain: until then no sweep removes it.
    pub(in crate::store) fn keep(mut self) -> Self {
        self.kept = true;
        self
    }
}

impl Drop for PublishedBlob {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(self.blobs.path(&self.name));
        }
        self.blobs.in_flight().remove(&self.name);
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn interrupted() -> io::Error {
    io::Error::other("an earlier write to this blob failed")
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;

    use super::*;

    #[tokio::test]
    async fn blobs_of_every_length_around_a_piece_are_read_as_they_were_written() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path()).unwrap();
        for length in [0, 1, READ_SIZE - 1, READ_SIZE, READ_SIZE + 1, 3 * READ_SIZE, 3 * READ_SIZE + 7] {
            let bytes: Vec<u8> = (0..length).map(|place| u8::try_from(place % 251).unwrap()).collect();
            let mut writer = blobs.create().await.unwrap();
            writer.write(bytes.clone().into()).await.unwrap();
            let (blob, _) = writer.publish().await.unwrap();
            let reader = blobs.open_blob(blob.name()).await.unwrap();
            assert_eq!(reader.size(), length as u64);
            let pieces: Vec<Bytes> = reader.into_stream().try_collect().await.unwrap();
            assert!(pieces.iter().all(|piece| !piece.is_empty()), "{length}");
            assert!(pieces.concat() == bytes, "{length}");
        }
    }
}
