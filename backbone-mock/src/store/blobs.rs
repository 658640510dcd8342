//! Blob files: written aside, synced, then renamed into place.
//!
//! Names are random lower-case hex, so that they differ on file systems that ignore case. The first two digits are the
//! folder.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::{Bytes, BytesMut};
use durable::private::{self, Existing, NewFile};
use sha2::{Digest, Sha512};

use crate::secrets::random_hex;

/// Bytes that are gathered before they are hashed and written in one go.
const WRITE_SIZE: usize = 256 * 1024;
const TEMPORARY_FOLDER: &str = "tmp";

/// A folder of blobs.
#[derive(Clone)]
pub(super) struct Blobs {
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
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let temporary = dir.join(TEMPORARY_FOLDER);
        private::create_directory(&temporary)?;
        for entry in fs::read_dir(&temporary)? {
            fs::remove_file(entry?.path())?;
        }
        private::create_directories(dir, (0..=u8::MAX).map(|first| format!("{first:02x}")))?;
        Ok(Self { dir: dir.to_owned(), in_flight: Arc::default() })
    }

    /// Starts a blob.
    pub(super) async fn create(&self) -> io::Result<BlobWriter> {
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

    /// Opens a blob, with its size in bytes.
    pub(super) async fn open_blob(&self, name: &str) -> io::Result<(tokio::fs::File, u64)> {
        let path = self.path(name);
        let (file, size) = blocking(move || {
            let file = OpenOptions::new().read(true).open(path)?;
            let size = file.metadata()?.len();
            Ok((file, size))
        })
        .await?;
        Ok((tokio::fs::File::from_std(file), size))
    }

    /// Removes a blob. Readers that have it open read on.
    pub(super) async fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path(name);
        blocking(move || match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        })
        .await
    }

    /// The names of the blobs of a folder, by its number, that are in place and not in flight.
    pub(super) async fn idle_blobs(&self, folder: u8) -> io::Result<Vec<String>> {
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
    pub(super) fn keep(mut self) -> Self {
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
