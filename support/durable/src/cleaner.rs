//! Background garbage collection of the journal.
//!
//! When more than half of the journal is garbage, the cleaner rewrites the live entries of the oldest segment in a new commit
//! and deletes the segment. Segments are deleted oldest first, so the removal of a key can be dropped with its segment: the
//! values that it removed were older and are gone already.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::blocking::wait;
use crate::commit::{Commit, MAX_COMMIT_BYTES};
use crate::group::Group;
use crate::journal::segment::{HEADER, Segment};
use crate::journal::{Place, frame};
use crate::overlay::Overlay;
use crate::writer::{Submission, WeakGroup, Writer, submit};
use crate::{Error, Result};

/// Up to this many bytes of garbage, the journal is not cleaned.
const MIN_GARBAGE: u64 = 16 * 1024 * 1024;
/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(5);
/// Approximate number of bytes moved by one commit of the cleaner.
const MOVED_BYTES: usize = 32 * 1024;

/// The thread that cleans.
pub(crate) struct Cleaner {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    wanted: Mutex<Wanted>,
    changed: Condvar,
    /// Whether a run is requested already; saves taking the lock for each commit.
    is_asked: AtomicBool,
}

#[derive(Default, Clone, Copy)]
struct Wanted {
    look: bool,
    stop: bool,
}

impl Cleaner {
    /// Starts the thread. It stops when the store is dropped.
    pub(crate) fn start(group: WeakGroup, overlay: Arc<Overlay>) -> Self {
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        let body = move || run(&theirs, &group, &overlay);
        let thread = std::thread::Builder::new().name("store-cleaner".to_owned()).spawn(body);
        // Not fatal: without the thread, only garbage accumulates.
        let thread = thread
            .inspect_err(|error| tracing::warn!(%error, "cannot start the cleaner; the journal will keep its garbage"))
            .ok();
        Self { shared, thread: Mutex::new(thread) }
    }

    /// Wakes the thread if the journal needs cleaning.
    pub(crate) fn look(&self, writer: &Writer) {
        let asked = || self.shared.is_asked.load(Ordering::Relaxed);
        if wants_cleaning(writer) && !asked() {
            self.shared.is_asked.store(true, Ordering::Relaxed);
            self.shared.wanted.lock().unwrap_or_else(PoisonError::into_inner).look = true;
            self.shared.changed.notify_one();
        }
    }

    /// Ends the thread and waits for it.
    pub(crate) fn stop(&self) {
        self.shared.wanted.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // A panic was reported by the panic hook already.
            let _ = thread.join();
        }
    }
}

impl Drop for Cleaner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn is_stopped(&self) -> bool {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).stop
    }

    /// Waits for [`PAUSE`] after a failure, or until the thread has to stop.
    fn pause(&self) {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        // The caller checks the state next, so the result does not matter.
        drop(self.changed.wait_timeout_while(wanted, PAUSE, |wanted| !wanted.stop));
    }

    /// Waits for a request. Returns `false` if the thread has to stop.
    fn next(&self) -> bool {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |wanted: &mut Wanted| !wanted.look && !wanted.stop;
        let mut wanted = self.changed.wait_while(wanted, idle).unwrap_or_else(PoisonError::into_inner);
        wanted.look = false;
        self.is_asked.store(false, Ordering::Relaxed);
        !wanted.stop
    }
}

fn run(shared: &Shared, group: &WeakGroup, overlay: &Arc<Overlay>) {
    while shared.next() {
        let Some(group) = group.upgrade() else { return };
        while wants_cleaning(group.work()) && !shared.is_stopped() {
            if let Err(error) = clean_oldest(&group, overlay) {
                tracing::warn!(%error, "cleaning the journal failed; retrying");
                shared.pause();
                break;
            }
        }
    }
}

fn wants_cleaning(writer: &Writer) -> bool {
    let garbage = writer.garbage_bytes();
    garbage > MIN_GARBAGE && garbage > writer.journal.used_bytes() / 2 && writer.journal.oldest_complete().is_some()
}

/// Removes the oldest segment, if it is complete, after moving its live entries.
pub(crate) fn clean_oldest(group: &Arc<Group<Writer>>, overlay: &Arc<Overlay>) -> Result<()> {
    let writer = group.work();
    let Some(segment) = writer.journal.oldest_complete() else { return Ok(()) };
    let number = segment.header.number;
    // An entry with a pending change is checked again once that change has settled, because it may be refused.
    while move_all(group, overlay, &segment)? > 0 {}
    // The index on disk must not refer to the removed segment, even if the process is killed right afterwards.
    writer.index.flush()?;
    writer.journal.remove_oldest(number).map_err(|error| writer.journal.error(number, &error))?;
    tracing::debug!(segment = number, "removed a journal segment");
    Ok(())
}

/// Moves the live entries of a segment. Returns how many were live or have a pending change.
fn move_all(group: &Arc<Group<Writer>>, overlay: &Arc<Overlay>, segment: &Segment) -> Result<usize> {
    let journal = &group.work().journal;
    let number = segment.header.number;
    let mut in_use = 0;
    let mut at = HEADER;
    let mut gathered = Vec::new();
    let mut bytes = 0;
    loop {
        let frame = segment.frame(at, segment.end()).map_err(|error| journal.error(number, &error))?;
        let last = frame.is_none();
        if let Some(frame) = frame {
            let body_offset = at + frame::HEAD as u32;
            at = frame.next;
            let commit = Commit::decode(frame.body).ok_or_else(|| unreadable(group, segment, body_offset))?;
            // Entries that are moved together have to fit into one commit.
            if bytes + commit.size() > MAX_COMMIT_BYTES {
                in_use += move_some(group, overlay, number, &gathered)?;
                gathered.clear();
                bytes = 0;
            }
            bytes += commit.size();
            gathered.push((body_offset, commit));
        }
        if bytes >= MOVED_BYTES || last {
            in_use += move_some(group, overlay, number, &gathered)?;
            gathered.clear();
            bytes = 0;
        }
        if last {
            break;
        }
    }
    if at == segment.end() { Ok(in_use) } else { Err(unreadable(group, segment, at)) }
}

/// Moves the live entries of some commits of a segment.
fn move_some(
    group: &Arc<Group<Writer>>,
    overlay: &Arc<Overlay>,
    segment: u32,
    commits: &[(u32, Commit)],
) -> Result<usize> {
    let mut in_use = 0;
    let mut failure = None;
    // Under the queue's lock: no commit can come between the check that a value is live and its new submission.
    let settled = submit(group, None, || {
        let mut moved = Commit::moving();
        for (body_offset, commit) in commits {
            match gather(group.work(), overlay, segment, *body_offset, commit, &mut moved) {
                Ok(count) => in_use += count,
                Err(error) => {
                    failure = Some(error);
                    return None;
                }
            }
        }
        let overlay = overlay.clone();
        (!moved.is_empty()).then(|| Submission { commit: moved, _held: None, _permit: None, overlay, ticket: 0 })
    })?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    match settled {
        Some(settled) => wait(settled).map(|()| in_use),
        // All remaining entries have a pending change; let the leader finish it, then check again.
        None if in_use > 0 => {
            std::thread::yield_now();
            Ok(in_use)
        }
        None => Ok(0),
    }
}

/// Adds the live entries of one commit to `moved`. Returns how many are live or have a pending change.
fn gather(
    writer: &Writer,
    overlay: &Overlay,
    segment: u32,
    body_offset: u32,
    commit: &Commit,
    moved: &mut Commit,
) -> Result<usize> {
    let mut in_use = 0;
    for entry in commit.entries() {
        let Some(range) = entry.value.clone() else { continue };
        let key = &commit.body()[entry.key.clone()];
        let offset = body_offset + u32::try_from(range.start).expect("commits are bounded");
        let length = u32::try_from(range.len()).expect("commits are bounded");
        // Checked before the index: if no change is pending now, the index has all changes of the key. In the other order, a
        // commit could complete between the two checks, and the move would undo it.
        let is_pending = overlay.contains(key);
        let is_there = writer.index.get(key)?.is_some_and(|located| located.place == Place { segment, offset, length });
        if is_there {
            in_use += 1;
            if !is_pending {
                moved.put(key, &commit.body()[range])?;
            }
        }
    }
    Ok(in_use)
}

fn unreadable(group: &Group<Writer>, segment: &Segment, offset: u32) -> Error {
    Error::Damaged {
        file: group.work().journal.disk().path().join(crate::journal::segment::file_name(segment.header.number)),
        offset: u64::from(offset),
        detail: "a frame cannot be read".to_owned(),
    }
}
