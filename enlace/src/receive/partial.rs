//! A single file that is written over several runs: beside its destination under a hidden name, until it is complete.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::Path;

use durable::partial::{PartialError, PartialFile};
use runtime::{CHUNK_LENGTH, FileId, dto};

use super::checksum::Checksum;
use super::destination::{Arrived, Destination, Saved, enough_for_rest};
use super::kept::{Kept, partial_path};
use super::reading::{hashed, verified};
use crate::access::Access;
use crate::failure::{Failure, reason};
use crate::output::Output;
use crate::progress::ProgressOutput;

/// Fetches what an earlier run did not.
pub(super) async fn receive_file(
    access: &Access,
    file: &dto::File,
    destination: Destination,
    kept: &Kept,
    progress: &ProgressOutput,
    output: Output,
) -> Result<Saved, Failure> {
    let path = partial_path(destination.path(), &file.id);
    let found = PartialFile::open(&path).map_err(|error| unusable(&path, &error))?.map(Partial);
    kept.at(&path);
    let (partial, arrived) = match found {
        Some(partial) => {
            let arrived = what_arrived(access, file, &partial, progress).await.map_err(|error| match error {
                Stopped::Here(error) => destination.unwritable(&error),
                Stopped::There(failure) => failure,
            })?;
            enough_for_rest(file.filesize, arrived.bytes, destination.path())?;
            (partial, arrived)
        }
        None => {
            enough_for_rest(file.filesize, 0, destination.path())?;
            (
                Partial(PartialFile::create(&path).map_err(|error| unusable(&path, &error))?),
                Arrived::nothing(Checksum::shown_by(progress)),
            )
        }
    };
    say_continued(arrived.bytes, file.filesize, progress, output);
    let content = access.download_range(file, arrived.bytes..file.filesize).await?;
    progress.comes_by(&content.paths);
    destination.write_behind(arrived, &partial.0, content.reader, Some(file.filesize), progress).await
}

/// Says how much an earlier run left, if it did.
pub(super) fn say_continued(bytes: u64, total: u64, progress: &ProgressOutput, output: Output) {
    if bytes > 0 {
        let percent = u128::from(bytes) * 100 / u128::from(total.max(1));
        progress.talk(format!("continuing at {percent}%"), output);
    }
}

enum Stopped {
    Here(std::io::Error),
    There(Failure),
}

/// Verifies what an earlier run left, and cuts off what is not right.
async fn what_arrived(
    access: &Access,
    file: &dto::File,
    partial: &Partial,
    progress: &ProgressOutput,
) -> Result<Arrived, Stopped> {
    let opened = || -> std::io::Result<(File, u64)> {
        let mut handle = partial.0.file().try_clone()?;
        handle.rewind()?;
        let length = handle.metadata()?.len();
        Ok((handle, length))
    };
    let (handle, length) = opened().map_err(Stopped::Here)?;
    // What is behind the last whole chunk cannot be verified, unless it is the end.
    let limit = if length >= file.filesize { file.filesize } else { length / CHUNK_LENGTH * CHUNK_LENGTH };
    let verify =
        async |content: &mut (dyn tokio::io::AsyncRead + Send + Unpin)| access.verified_prefix(file, content).await;
    let (bytes, read) =
        verified(handle, limit, Checksum::shown_by(progress), progress, verify).await.map_err(Stopped::There)?;
    partial.0.file().set_len(bytes).map_err(Stopped::Here)?;
    if read.bytes == bytes {
        return Ok(read);
    }
    // Read again because something differs: everything behind it was read, too.
    let handle = opened().map_err(Stopped::Here)?.0;
    let checksum = Checksum::shown_by(progress);
    let again = tokio::task::spawn_blocking(move || hashed(checksum, handle.take(bytes)));
    let checksum = again.await.map_err(std::io::Error::other).flatten().map_err(Stopped::Here)?;
    Ok(Arrived { bytes, checksum })
}

/// Removed when it is dropped with so little in it that a later run could not use it.
pub(super) struct Partial(pub(super) PartialFile);

impl Partial {
    /// What an earlier run left of this file beside a destination, or an empty one.
    pub(super) fn open_or_create(destination: &Destination, id: &FileId, kept: &Kept) -> Result<Self, Failure> {
        let path = partial_path(destination.path(), id);
        let found = PartialFile::open(&path).map_err(|error| unusable(&path, &error))?;
        kept.at(&path);
        match found {
            Some(found) => Ok(Self(found)),
            None => PartialFile::create(&path).map(Self).map_err(|error| unusable(&path, &error)),
        }
    }

    /// Its bytes.
    pub(super) fn length(&self) -> u64 {
        self.0.file().metadata().map_or(0, |metadata| metadata.len())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if self.0.file().metadata().is_ok_and(|metadata| metadata.len() < CHUNK_LENGTH) {
            self.0.remove();
        }
    }
}

/// Why what has the name of a partial file or folder cannot be used.
pub(super) fn unusable(path: &Path, error: &PartialError) -> Failure {
    let shown = path.display();
    match error {
        PartialError::InUse => Failure::local(format!("another process is receiving the same file into {shown}"))
            .hint("wait until it has ended, or choose another place with --output PATH"),
        PartialError::Foreign(what) => Failure::local(format!("{shown} is {what}, not what an earlier download left"))
            .hint("remove it, or choose another place with --output PATH"),
        PartialError::Io(error) => Failure::local(format!("cannot write {shown}: {}", reason(error)))
            .hint("choose another place with --output PATH"),
        other => Failure::local(format!("cannot write {shown}: {other}")),
    }
}
