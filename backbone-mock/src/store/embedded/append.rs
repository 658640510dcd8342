//! Appending to blob files.
//!
//! A failed synchronisation needs no memory of its own here: whoever goes on says behind which synchronised bytes, everything
//! behind them is cut off and written anew, also what the system believes to have written.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use durable::private;
use tokio::task::JoinHandle;

use super::blobs::{BlobFiles, WRITE_SIZE, interrupted};
use crate::store::contract::{AppendProgress, Appending, BlobAppender, Pending};

/// Appends to a blob file that is in place. While bytes are hashed and written on one thread, the next ones are collected.
pub(super) struct FileAppender {
    /// Bytes that come behind those that are being written.
    buffer: BytesMut,
    sink: Place,
    /// Whether something failed since it last went on from somewhere.
    is_broken: bool,
}

/// Where the file is.
enum Place {
    Here(Box<Sink>),
    /// On a thread, from which it comes back with what became of its work.
    Busy(JoinHandle<(Box<Sink>, io::Result<()>)>),
    /// The thread panicked.
    Lost,
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
        let sink = Place::Here(Box::new(Sink { turn, file, path, progress: AppendProgress::default() }));
        Ok(Appending::Open(Box::new(Self { buffer: BytesMut::new(), sink, is_broken: false })))
    }

    /// Gives the file to a thread that may wait for the disk, once the one before has given it back. What becomes of that is known
    /// at the next call.
    async fn begin(&mut self, work: impl FnOnce(&mut Sink) -> io::Result<()> + Send + 'static) -> io::Result<()> {
        self.settle().await?;
        let Place::Here(mut sink) = std::mem::replace(&mut self.sink, Place::Lost) else { return Err(interrupted()) };
        self.sink = Place::Busy(tokio::task::spawn_blocking(move || {
            let done = work(&mut sink);
            (sink, done)
        }));
        Ok(())
    }

    /// Waits until the file is here. Says what became of the work before, unless that was said already.
    async fn settle(&mut self) -> io::Result<()> {
        let Place::Busy(working) = &mut self.sink else { return Ok(()) };
        let ended = working.await.map_err(io::Error::other);
        self.is_broken = !matches!(ended, Ok((_, Ok(()))));
        let (sink, done) = ended.inspect_err(|_| self.sink = Place::Lost)?;
        self.sink = Place::Here(sink);
        done
    }

    async fn drain(&mut self) -> io::Result<()> {
        self.settle().await?;
        if self.is_broken {
            return Err(interrupted());
        }
        let bytes = self.buffer.split().freeze();
        self.begin(move |sink| sink.write(&bytes)).await
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
        Box::pin(async move {
            // What failed before is cut off.
            let _ = self.settle().await;
            self.begin(move |sink| sink.resume(behind)).await?;
            Ok(self.settle().await?)
        })
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
            self.begin(|sink| sink.file.sync_data()).await?;
            self.settle().await?;
            let Place::Here(sink) = &self.sink else { return Err(interrupted().into()) };
            tracing::trace!(blob = sink.turn.name, size = sink.progress.size, "appended");
            Ok(sink.progress.clone())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::blobs::blocking;
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
            first.write(vec![1; WRITE_SIZE].into()).await.unwrap();
            // The bytes wait for a thread that writes them.
            drop(first);
            assert!(matches!(open(), Appending::Busy));
            drop(go_on);
            busy.await.unwrap().unwrap_err();
            blocking(|| Ok(())).await.unwrap();
            assert!(matches!(open(), Appending::Open(_)));
        });
    }
    #[tokio::test]
    async fn a_write_that_fails_is_told_before_anything_behind_it_counts() {
        let dir = tempfile::tempdir().unwrap();
        let files = BlobFiles::open(dir.path()).unwrap();
        let (blob, _) = files.create().await.unwrap().publish().await.unwrap();
        let Appending::Open(mut appender) = FileAppender::open(files.clone(), blob.name().to_owned()).unwrap() else {
            panic!("it is free")
        };
        appender.resume(AppendProgress::default()).await.unwrap();
        appender.write(b"kept".as_slice().into()).await.unwrap();
        let progress = appender.sync().await.unwrap();
        // Nothing can be written behind more bytes than there are.
        let more = AppendProgress { size: 5, ..AppendProgress::default() };
        appender.resume(more).await.unwrap_err();
        appender.write(vec![1; WRITE_SIZE].into()).await.unwrap_err();
        assert!(appender.sync().await.is_err());
        appender.resume(progress).await.unwrap();
        appender.write(b", and more".as_slice().into()).await.unwrap();
        assert_eq!(appender.sync().await.unwrap().size, 14);
    }
}
