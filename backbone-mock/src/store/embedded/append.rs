//! Appending to blob files.
//!
//! A failed synchronisation needs no memory of its own here: whoever goes on says behind which synchronised bytes, everything
//! behind them is cut off and written anew, also what the system believes to have written.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use durable::private;

use super::blobs::{BlobFiles, WRITE_SIZE, blocking, interrupted};
use crate::store::contract::{AppendProgress, Appending, BlobAppender, Pending};

/// Appends to a blob file that is in place.
pub(super) struct FileAppender {
    buffer: BytesMut,
    /// `None` while a thread has it.
    sink: Option<Sink>,
    /// Whether something failed since it last went on from somewhere.
    is_broken: bool,
}

/// That nobody else appends to a blob.
struct Turn {
    blobs: BlobFiles,
    name: String,
}

impl Turn {
    fn take(blobs: BlobFiles, name: String) -> Option<Self> {
        let is_free = blobs.appended().insert(name.clone());
        is_free.then(|| Self { blobs, name })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.blobs.appended().remove(&self.name);
    }
}

struct Sink {
    // With the file, which a thread may still write to when nobody waits for it any more.
    turn: Turn,
    file: File,
    path: PathBuf,
    progress: AppendProgress,
}

impl FileAppender {
    pub(super) fn open(blobs: BlobFiles, name: String) -> io::Result<Appending> {
        let path = blobs.path(&name);
        let file = match OpenOptions::new().write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Appending::Missing),
            other => other?,
        };
        let Some(turn) = Turn::take(blobs, name) else { return Ok(Appending::Busy) };
        let sink = Sink { turn, file, path, progress: AppendProgress::default() };
        Ok(Appending::Open(Box::new(Self { buffer: BytesMut::new(), sink: Some(sink), is_broken: false })))
    }

    /// Does something with the file on a thread that may wait for the disk. The file comes back, also if that fails.
    async fn with_sink(&mut self, work: impl FnOnce(&mut Sink) -> io::Result<()> + Send + 'static) -> io::Result<()> {
        let mut sink = self.sink.take().ok_or_else(interrupted)?;
        self.is_broken = true;
        let (done, sink) = blocking(move || Ok((work(&mut sink), sink))).await?;
        self.sink = Some(sink);
        self.is_broken = done.is_err();
        done
    }

    async fn drain(&mut self) -> io::Result<()> {
        if self.is_broken {
            return Err(interrupted());
        }
        let bytes = self.buffer.split().freeze();
        self.with_sink(move |sink| sink.write(&bytes)).await
    }
}

impl Sink {
    fn resume(&mut self, behind: AppendProgress) -> io::Result<()> {
        if self.file.metadata()?.len() < behind.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.set_len(behind.size)?;
        self.file.seek(SeekFrom::Start(behind.size))?;
        self.progress = behind;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        durable::check_room(private::parent_of(&self.path), bytes.len())?;
        self.progress.add(bytes);
        self.file.write_all(bytes)
    }
}

impl BlobAppender for FileAppender {
    fn resume(&mut self, behind: AppendProgress) -> Pending<'_, ()> {
        self.buffer.clear();
        Box::pin(async move { Ok(self.with_sink(move |sink| sink.resume(behind)).await?) })
    }

    fn write(&mut self, bytes: Bytes) -> Pending<'_, ()> {
        Box::pin(async move {
            self.buffer.extend_from_slice(&bytes);
            if self.buffer.len() >= WRITE_SIZE { Ok(self.drain().await?) } else { Ok(()) }
        })
    }

    fn sync(&mut self) -> Pending<'_, AppendProgress> {
        Box::pin(async move {
            self.drain().await?;
            self.with_sink(|sink| sink.file.sync_data()).await?;
            let sink = self.sink.as_ref().ok_or_else(interrupted)?;
            tracing::trace!(blob = sink.turn.name, size = sink.progress.size, "appended");
            Ok(sink.progress.clone())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::poll;

    use super::*;
    use crate::store::contract::Blobs as _;

    #[test]
    fn nobody_else_appends_before_the_last_write_of_somebody_who_went_away() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let files = BlobFiles::open(dir.path()).unwrap();
            let (blob, _) = files.create().await.unwrap().publish().await.unwrap();
            let open = || FileAppender::open(files.clone(), blob.name().to_owned()).unwrap();
            let Appending::Open(mut first) = open() else { panic!("it is free") };
            first.resume(AppendProgress::default()).await.unwrap();
            let (go_on, wait) = mpsc::channel::<()>();
            let busy = tokio::task::spawn_blocking(move || wait.recv());
            let mut writing = first.write(vec![1; WRITE_SIZE].into());
            assert!(poll!(&mut writing).is_pending(), "it waits for its turn to write");
            drop(writing);
            drop(first);
            assert!(matches!(open(), Appending::Busy));
            drop(go_on);
            busy.await.unwrap().unwrap_err();
            blocking(|| Ok(())).await.unwrap();
            assert!(matches!(open(), Appending::Open(_)));
        });
    }
}
