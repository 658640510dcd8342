//! The bytes of a blob at the backbone, by their places. None of them is verified here.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use tracing::info;
use transport::wire::FileId;

use super::download::spool_for;
use super::spool::{Storage, temporary_file_error};
use crate::blocking::blocking;
use crate::code::ErrorCode;
use crate::core::Core;
use crate::delivery::{self, Arriving, Delivery as _, Failure, Incoming, Retries};
use crate::{Error, Result};

/// Status of a range beyond the end.
const RANGE_NOT_SATISFIABLE: u16 = 416;

/// A blob at the backbone.
pub(super) struct RemoteBlob {
    core: Arc<Core>,
    id: FileId,
    /// Bytes that it must have.
    length: u64,
    /// The whole ciphertext, in a temporary file, from a backbone that does not know ranges.
    local: Option<Storage>,
}

/// Consecutive bytes on their way.
pub(super) struct Run {
    arriving: Arriving,
    /// Arrived and not taken.
    rest: Bytes,
    /// Of the next byte.
    position: u64,
    end: u64,
}

/// Why a range did not come.
enum Interruption {
    /// Another attempt may bring it.
    Broken(Error),
    /// It ended too early; another attempt may bring it.
    Short,
    /// The backbone sends everything.
    NoRanges,
    Final(Error),
}

impl RemoteBlob {
    pub(super) fn new(core: Arc<Core>, id: FileId, length: u64) -> Self {
        Self { core, id, length, local: None }
    }

    pub(super) fn core(&self) -> &Core {
        &self.core
    }

    /// Exactly these bytes. They are taken from `run` if they are the next ones there; else a new one is started, which goes on
    /// to `end`. Begins again at the first of them when the connection breaks.
    ///
    /// # Errors
    /// `cipherMismatch` if the backbone does not have so many bytes, and its errors.
    pub(super) async fn bytes(&mut self, run: &mut Option<Run>, range: Range<u64>, end: u64) -> Result<Vec<u8>> {
        let mut retries = Retries::default();
        while self.local.is_none() {
            match self.remote_bytes(run, &range, end).await {
                Ok(bytes) => return Ok(bytes),
                Err(Interruption::NoRanges) => self.local = Some(self.fetch_whole().await?),
                Err(Interruption::Broken(error)) if retries.wait().await => {
                    info!(%error, file = crate::logging::short(&self.id), "a download is continued");
                }
                Err(Interruption::Short) if retries.wait_after_short_answer().await => {}
                Err(Interruption::Short) => return Err(self.too_short()),
                Err(Interruption::Broken(error) | Interruption::Final(error)) => return Err(error),
            }
            *run = None;
        }
        self.local_bytes(range).await
    }

    async fn remote_bytes(&self, run: &mut Option<Run>, range: &Range<u64>, end: u64) -> Result<Vec<u8>, Interruption> {
        let continued = run.take().filter(|run| run.position == range.start && run.end >= range.end);
        let mut current = match continued {
            Some(run) => run,
            None => self.start(range.start..end).await?,
        };
        let mut bytes = Vec::with_capacity(usize::try_from(range.end - range.start).unwrap_or_default());
        while current.position < range.end {
            if current.rest.is_empty() {
                let next =
                    Incoming::chunk(&mut current.arriving).await.map_err(|failure| self.interruption(failure))?;
                current.rest = next.ok_or(Interruption::Short)?;
            }
            let wanted = usize::try_from(range.end - current.position).unwrap_or(usize::MAX);
            let taken = wanted.min(current.rest.len());
            bytes.extend_from_slice(&current.rest[..taken]);
            current.rest.advance(taken);
            current.position += taken as u64;
        }
        *run = Some(current).filter(|current| current.position < current.end);
        Ok(bytes)
    }

    async fn start(&self, range: Range<u64>) -> Result<Run, Interruption> {
        let by = delivery::of(&self.core);
        let arriving = by.file_range(&self.id, range.clone(), self.length).await;
        let arriving = arriving.map_err(|failure| self.interruption(failure))?;
        if Incoming::offset(&arriving) != range.start {
            return Err(Interruption::NoRanges);
        }
        Ok(Run { arriving, rest: Bytes::new(), position: range.start, end: range.end })
    }

    fn interruption(&self, failure: Failure) -> Interruption {
        match failure {
            Failure::TooLarge(_) => Interruption::Final(self.too_long()),
            Failure::Failed(Error::Backbone(error)) if error.status() == Some(RANGE_NOT_SATISFIABLE) => {
                Interruption::Final(self.too_short())
            }
            Failure::Failed(Error::Backbone(error)) if error.is_transient() => Interruption::Broken(error.into()),
            other => Interruption::Final(other.into()),
        }
    }

    /// Everything, in a temporary file.
    async fn fetch_whole(&self) -> Result<Storage> {
        info!(file = crate::logging::short(&self.id), "the backbone sends whole files only");
        let mut spool = spool_for(&self.core, self.length)?;
        let failed = |failure| match self.interruption(failure) {
            Interruption::Broken(error) | Interruption::Final(error) => error,
            Interruption::Short | Interruption::NoRanges => self.too_short(),
        };
        let mut arriving = delivery::of(&self.core).file_content(&self.id, self.length).await.map_err(failed)?;
        while let Some(piece) = Incoming::chunk(&mut arriving).await.map_err(failed)? {
            let appended = blocking(move || spool.append(&piece).map(|()| spool)).await;
            spool = appended.map_err(|error| temporary_file_error(&error))?;
        }
        if Incoming::received(&arriving) == self.length { Ok(spool.into_storage()) } else { Err(self.too_short()) }
    }

    async fn local_bytes(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let read = match &self.local {
            Some(Storage::Memory(bytes)) => {
                let place = |position: u64| usize::try_from(position).unwrap_or(usize::MAX);
                return bytes
                    .get(place(range.start)..place(range.end))
                    .map(<[u8]>::to_vec)
                    .ok_or_else(|| self.too_short());
            }
            Some(Storage::File(file, _)) => file.try_clone(),
            None => return Err(self.too_short()),
        };
        let file = read.map_err(|error| temporary_file_error(&error))?;
        blocking(move || read_at(file, range)).await.map_err(|error| temporary_file_error(&error))
    }

    fn too_short(&self) -> Error {
        let text = "The backbone has fewer bytes than the file; it is not the one that was uploaded.";
        self.core.transport_error(ErrorCode::CipherMismatch, text)
    }

    fn too_long(&self) -> Error {
        let text = "The backbone sends more bytes than the file has; it is not the one that was uploaded.";
        self.core.transport_error(ErrorCode::CipherMismatch, text)
    }
}

pub(super) fn read_at(mut file: File, range: Range<u64>) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(range.end - range.start).map_err(std::io::Error::other)?];
    file.seek(SeekFrom::Start(range.start))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}
