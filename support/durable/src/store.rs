//! The store: an ordered key-value map, changed by commits.

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLockReadGuard};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::blocking::wait;
use crate::boot;
use crate::cleaner::Cleaner;
use crate::commit::Commit;
use crate::disk::{Disk, RealDisk};
use crate::group::{Group, Settled};
use crate::index::{Index, Located, State};
use crate::journal::segment::StoreId;
use crate::journal::{Journal, Place, recovery};
use crate::overlay::Overlay;
use crate::writer::{Submission, Writer, changes, submit};
use crate::{Error, Result, private};

/// Maximum number of pending commits; further ones wait. With [`MAX_COMMIT_BYTES`](crate::MAX_COMMIT_BYTES) this bounds
/// the memory they take.
pub const MAX_PENDING_COMMITS: usize = 1024;
/// Number of changes that a rebuild of the index applies at a time.
const REBUILD_BATCH: usize = 4096;

const FORMAT: &str = "format";
const JOURNAL: &str = "journal";
const INDEX: &str = "index";
const INDEX_STATE: &str = "index.state";
const FORMAT_LINE: &str = "enlace store, format 1, ";
/// Size limit when reading the format file, which has 57 bytes.
const MAX_FORMAT_BYTES: u64 = 256;

/// A key with its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// An open store. Dropping it stops the cleaner but, unlike [`close`](Self::close), does not wait for pending commits or
/// flush the index.
pub struct Store {
    group: Arc<Group<Writer>>,
    overlay: Arc<Overlay>,
    admission: Arc<Semaphore>,
    cleaner: Cleaner,
    directory: PathBuf,
}

/// Permission to submit one commit. Pending commits need no lock of the caller, so it may be awaited while holding locks.
pub struct Admission(OwnedSemaphorePermit);

/// A submitted commit. Await [`done`](Self::done) before acknowledging it.
#[must_use = "the commit is not durable until `done` returns"]
pub struct Submitted(Settled<Writer>);

impl Submitted {
    /// Returns when the commit is on disk and visible to readers.
    ///
    /// Cancelling the wait does not withdraw the commit.
    ///
    /// # Errors
    /// [`Error::Full`] or [`Error::Superseded`] if it was refused and has no effect. [`Error::Failed`] if the outcome is unknown.
    pub async fn done(self) -> Result<()> {
        self.0.await
    }
}

impl Store {
    /// Creates an empty store in a directory that must not have one. It does not count as a store until
    /// [`complete`](Self::complete) is called.
    ///
    /// # Errors
    /// The operating system's error.
    pub(crate) fn begin(directory: &Path) -> Result<Self> {
        let failed = |error: io::Error| Error::io(directory, &error);
        private::create_directory(&directory.join(JOURNAL)).map_err(failed)?;
        let mut id = StoreId::default();
        getrandom::fill(&mut id)
            .map_err(|_| Error::Failed { reason: "the system has no random numbers".to_owned() })?;
        let journal = Journal::create(disk(directory), id)?;
        private::create_file(&directory.join(format!("{FORMAT}.new")), format_text(&id).as_bytes()).map_err(failed)?;
        let index = Index::open(&directory.join(INDEX))?;
        boot::note_in_use(&directory.join(INDEX_STATE)).map_err(failed)?;
        let state = State { position: journal.end(), live_bytes: 0 };
        index.apply(Vec::new(), state.position, 0)?;
        Ok(Self::with(directory, journal, index, state))
    }

    /// Durably marks the directory as a complete store.
    pub(crate) fn complete(directory: &Path) -> Result<()> {
        let (unfinished, format) = (directory.join(format!("{FORMAT}.new")), directory.join(FORMAT));
        std::fs::rename(unfinished, format)
            .and_then(|()| private::sync_directory(directory))
            .map_err(|error| Error::io(directory, &error))
    }

    /// Whether there is a complete store in a directory.
    pub(crate) fn is_in(directory: &Path) -> bool {
        directory.join(FORMAT).is_file()
    }

    /// Opens the store in a directory, with all acknowledged commits.
    ///
    /// Blocks the thread: usually for milliseconds; after a power cut, for as long as it takes to read the whole journal.
    ///
    /// # Errors
    /// [`Error::Damaged`] if an acknowledged commit cannot be read, [`Error::Newer`], [`Error::Io`], and
    /// [`Error::TooOpen`] or [`Error::Foreign`] if other users can write in the directory.
    pub fn open(directory: &Path) -> Result<Self> {
        private::check_unchangeable(directory)?;
        let id = read_format(directory)?;
        let found = recovery::find(disk(directory), id)?;
        let found = found
            .ok_or_else(|| Error::StoreLost { store: directory.join(JOURNAL), evidence: directory.join(FORMAT) })?;
        let note = directory.join(INDEX_STATE);
        let is_reliable = boot::is_reliable(&note)?;
        // Before the index is opened: opening it writes, so from here on it has unflushed changes.
        boot::note_in_use(&note).map_err(|error| Error::io(&note, &error))?;
        let reliable = if is_reliable { reliable_index(directory, &found)? } else { None };
        let (index, state) = match reliable {
            Some(indexed) => indexed,
            None => empty_index(directory, &found)?,
        };
        let (journal, state) = catch_up(found, &index, state)?;
        Ok(Self::with(directory, journal, index, state))
    }

    fn with(directory: &Path, journal: Journal, index: Index, state: State) -> Self {
        // sled creates files without restricting their permissions.
        private::tighten(&directory.join(INDEX));
        let overlay = Arc::new(Overlay::default());
        let group = Group::new(Writer::new(journal, index, state));
        let cleaner = Cleaner::start(Arc::downgrade(&group), overlay.clone());
        let admission = Arc::new(Semaphore::new(MAX_PENDING_COMMITS));
        Self { group, overlay, admission, cleaner, directory: directory.to_owned() }
    }

    /// Its path.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The durable value of a key.
    ///
    /// # Errors
    /// [`Error::Index`], [`Error::Io`], [`Error::Damaged`] if it cannot be read.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut before = None;
        while let Some(located) = self.index().get(key)? {
            if let Some(value) = self.value(&located)? {
                return Ok(Some(value));
            }
            // The cleaner may have moved it in between. If the index has not changed, it refers to a missing segment.
            if before.as_ref() == Some(&located) {
                return Err(self.index().unreadable());
            }
            before = Some(located);
        }
        Ok(None)
    }

    /// Whether a key has a value.
    ///
    /// # Errors
    /// [`Error::Index`] if the index cannot be read.
    pub fn contains(&self, key: &[u8]) -> Result<bool> {
        self.index().contains(key)
    }

    /// The keys in `from..until` with their values, in order. Each is read when the iterator reaches it, so concurrent changes
    /// may or may not be seen.
    ///
    /// # Errors
    /// Each item fails like [`get`](Self::get).
    pub fn range(&self, from: &[u8], until: Option<&[u8]>) -> impl Iterator<Item = Result<Pair>> + use<'_> {
        self.located(from, until).filter_map(|entry| {
            let pair = entry.and_then(|(key, located)| {
                let value = match self.value(&located)? {
                    Some(value) => Some(value),
                    None => self.get(&key)?,
                };
                Ok(value.map(|value| (key, value)))
            });
            pair.transpose()
        })
    }

    /// Like [`range`](Self::range), without the values.
    ///
    /// # Errors
    /// Each item: [`Error::Index`].
    pub fn keys(
        &self,
        from: &[u8],
        until: Option<&[u8]>,
    ) -> impl DoubleEndedIterator<Item = Result<Vec<u8>>> + use<'_> {
        self.located(from, until).map(|entry| Ok(entry?.0))
    }

    /// A consistent view of the keys. No commit takes effect until it is dropped, so drop it soon. Calling other methods of the
    /// store on the same thread before that can deadlock.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<'_> {
        Snapshot { store: self, _gate: self.index().close_gate() }
    }

    /// A view that includes pending commits. Only for building commits: what it shows may not be durable yet.
    #[must_use]
    pub fn latest(&self) -> Latest<'_> {
        self.latest_since(self.basis())
    }

    /// The beginning of a view that includes pending commits and is not held meanwhile; see [`latest_since`](Self::latest_since).
    #[must_use]
    pub fn basis(&self) -> Basis {
        Basis(self.group.refusals())
    }

    /// The view that began then: a commit that is [built on](Self::submit_built_on) it is refused if a commit was that it may have
    /// shown at any time since.
    #[must_use]
    pub fn latest_since(&self, basis: Basis) -> Latest<'_> {
        Latest { store: self, basis }
    }

    /// Waits until a commit may be submitted.
    ///
    /// # Cancellation
    /// Has no effect.
    pub async fn admit(&self) -> Admission {
        Admission(self.admission.clone().acquire_owned().await.expect("the semaphore is never closed"))
    }

    /// Submits a commit. It takes effect after all earlier ones.
    ///
    /// `held`, for instance a lock, is dropped once the commit has taken effect or was refused, even if nobody awaits it.
    ///
    /// # Errors
    /// [`Error::Failed`] after a failed write, [`Error::Closed`] after [`close`](Self::close).
    pub fn submit(&self, commit: Commit, admission: Admission, held: Option<Box<dyn Any + Send>>) -> Result<Submitted> {
        self.submit_after(None, commit, admission, held)
    }

    /// Submits a commit that was built on values read from `latest`. `held` is as for [`submit`](Self::submit).
    ///
    /// # Errors
    /// Like [`submit`](Self::submit); [`Error::Superseded`] if a commit that `latest` may have shown was refused.
    pub fn submit_built_on(
        &self,
        latest: &Latest<'_>,
        commit: Commit,
        admission: Admission,
        held: Option<Box<dyn Any + Send>>,
    ) -> Result<Submitted> {
        self.submit_after(Some(latest.basis.0), commit, admission, held)
    }

    fn submit_after(
        &self,
        refusals: Option<u64>,
        commit: Commit,
        Admission(permit): Admission,
        held: Option<Box<dyn Any + Send>>,
    ) -> Result<Submitted> {
        // An empty commit waits too: the commits it was built on may be pending or refused.
        let overlay = self.overlay.clone();
        let submission = Submission { commit, _held: held, _permit: Some(permit), overlay, ticket: 0 };
        let settled = submit(&self.group, refusals, || Some(submission))?;
        self.cleaner.look(self.group.work());
        Ok(Submitted(settled.expect("there was something to submit")))
    }

    /// Submits a commit and waits until it is done.
    ///
    /// # Errors
    /// The errors of [`submit`](Self::submit) and [`Submitted::done`].
    pub async fn commit(&self, commit: Commit) -> Result<()> {
        let admission = self.admit().await;
        self.submit(commit, admission, None)?.done().await
    }

    /// Like [`commit`](Self::commit), but blocks the thread.
    ///
    /// # Errors
    /// Like [`commit`](Self::commit).
    pub fn commit_blocking(&self, commit: Commit) -> Result<()> {
        wait(self.commit(commit))
    }

    /// The failed write after which no commit is acknowledged, if any.
    #[must_use]
    pub fn failure(&self) -> Option<Error> {
        self.group.failure()
    }

    /// Bytes of the journal, and how many of them are garbage.
    #[must_use]
    pub fn journal_bytes(&self) -> (u64, u64) {
        (self.group.work().journal.used_bytes(), self.group.work().garbage_bytes())
    }

    /// Cleans the oldest segment of the journal now, if it is complete. For tests and maintenance: the store also does so in the
    /// background. Blocks the thread.
    ///
    /// # Errors
    /// The errors of reading and committing.
    pub fn clean(&self) -> Result<()> {
        crate::cleaner::clean_oldest(&self.group, &self.overlay)
    }

    /// Stops background work, waits for pending commits and flushes the index, so that it need not be rebuilt after a reboot.
    /// Blocks the thread. Later commits are refused with [`Error::Closed`]. Idempotent.
    ///
    /// # Errors
    /// The operating system's error. No acknowledged commit is lost then, but the next start may rebuild the index.
    pub fn close(&self) -> Result<()> {
        self.cleaner.stop();
        // Refuses new commits, and waits for the pending ones.
        self.group.close();
        self.index().flush()?;
        let index = self.directory.join(INDEX);
        sync_tree(&index).map_err(|error| Error::io(&index, &error))?;
        let note = self.directory.join(INDEX_STATE);
        match self.failure() {
            None => boot::note_flushed(&note).map_err(|error| Error::io(&note, &error)),
            Some(_) => Ok(()),
        }
    }

    fn located(
        &self,
        from: &[u8],
        until: Option<&[u8]>,
    ) -> impl DoubleEndedIterator<Item = Result<(Vec<u8>, Located)>> + use<'_> {
        // sled panics on a range whose end is before its start.
        let from = until.filter(|until| *until < from).unwrap_or(from);
        self.index().range(from.to_vec(), until.map(<[u8]>::to_vec))
    }

    /// The value that an index entry refers to; `None` if the cleaner has moved it.
    fn value(&self, located: &Located) -> Result<Option<Vec<u8>>> {
        if let Some(inline) = located.inline() {
            return Ok(Some(inline.to_vec()));
        }
        let journal = &self.group.work().journal;
        let Place { segment, offset, .. } = located.place;
        let value = journal.read(located.place).map_err(|error| journal.error(segment, &error))?;
        match value {
            Some(value) if !located.is(&value) => Err(Error::Damaged {
                file: journal.disk().path().join(crate::journal::segment::file_name(segment)),
                offset: u64::from(offset),
                detail: "the checksum of a value does not match".to_owned(),
            }),
            value => Ok(value),
        }
    }

    fn index(&self) -> &Index {
        &self.group.work().index
    }
}

/// A consistent view of the keys: each commit is visible in all ranges read from it, or in none.
pub struct Snapshot<'a> {
    store: &'a Store,
    _gate: RwLockReadGuard<'a, ()>,
}

impl Snapshot<'_> {
    /// The keys in `from..until`, in order.
    ///
    /// # Errors
    /// Each item: [`Error::Index`].
    pub fn keys(&self, from: &[u8], until: Option<&[u8]>) -> impl Iterator<Item = Result<Vec<u8>>> + use<'_> {
        self.store.keys(from, until)
    }
}

/// A view that includes pending commits.
pub struct Latest<'a> {
    store: &'a Store,
    basis: Basis,
}

/// When a view that includes pending commits began: what was refused by then, it does not show.
#[derive(Debug, Clone, Copy)]
pub struct Basis(u64);

impl Latest<'_> {
    /// The value of a key.
    ///
    /// # Errors
    /// Like [`Store::get`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.store.overlay.get(key) {
            Some(submitted) => Ok(submitted.map(|value| value.to_vec())),
            None => self.store.get(key),
        }
    }

    /// At most `limit` keys in `from..until` with their values, in order.
    ///
    /// # Errors
    /// Like [`Store::get`].
    pub fn range(&self, from: &[u8], until: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>> {
        let submitted = self.store.overlay.range(from, until);
        let mut merged = Vec::new();
        let mut ahead = submitted.iter().peekable();
        let mut stored = self.store.range(from, until);
        let mut next = stored.next().transpose()?;
        while merged.len() < limit {
            match (ahead.peek(), &next) {
                (Some((key, value)), pair) if pair.as_ref().is_none_or(|(stored, _)| *key <= stored) => {
                    if pair.as_ref().is_some_and(|(stored, _)| *key == stored) {
                        next = stored.next().transpose()?;
                    }
                    merged.extend(value.as_ref().map(|value| ((*key).clone(), value.to_vec())));
                    ahead.next();
                }
                (_, None) => break,
                (_, Some(_)) => {
                    merged.extend(next.take());
                    next = stored.next().transpose()?;
                }
            }
        }
        Ok(merged)
    }

    /// Like [`range`](Self::range), without the values, of which none is read.
    ///
    /// # Errors
    /// Like [`Store::keys`].
    pub fn keys(&self, from: &[u8], until: Option<&[u8]>, limit: usize) -> Result<Vec<Vec<u8>>> {
        let submitted = self.store.overlay.range(from, until);
        let stored = self.store.keys(from, until);
        let stored = stored.filter(|key| key.as_ref().map_or(true, |key| !submitted.contains_key(key)));
        let mut keys = stored.take(limit).collect::<Result<Vec<_>>>()?;
        keys.extend(submitted.iter().filter(|(_, value)| value.is_some()).map(|(key, _)| key.clone()));
        keys.sort_unstable();
        keys.truncate(limit);
        Ok(keys)
    }
}

fn disk(directory: &Path) -> Arc<dyn Disk> {
    Arc::new(RealDisk::new(directory.join(JOURNAL)))
}

fn format_text(id: &StoreId) -> String {
    let digits: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{FORMAT_LINE}{digits}\n")
}

fn read_format(directory: &Path) -> Result<StoreId> {
    let path = directory.join(FORMAT);
    let text = private::read_file(&path, MAX_FORMAT_BYTES)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let damaged = || Error::Damaged { file: path.clone(), offset: 0, detail: "it does not name a store".to_owned() };
    let Some(digits) = text.trim().strip_prefix(FORMAT_LINE) else {
        let found = text.strip_prefix("enlace store, format ").and_then(|rest| rest.split(',').next()?.parse().ok());
        return Err(found.map_or_else(damaged, |found| Error::Newer {
            store: directory.to_owned(),
            found,
            supported: 1,
        }));
    };
    let id = u128::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 32).ok_or_else(damaged)?;
    Ok(id.to_be_bytes())
}

/// Opens the index on disk; `None` if it cannot be read or does not fit the journal.
fn reliable_index(directory: &Path, found: &recovery::Found) -> Result<Option<(Index, State)>> {
    // sled panics on some kinds of damage.
    let path = directory.join(INDEX);
    let opened = std::panic::catch_unwind(|| Index::open(&path).and_then(|index| Ok((index.state()?, index))));
    match opened {
        Ok(Ok((Some(state), index))) if found.has(state.position) => Ok(Some((index, state))),
        // The index has only acknowledged commits, so the journal has lost some.
        Ok(Ok((Some(state), _))) if found.is_behind(state.position) => Err(found.cut_off()),
        Ok(Ok(_)) => Ok(None),
        Ok(Err(error @ (Error::Full { .. } | Error::InUse { .. }))) => Err(error),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the index cannot be opened and is rebuilt");
            Ok(None)
        }
        Err(_) => Ok(None),
    }
}

fn empty_index(directory: &Path, found: &recovery::Found) -> Result<(Index, State)> {
    let path = directory.join(INDEX);
    match std::fs::remove_dir_all(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io(&path, &error)),
        _ => tracing::info!(path = %path.display(), "the index is rebuilt from the journal"),
    }
    let index = Index::open(&path)?;
    let position = found.beginning();
    let state = index.apply(Vec::new(), position, 0)?;
    Ok((index, state))
}

/// Applies the commits that the index does not have yet.
fn catch_up(found: recovery::Found, index: &Index, mut state: State) -> Result<(Journal, State)> {
    let mut waiting = Vec::new();
    let mut position = state.position;
    let from = state.position;
    let journal = found.replay(from, |replayed| {
        let body = Place { segment: replayed.segment, offset: replayed.body_offset, length: 0 };
        waiting.extend(changes(body, &replayed.commit));
        position = replayed.next;
        if waiting.len() >= REBUILD_BATCH {
            state = index.apply(std::mem::take(&mut waiting), position, state.live_bytes)?;
        }
        Ok(())
    })?;
    let state = index.apply(waiting, position, state.live_bytes)?;
    Ok((journal, state))
}

/// Flushes a directory with all files and directories in it.
fn sync_tree(directory: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            std::fs::File::open(entry.path())?.sync_all()?;
        }
    }
    private::sync_directory(directory)
}

#[cfg(all(test, feature = "simulation", not(feature = "loom")))]
mod tests {
    use super::*;
    use crate::simulation::SimulatedDisk;

    const ROOM: usize = 64 << 20;

    /// A store whose journal lies on a disk that can be full.
    fn store_on(disk: &SimulatedDisk, directory: &Path) -> Store {
        let journal = Journal::create(Arc::new(disk.clone()), StoreId::default()).unwrap();
        let index = Index::open(&directory.join(INDEX)).unwrap();
        let state = State { position: journal.end(), live_bytes: 0 };
        index.apply(Vec::new(), state.position, 0).unwrap();
        Store::with(directory, journal, index, state)
    }

    fn put(value: u8) -> Commit {
        let mut commit = Commit::new();
        commit.put(b"key", &[value]).unwrap();
        commit
    }

    fn submit_on(store: &Store, basis: Basis, commit: Commit) -> Result<Submitted> {
        store.submit_built_on(&store.latest_since(basis), commit, wait(store.admit()), None)
    }

    #[test]
    fn what_was_built_on_a_refused_commit_is_refused_also_if_the_view_was_not_held() {
        let (disk, directory) = (SimulatedDisk::new(1, ROOM), tempfile::tempdir().unwrap());
        let store = store_on(&disk, directory.path());
        let first = store.submit(put(1), wait(store.admit()), None).unwrap();
        let basis = store.basis();
        assert_eq!(store.latest_since(basis).get(b"key").unwrap(), Some(vec![1]));
        let meanwhile = submit_on(&store, basis, put(2)).unwrap();
        disk.set_capacity(0);
        assert!(matches!(wait(first.done()), Err(Error::Full { .. })));
        disk.set_capacity(ROOM);
        assert!(matches!(wait(meanwhile.done()), Err(Error::Full { .. })));
        // Neither a change nor an answer without one follows from what was refused.
        assert!(matches!(submit_on(&store, basis, put(3)), Err(Error::Superseded)));
        assert!(matches!(submit_on(&store, basis, Commit::new()), Err(Error::Superseded)));
        assert_eq!(store.latest().get(b"key").unwrap(), None);
        wait(submit_on(&store, store.basis(), put(4)).unwrap().done()).unwrap();
        assert_eq!(store.get(b"key").unwrap(), Some(vec![4]));
    }
}
