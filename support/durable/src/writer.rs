//! Writes a group of commits: to the journal, then to the index.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;

use crate::commit::Commit;
use crate::group::{Group, Settled, Work};
use crate::index::{Change, Index, Located, State};
use crate::journal::{Journal, Place, WriteError};
use crate::overlay::Overlay;
use crate::queue::{Setback, Ticket};
use crate::{Error, Result};

/// Above this average duration, flushes run on a blocking thread.
const SLOW: Duration = Duration::from_micros(1500);
/// Groups of more bytes are always written on a blocking thread.
const LARGE: usize = 1024 * 1024;
/// Weight of the previous average in the new one, out of [`AVERAGED`].
const KEPT: u64 = 7;
const AVERAGED: u64 = 8;

/// A submitted commit.
pub(crate) struct Submission {
    pub(crate) commit: Commit,
    /// Dropped once the commit has taken effect or was refused; may hold a caller's lock.
    pub(crate) _held: Option<Box<dyn Any + Send>>,
    pub(crate) _permit: Option<OwnedSemaphorePermit>,
    pub(crate) overlay: Arc<Overlay>,
    pub(crate) ticket: Ticket,
}

impl Drop for Submission {
    fn drop(&mut self) {
        self.overlay.remove(&self.commit, self.ticket);
    }
}

/// Writes groups of commits.
pub(crate) struct Writer {
    pub(crate) journal: Journal,
    pub(crate) index: Index,
    state: Mutex<State>,
    /// Copy of `state.live_bytes` that can be read without the lock.
    live_bytes: AtomicU64,
    /// Moving average of the duration of a flush, in nanoseconds.
    average: AtomicU64,
}

impl Writer {
    pub(crate) fn new(journal: Journal, index: Index, state: State) -> Self {
        let live_bytes = AtomicU64::new(state.live_bytes);
        Self { journal, index, state: Mutex::new(state), live_bytes, average: AtomicU64::new(0) }
    }

    /// Garbage in the journal, in bytes.
    pub(crate) fn garbage_bytes(&self) -> u64 {
        self.journal.used_bytes().saturating_sub(self.live_bytes.load(Ordering::Relaxed))
    }

    /// Writes as many commits as fit in one segment, and returns their number.
    fn write(&self, commits: &[&Commit]) -> std::result::Result<usize, Setback> {
        let count = self.journal.reserve(commits).map_err(|error| self.setback(error))?;
        let commits = &commits[..count];
        let began = Instant::now();
        let written = self.journal.write(commits);
        self.note_duration(began.elapsed());
        let (places, position) = written.map_err(|error| self.setback(WriteError::Failed(error)))?;
        let changes = places.iter().zip(commits).flat_map(|(place, commit)| changes(*place, commit)).collect();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = self.index.apply(changes, position, state.live_bytes).map_err(|error| {
            tracing::error!(%error, "a commit reached the journal but not the index; no commit is acknowledged until a restart");
            Setback::Failed(Error::Failed { reason: error.to_string() })
        })?;
        self.live_bytes.store(state.live_bytes, Ordering::Relaxed);
        Ok(count)
    }

    fn setback(&self, error: WriteError) -> Setback {
        let path = self.journal.disk().path();
        match error {
            WriteError::Full => {
                tracing::warn!(path = %path.display(), "the disk is full; changes are refused");
                Setback::Refused(Error::Full { path: path.to_owned() })
            }
            WriteError::Refused(error) => {
                tracing::warn!(path = %path.display(), %error, "changes are refused");
                Setback::Refused(Error::io(path, &error))
            }
            WriteError::Failed(error) => {
                tracing::error!(path = %path.display(), %error, "a write failed; no commit is acknowledged until a restart");
                Setback::Failed(Error::Failed { reason: error.to_string() })
            }
        }
    }

    fn note_duration(&self, duration: Duration) {
        let now = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / AVERAGED);
        let before = self.average.load(Ordering::Relaxed);
        self.average.store((before * KEPT + now) / AVERAGED, Ordering::Relaxed);
    }
}

impl Work for Writer {
    type Item = Submission;

    fn run(&self, items: &[(Ticket, Submission)], before: Ticket) -> (Ticket, Option<Setback>) {
        // Empty commits write nothing: each takes effect with the commit before it.
        let written: Vec<(Ticket, &Commit)> = items
            .iter()
            .map(|(ticket, submission)| (*ticket, &submission.commit))
            .filter(|(_, commit)| !commit.is_empty())
            .collect();
        let commits: Vec<&Commit> = written.iter().map(|(_, commit)| *commit).collect();
        let mut done = 0;
        while done < commits.len() {
            match self.write(&commits[done..]) {
                Ok(count) => done += count,
                Err(setback) => return (written[done].0 - 1, Some(setback)),
            }
        }
        (items.last().map_or(before, |(ticket, _)| *ticket), None)
    }

    fn is_slow(&self, items: &[(Ticket, Submission)]) -> bool {
        let bytes: usize = items.iter().map(|(_, submission)| submission.commit.size()).sum();
        bytes > LARGE || self.average.load(Ordering::Relaxed) > SLOW.as_nanos() as u64
    }
}

/// Submits what `prepare` returns; from then on it is visible in [`Store::latest`](crate::Store::latest).
///
/// # Errors
/// Like [`Group::submit`].
pub(crate) fn submit(
    group: &Arc<Group<Writer>>,
    refusals: Option<u64>,
    prepare: impl FnOnce() -> Option<Submission>,
) -> Result<Option<Settled<Writer>>> {
    group.submit(refusals, prepare, |submission, ticket| {
        submission.ticket = ticket;
        submission.overlay.add(&submission.commit, ticket);
    })
}

/// The cleaner's reference, which does not keep the store open.
pub(crate) type WeakGroup = Weak<Group<Writer>>;

/// The index changes for a commit whose body is at `body` in the journal.
pub(crate) fn changes(body: Place, commit: &Commit) -> impl Iterator<Item = Change> + use<'_> {
    commit.entries().iter().map(move |entry| {
        let located = entry.value.clone().map(|range| {
            let offset = body.offset + u32::try_from(range.start).expect("commits are bounded");
            let length = u32::try_from(range.len()).expect("commits are bounded");
            Located::new(Place { segment: body.segment, offset, length }, &commit.body()[range])
        });
        Change { key: commit.body()[entry.key.clone()].to_vec(), located }
    })
}
