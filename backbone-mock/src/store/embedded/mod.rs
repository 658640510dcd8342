//! The embedded implementation: records in a store of `durable`, blobs in files, one process for each data directory.

mod append;
mod blobs;
mod open;

use std::any::Any;
use std::path::Path;
use std::sync::{Arc, Mutex};

use durable::{Admission, Basis, Commit, DirectoryLock, Submitted, private};

use super::contract::{
    Backend, Changes, Claim, KeyRange, LockSpace, MAX_COMMIT_BYTES, MAX_KEY_BYTES, Pending, Records, Session,
};
use super::local::{Guard, LocalNotifications, Locks};
use crate::error::{Error, StoreError};
use crate::notifications::Notification;
use blobs::BlobFiles;
use open::Opened;

const _: () = assert!(MAX_KEY_BYTES <= durable::MAX_KEY_BYTES && MAX_COMMIT_BYTES < durable::MAX_COMMIT_BYTES);

const LOCK_FILE: &str = "lock";
/// Name of the blobs in the data directory.
const BLOBS: &str = "blobs";

/// Opens a data directory, or initializes it at the first start.
///
/// # Errors
/// [`durable::Error::InUse`] if another process works on it, and those of an unusable data directory.
pub(crate) async fn open(data_dir: &Path) -> Result<Backend, Error> {
    let dir = data_dir.to_owned();
    tokio::task::spawn_blocking(move || open_now(&dir)).await.expect("opening does not panic")
}

fn open_now(data_dir: &Path) -> Result<Backend, Error> {
    private::prepare_visible_directory(data_dir)?;
    let lock = DirectoryLock::take(data_dir, LOCK_FILE)?;
    let Opened { records, key } = open::open(data_dir)?;
    let blob_dir = data_dir.join(BLOBS);
    let blobs = BlobFiles::open(&blob_dir).map_err(|error| durable::Error::io(&blob_dir, &error))?;
    let notifications = Arc::<LocalNotifications>::default();
    let journal = Journal::new(records, notifications.clone(), lock);
    let records = Arc::new(JournalRecords(Arc::new(journal)));
    Ok(Backend { records, blobs: Arc::new(blobs), notifications, server_key: key })
}

impl From<durable::Error> for StoreError {
    fn from(error: durable::Error) -> Self {
        let kind = match &error {
            full if full.is_full() => Self::Full,
            durable::Error::Failed { .. } | durable::Error::Closed => Self::Stopped,
            durable::Error::Damaged { .. } => Self::Damaged,
            _ => Self::Failed,
        };
        kind(error.into())
    }
}

struct JournalRecords(Arc<Journal>);

struct Journal {
    records: durable::Store,
    locks: Locks,
    /// Held while a commit with updates is submitted, so that no other one is submitted between its reads and its writes.
    counting: Mutex<()>,
    notifications: Arc<LocalNotifications>,
    // Last, so that the directory is released after everything in it is closed.
    _lock: DirectoryLock,
}

impl Journal {
    fn new(records: durable::Store, notifications: Arc<LocalNotifications>, lock: DirectoryLock) -> Self {
        Self { records, locks: Locks::new(), counting: Mutex::new(()), notifications, _lock: lock }
    }

    fn begin(self: &Arc<Self>) -> JournalSession {
        JournalSession { journal: self.clone(), guards: Vec::new(), basis: None }
    }
}

/// Reads wait for the disk only, so they need no task of their own.
fn ready<'a, T: Send + 'a>(outcome: Result<T, StoreError>) -> Pending<'a, T> {
    Box::pin(std::future::ready(outcome))
}

impl Records for JournalRecords {
    fn get<'a>(&'a self, key: &'a [u8]) -> Pending<'a, Option<Vec<u8>>> {
        ready(self.0.records.get(key).map_err(Into::into))
    }

    fn contains<'a>(&'a self, key: &'a [u8]) -> Pending<'a, bool> {
        ready(self.0.records.contains(key).map_err(Into::into))
    }

    fn scan<'a>(&'a self, range: KeyRange<'a>, limit: usize) -> Pending<'a, Vec<(Vec<u8>, Vec<u8>)>> {
        let pairs = self.0.records.range(range.from, Some(range.until)).take(limit);
        ready(pairs.collect::<durable::Result<_>>().map_err(Into::into))
    }

    fn keys<'a>(&'a self, range: KeyRange<'a>, limit: usize) -> Pending<'a, Vec<Vec<u8>>> {
        let keys = self.0.records.keys(range.from, Some(range.until)).take(limit);
        ready(keys.collect::<durable::Result<_>>().map_err(Into::into))
    }

    fn begin(&self) -> Box<dyn Session> {
        Box::new(self.0.begin())
    }

    fn check_room(&self, bytes: u64) -> Result<(), StoreError> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        Ok(durable::check_room(self.0.records.directory(), bytes)?)
    }

    fn is_healthy(&self) -> bool {
        self.0.records.failure().is_none()
    }

    /// The index creates new files at times. This removes the permissions of other users.
    fn maintain(&self) {
        private::tighten(self.0.records.directory());
    }

    fn close(&self) -> Pending<'_, ()> {
        let journal = self.0.clone();
        Box::pin(async {
            let closing = tokio::task::spawn_blocking(move || journal.records.close());
            Ok(closing.await.expect("closing does not panic")?)
        })
    }
}

struct JournalSession {
    journal: Arc<Journal>,
    guards: Vec<Guard>,
    /// When it read first what commits left that may not be durable yet.
    basis: Option<Basis>,
}

impl Session for JournalSession {
    fn lock<'a>(&'a mut self, space: LockSpace, names: &'a [&'a str]) -> Pending<'a, ()> {
        Box::pin(async move {
            self.guards.append(&mut self.journal.locks.lock(space, names).await);
            Ok(())
        })
    }

    fn latest<'a>(&'a mut self, key: &'a [u8]) -> Pending<'a, Option<Vec<u8>>> {
        let basis = *self.basis.get_or_insert_with(|| self.journal.records.basis());
        ready(self.journal.records.latest_since(basis).get(key).map_err(Into::into))
    }

    fn commit(self: Box<Self>, mut changes: Changes) -> Pending<'static, ()> {
        Box::pin(async move {
            let admission = self.journal.records.admit().await;
            let notifications = std::mem::take(&mut changes.notifications);
            let receivers = self.journal.notifications.clone();
            let submitted = self.submit(changes, admission)?;
            match notifications.is_empty() {
                true => Ok(submitted.done().await?),
                false => send_after(submitted, notifications, receivers).await,
            }
        })
    }
}

/// Waits for a commit and sends its notifications, also if the caller stops waiting.
async fn send_after(
    submitted: Submitted,
    notifications: Vec<Notification>,
    receivers: Arc<LocalNotifications>,
) -> Result<(), StoreError> {
    let sending = tokio::spawn(async move {
        submitted.done().await?;
        receivers.send(&notifications);
        Ok(())
    });
    sending.await.expect("receivers do not panic")
}

impl JournalSession {
    /// Submits changes. Guards that are released early go when this returns: the order of the commit is decided then.
    fn submit(self, changes: Changes, admission: Admission) -> Result<Submitted, StoreError> {
        let Self { journal, guards, basis } = self;
        let Changes { writes, updates, claims, releases_early, notifications: _ } = changes;
        let mut commit = Commit::new();
        for (key, value) in &writes {
            put_or_remove(&mut commit, key, value.as_deref())?;
        }
        let (_early, guards) = if releases_early { (guards, Vec::new()) } else { (Vec::new(), guards) };
        if updates.is_empty() && basis.is_none() {
            return Ok(journal.records.submit(commit, admission, Some(held(guards, claims)))?);
        }
        let _turn =
            (!updates.is_empty()).then(|| journal.counting.lock().expect("no code panics while it holds the lock"));
        let latest = journal.records.latest_since(basis.unwrap_or_else(|| journal.records.basis()));
        for (key, update) in &updates {
            let value = update(latest.get(key)?)?;
            put_or_remove(&mut commit, key, value.as_deref())?;
        }
        Ok(journal.records.submit_built_on(&latest, commit, admission, Some(held(guards, claims)))?)
    }
}

fn put_or_remove(commit: &mut Commit, key: &[u8], value: Option<&[u8]>) -> durable::Result<()> {
    match value {
        Some(value) => commit.put(key, value),
        None => commit.remove(key),
    }
}

/// What is released when the commit has taken effect or was refused. If it was refused, no record names these blobs, and the next
/// sweep removes them.
fn held(guards: Vec<Guard>, mut claims: Vec<Box<dyn Claim>>) -> Box<dyn Any + Send> {
    claims.iter_mut().for_each(|claim| claim.keep());
    Box::new((guards, claims))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[tokio::test]
    async fn a_commit_that_was_submitted_takes_effect_although_nobody_waits() {
        let dir = tempfile::tempdir().unwrap();
        let records = open(dir.path()).await.unwrap().records;
        let mut session = records.begin();
        session.lock(LockSpace::Records, &["a"]).await.unwrap();
        let writes = [(b"a".to_vec(), Some(vec![1]))].into();
        let mut abandoned = session.commit(Changes { writes, ..Changes::default() });
        let _ = futures_util::poll!(&mut abandoned);
        drop(abandoned);
        let mut next = records.begin();
        next.lock(LockSpace::Records, &["a"]).await.unwrap();
        assert_eq!(records.get(b"a").await.unwrap(), Some(vec![1]));
    }

    /// Writes a value under a lock and returns what it read there, and the commit, which nobody flushes yet.
    async fn submitted(journal: &Arc<Journal>, value: u8, releases_early: bool) -> (Option<Vec<u8>>, Submitted) {
        let mut session = journal.begin();
        session.lock(LockSpace::Records, &["a"]).await.unwrap();
        let before = session.latest(b"a").await.unwrap();
        let writes = [(b"a".to_vec(), Some(vec![value]))].into();
        let changes = Changes { writes, releases_early, ..Changes::default() };
        (before, session.submit(changes, journal.records.admit().await).unwrap())
    }

    #[tokio::test]
    async fn those_behind_an_early_release_share_its_flush_and_nobody_else_sees_it_before() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirectoryLock::take(dir.path(), LOCK_FILE).unwrap();
        let records = open::open(dir.path()).unwrap().records;
        let journal = Arc::new(Journal::new(records, Arc::default(), lock));
        let (before, first) = submitted(&journal, 1, true).await;
        assert_eq!(before, None);
        let (before, second) = submitted(&journal, 2, true).await;
        assert_eq!(before, Some(vec![1]));
        assert_eq!(journal.records.get(b"a").unwrap(), None, "it may be lost");
        second.done().await.unwrap();
        assert_eq!(journal.records.get(b"a").unwrap(), Some(vec![2]));
        first.done().await.unwrap();
        let (_, last) = submitted(&journal, 3, false).await;
        let mut waiting = Box::pin(submitted(&journal, 4, true));
        assert!(futures_util::poll!(&mut waiting).is_pending(), "the lock is kept until the commit is durable");
        last.done().await.unwrap();
        assert_eq!(waiting.await.0, Some(vec![3]));
    }

    #[test]
    fn errors_of_the_journal_are_sorted_by_what_a_caller_can_do() {
        let sorted = |error: durable::Error| StoreError::from(error);
        let (path, reason) = (PathBuf::from("records"), "reason".to_owned());
        assert!(matches!(sorted(durable::Error::Full { path: path.clone() }), StoreError::Full(_)));
        assert!(matches!(sorted(durable::Error::Superseded), StoreError::Full(_)));
        assert!(matches!(sorted(durable::Error::Failed { reason: reason.clone() }), StoreError::Stopped(_)));
        assert!(matches!(sorted(durable::Error::Closed), StoreError::Stopped(_)));
        let damaged = durable::Error::Damaged { file: path.clone(), offset: 7, detail: reason.clone() };
        assert!(matches!(sorted(damaged), StoreError::Damaged(_)));
        let failed = sorted(durable::Error::Index { path, reason });
        assert!(matches!(&failed, StoreError::Failed(cause) if cause.is::<durable::Error>()), "the cause is kept");
    }

    #[tokio::test]
    async fn files_that_an_interrupted_upload_left_are_listed_or_removed() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()).await.unwrap());
        let orphan = "ff000000000000000000000000000000";
        let files = dir.path().join(BLOBS);
        std::fs::write(files.join("ff").join(orphan), b"in place").unwrap();
        std::fs::write(files.join("tmp").join(orphan), b"half written").unwrap();
        let blobs = open(dir.path()).await.unwrap().blobs;
        assert_eq!(blobs.unclaimed(Some("fe")).await.unwrap().names, [orphan]);
        assert!(!files.join("tmp").join(orphan).exists());
    }
}
