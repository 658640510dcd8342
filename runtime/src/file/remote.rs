//! The bytes of a blob at the node that shares it or at the backbone, by their places. None of them is verified here.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::time::Instant;
use tracing::info;
use transport::access::RENEWED_AFTER;
use transport::content::SEALED_CHUNK_LENGTH;
use transport::wire::FileId;

use super::download::spool_for;
use super::spool::{Storage, temporary_file_error};
use crate::blocking::blocking;
use crate::chunk_buffers::ChunkBuffers;
use crate::code::ErrorCode;
use crate::core::Core;
use crate::delivery::{self, Arriving, Delivery as _, Failure, Incoming, Retries, Sources};
use crate::peer::{Origin, PathLog, Sender};
use crate::{BackboneError, Error, Result};

/// Status of a range beyond the end.
const RANGE_NOT_SATISFIABLE: u16 = 416;

/// Bytes of a run from the backbone after which a peer is asked for what follows, if it can be. A request costs as much as many bytes, so it is
/// not given up for each.
const LEAST_RUN: u64 = 64 * SEALED_CHUNK_LENGTH;

/// For how long a run goes on after somebody was asked in vain for what follows.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// A blob that others have.
pub(super) struct RemoteBlob {
    core: Arc<Core>,
    id: FileId,
    sources: Sources,
    /// Bytes that it must have.
    length: u64,
    /// The whole ciphertext, in a temporary file, from a backbone that does not know ranges, and who sent it.
    local: Option<(Storage, Sender)>,
    /// By which paths it has come so far.
    paths: PathLog,
    /// For what comes.
    buffers: ChunkBuffers,
}

/// Consecutive bytes on their way.
pub(super) struct Run {
    arriving: Arriving,
    /// Arrived and not taken.
    rest: Bytes,
    start: u64,
    /// When a peer is asked anew in any case.
    renewed_at: Instant,
    /// After an attempt to renew it that failed.
    is_kept_until: Option<Instant>,
    /// Of the next byte.
    position: u64,
    end: u64,
}

/// Some bytes of a blob.
pub(super) struct Fetched {
    pub(super) bytes: Vec<u8>,
    /// Who sent all of them, and by which path the last ones; none if several did.
    pub(super) by: Option<Sender>,
}

/// Bytes that are not complete yet.
#[derive(Default)]
struct Partial {
    bytes: Vec<u8>,
    by: Option<Sender>,
    is_mixed: bool,
}

/// Why a range did not come.
enum Interruption {
    /// Another attempt may bring it.
    Broken(Error),
    /// The node that shares it cannot read it, now or any more.
    Unreadable(Error),
    /// It ended too early; another attempt may bring it.
    Short,
    /// The backbone sends everything.
    NoRanges,
    /// This one does not have the blob, whatever else it has.
    Wrong(Sender, Error),
    Final(Error),
}

impl RemoteBlob {
    pub(super) fn new(core: Arc<Core>, id: FileId, length: u64) -> Self {
        let (paths, buffers) = (PathLog::default(), ChunkBuffers::default());
        Self { core, id, sources: Sources::All, length, local: None, paths, buffers }
    }

    /// The same of the backbone only.
    pub(super) fn at_backbone(core: Arc<Core>, id: FileId, length: u64) -> Self {
        Self { sources: Sources::Backbone, ..Self::new(core, id, length) }
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Whoever has used up what [`bytes`](Self::bytes) returned may give the buffer back here.
    pub(super) fn buffers(&self) -> &ChunkBuffers {
        &self.buffers
    }

    /// By which paths bytes have come so far.
    pub(super) fn paths(&self) -> &PathLog {
        &self.paths
    }

    /// Exactly these bytes. They are taken from `run` if they are the next ones there; else a new one is started, which goes on
    /// to `end`. When it breaks, it goes on behind what has arrived, with whoever can be asked.
    ///
    /// # Errors
    /// `cipherMismatch` if nobody who can be asked has so many bytes, and the errors of those who were asked.
    pub(super) async fn bytes(&mut self, run: &mut Option<Run>, range: Range<u64>, end: u64) -> Result<Fetched> {
        self.bytes_in_parts(run, range, end, true).await
    }

    /// The same after several had sent bytes that were wrong together: this time one of them sends all.
    pub(super) async fn bytes_of_one(&mut self, range: Range<u64>) -> Result<Fetched> {
        let end = range.end;
        self.bytes_in_parts(&mut None, range, end, false).await
    }

    /// These bytes were wrong, so who sent them is not asked for this file again. Whether somebody else is left.
    pub(super) fn were_wrong(&mut self, by: Sender, reason: &dyn std::fmt::Display) -> bool {
        let is_left = self.leave(by, reason);
        if is_left && self.local.as_ref().is_some_and(|(_, sender)| sender.is(&by)) {
            self.local = None;
        }
        is_left
    }

    fn leave(&self, by: Sender, reason: &dyn std::fmt::Display) -> bool {
        let Core { events, routes, .. } = &*self.core;
        delivery::dropped(events, routes, &self.id, by, reason)
    }

    async fn bytes_in_parts(
        &mut self,
        run: &mut Option<Run>,
        range: Range<u64>,
        end: u64,
        may_mix: bool,
    ) -> Result<Fetched> {
        let (mut retries, mut partial) = (Retries::default(), Partial::default());
        loop {
            if let Some((local, sender)) = &self.local {
                return Ok(Fetched { bytes: self.local_bytes(local, range).await?, by: Some(*sender) });
            }
            let Err(interruption) = self.remote_bytes(run, &mut partial, &range, end).await else {
                return Ok(self.complete(partial));
            };
            *run = None;
            self.paths.wait();
            if !may_mix {
                partial = Partial::default();
            }
            match interruption {
                Interruption::NoRanges => self.local = Some(self.fetch_whole().await?),
                Interruption::Wrong(by, error) => {
                    if !self.leave(by, &error) {
                        return Err(error);
                    }
                    partial = Partial::default();
                }
                Interruption::Broken(error) if self.goes_on(&mut retries) || retries.wait().await => {
                    info!(%error, file = crate::logging::short(&self.id), "a download is continued");
                }
                Interruption::Short if self.goes_on(&mut retries) || retries.wait_after_short_answer().await => {}
                Interruption::Unreadable(_) if self.goes_on(&mut retries) || retries.wait_until_readable().await => {}
                Interruption::Short => return Err(self.too_short()),
                Interruption::Broken(error) | Interruption::Unreadable(error) | Interruption::Final(error) => {
                    return Err(error);
                }
            }
        }
    }

    /// Whether somebody is asked at once instead of who failed.
    fn goes_on(&self, retries: &mut Retries) -> bool {
        self.core.routes.is_any_ready(&self.id, Instant::now()) && retries.go_on()
    }

    fn complete(&self, Partial { bytes, by, is_mixed }: Partial) -> Fetched {
        if let Some(by) = by {
            self.core.routes.worked(&self.id, by.origin);
        }
        Fetched { bytes, by: by.filter(|_| !is_mixed) }
    }

    async fn remote_bytes(
        &self,
        run: &mut Option<Run>,
        partial: &mut Partial,
        range: &Range<u64>,
        end: u64,
    ) -> Result<(), Interruption> {
        if partial.bytes.capacity() == 0 {
            partial.bytes = match range.end - range.start {
                SEALED_CHUNK_LENGTH => self.buffers.take(),
                length => Vec::with_capacity(usize::try_from(length).unwrap_or_default()),
            };
        }
        let position = range.start + partial.bytes.len() as u64;
        let continued = run.take().filter(|run| run.position == position && run.end >= range.end);
        let mut current = match continued {
            Some(run) => self.renewed(run).await,
            None => self.start(position..end).await?,
        };
        while current.position < range.end {
            if current.rest.is_empty() {
                current.rest = self.next(&mut current.arriving).await?;
            }
            let wanted = usize::try_from(range.end - current.position).unwrap_or(usize::MAX);
            let taken = wanted.min(current.rest.len());
            partial.add(&current.rest[..taken], current.arriving.sender());
            current.rest.advance(taken);
            current.position += taken as u64;
        }
        *run = Some(current).filter(|current| current.position < current.end);
        Ok(())
    }

    /// The next bytes of a run.
    async fn next(&self, arriving: &mut Arriving) -> Result<Bytes, Interruption> {
        let sender = arriving.sender();
        let interruption = match Incoming::chunk(arriving).await {
            Ok(Some(bytes)) => {
                self.paths.add(arriving.path(), bytes.len() as u64);
                return Ok(bytes);
            }
            Ok(None) => Interruption::Short,
            Err(failure) => self.interruption(Some(sender), failure),
        };
        if !matches!(interruption, Interruption::Wrong(..) | Interruption::NoRanges) {
            self.core.routes.failed(&self.id, sender.origin, Instant::now());
        }
        // Whoever fails while another one is left is not the end.
        let is_other_left = self.core.routes.origins(&self.id, Instant::now()).len() > 1;
        Err(match interruption {
            Interruption::Final(error) if is_other_left => Interruption::Broken(error),
            other => other,
        })
    }

    async fn start(&self, range: Range<u64>) -> Result<Run, Interruption> {
        let arriving = delivery::by(&self.core, self.sources).file_range(&self.id, range.clone(), self.length).await;
        // Everybody who could be asked has failed.
        let arriving = arriving.map_err(|failure| self.interruption(None, failure))?;
        let sender = arriving.sender();
        match Incoming::offset(&arriving) {
            offset if offset == range.start => {}
            _ if sender.origin == Origin::Backbone => return Err(Interruption::NoRanges),
            _ => return Err(Interruption::Wrong(sender, self.too_short())),
        }
        let renewed_at = Instant::now() + RENEWED_AFTER;
        Ok(Run {
            arriving,
            rest: Bytes::new(),
            start: range.start,
            position: range.start,
            end: range.end,
            renewed_at,
            is_kept_until: None,
        })
    }

    /// What follows, asked for anew of the peer if it may come by a better path; else the same run, which is kept until the peer has answered.
    async fn renewed(&self, mut run: Run) -> Run {
        if !self.is_to_be_renewed(&run) {
            return run;
        }
        match self.start(run.position..run.end).await {
            Ok(new) if new.arriving.path().origin() == Origin::Peer => new,
            _ => {
                run.is_kept_until = Some(Instant::now() + KEPT_FOR);
                run
            }
        }
    }

    fn is_to_be_renewed(&self, run: &Run) -> bool {
        let now = Instant::now();
        if run.is_kept_until.is_some_and(|until| now < until) {
            return false;
        }
        match run.arriving.path().origin() {
            Origin::Peer => now >= run.renewed_at || run.arriving.has_better_path(),
            Origin::Backbone => {
                run.position - run.start >= LEAST_RUN
                    && self.sources != Sources::Backbone
                    && self.core.routes.origins(&self.id, Instant::now()).first() == Some(&Origin::Peer)
            }
        }
    }

    /// What a failure of bytes that this one sent means, or of a request that nobody answered.
    fn interruption(&self, sender: Option<Sender>, failure: Failure) -> Interruption {
        let wrong = |error| Interruption::Wrong(sender.unwrap_or(Sender::BACKBONE), error);
        let error = match failure {
            Failure::TooLarge(_) => return wrong(self.too_long()),
            Failure::Failed(error) | Failure::NotFound(error) | Failure::NoUseLeft(error) => error,
        };
        match &error {
            error if of_backbone(error).is_some_and(|error| error.status() == Some(RANGE_NOT_SATISFIABLE)) => {
                wrong(self.too_short())
            }
            // Who lies in the answer to a request is dropped already.
            Error::Undelivered(lie) if lie.is_lie() && sender.is_some() => wrong(error),
            Error::Undelivered(refused) if refused.is_unreadable() && self.may_pass(&error) => {
                Interruption::Unreadable(error)
            }
            known if self.may_pass(known) => Interruption::Broken(error),
            _ => Interruption::Final(error),
        }
    }

    /// Whether another attempt may bring what did not come. A peer that was not reached at the start hardly comes; one that goes away
    /// in the middle may come back.
    fn may_pass(&self, error: &Error) -> bool {
        let may_peer_come_back = match error {
            Error::Undelivered(error) => error.may_peer_come_back() && self.paths.first().is_some(),
            _ => false,
        };
        may_peer_come_back || of_backbone(error).is_some_and(BackboneError::is_transient)
    }

    /// Everything, in a temporary file.
    async fn fetch_whole(&self) -> Result<(Storage, Sender)> {
        info!(file = crate::logging::short(&self.id), "the backbone sends whole files only");
        let mut spool = spool_for(&self.core, self.length)?;
        let failed = |failure| match self.interruption(None, failure) {
            Interruption::Broken(error)
            | Interruption::Unreadable(error)
            | Interruption::Final(error)
            | Interruption::Wrong(_, error) => error,
            Interruption::Short | Interruption::NoRanges => self.too_short(),
        };
        let mut arriving =
            delivery::by(&self.core, self.sources).file_content(&self.id, self.length).await.map_err(failed)?;
        while let Some(piece) = Incoming::chunk(&mut arriving).await.map_err(failed)? {
            self.paths.add(arriving.path(), piece.len() as u64);
            let appended = blocking(move || spool.append(&piece).map(|()| spool)).await;
            spool = appended.map_err(|error| temporary_file_error(&error))?;
        }
        if Incoming::received(&arriving) != self.length {
            return Err(self.too_short());
        }
        Ok((spool.into_storage(), arriving.sender()))
    }

    async fn local_bytes(&self, local: &Storage, range: Range<u64>) -> Result<Vec<u8>> {
        let read = match local {
            Storage::Memory(bytes) => {
                let place = |position: u64| usize::try_from(position).unwrap_or(usize::MAX);
                return bytes
                    .get(place(range.start)..place(range.end))
                    .map(<[u8]>::to_vec)
                    .ok_or_else(|| self.too_short());
            }
            Storage::File(file, _) => file.try_clone(),
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

impl Partial {
    fn add(&mut self, bytes: &[u8], sender: Sender) {
        self.is_mixed |= self.by.is_some_and(|by| !by.is(&sender));
        self.by = Some(sender);
        self.bytes.extend_from_slice(bytes);
    }
}

/// What the backbone answered, alone or beside a peer.
fn of_backbone(error: &Error) -> Option<&BackboneError> {
    match error {
        Error::Backbone(error) => Some(error),
        Error::Undelivered(error) => error.backbone().and_then(of_backbone),
        _ => None,
    }
}

pub(super) fn read_at(mut file: File, range: Range<u64>) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(range.end - range.start).map_err(std::io::Error::other)?];
    file.seek(SeekFrom::Start(range.start))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}
