//! The store of records and blobs, as the rules in `domain` use it.
//!
//! [`contract`] is the seam: what an implementation guarantees, in bytes. The rest of this module adds types for all
//! implementations: [`Table`]s and [`Key`]s of records, [`Transaction`]s, [`Content`]s in a record or a blob, and exact counts.
//!
//! | Implementation | Is |
//! |---|---|
//! | `embedded` | the records of `durable` and blob files in a data directory, for one process |
//! | `memory` | for tests |
//!
//! What the rules rely on:
//!
//! - **Transactions.** A [`Transaction`] locks what it is about to change, reads it, and commits all its writes or none,
//!   also across a crash. Locks are taken in two steps, records first and identities second, each step at once; that
//!   order prevents deadlocks.
//! - **Durability.** [`Transaction::commit`] returns when its writes are durable, and they are visible only then. So no
//!   answer acknowledges or reveals something that a loss of power could take back. [`Transaction::commit_early`] returns then, too,
//!   but lets the next one go on before.
//! - **Failure.** A full disk refuses a commit, and nothing has changed. After a write that failed otherwise nothing is
//!   committed any more until a restart ([`Store::is_healthy`]); reads go on.
//! - **Counts.** What a transaction [charges](Transaction::charge) is counted by its commit, exactly, and the commit is refused
//!   if that exceeds a quota.
//! - **Blobs.** Bytes come first, the record that names them second. A crash in between leaves an orphan, which
//!   [`Store::sweep_orphans`] removes; it never leaves a record without bytes.
//! - **Lists** name how much they read. What is longer is walked over in steps of [`STEP`], which other work comes between.
//! - **Reads** outside of a transaction see committed records, each by itself.
//! - **Notifications** of a transaction go out once it has taken effect, also if nobody waits for it.

mod content;
pub(crate) mod contract;
pub(crate) mod embedded;
mod key;
mod local;
#[cfg(test)]
pub(crate) mod memory;
pub(crate) mod packed;
mod schema;
mod transaction;
mod usage;

#[cfg(test)]
mod conformance;

use std::ops::ControlFlow;
use std::sync::Arc;

use serde::de::DeserializeOwned;

pub(crate) use content::{Content, NewContent};
pub(crate) use contract::{AppendProgress, Appending, BlobAppender, BlobReader, PublishedBlob, Written};
pub(crate) use key::{Key, Rest, Table};
pub(crate) use transaction::Transaction;
pub(crate) use usage::{Change, Holder};

use crate::error::StoreError;
use crate::notifications::Notification;
use crate::quota::Amounts;
use crate::secrets::ServerKey;
use contract::{Backend, BlobWriter, Blobs, KeyRange, Notifications, Records};

/// Keys, or small records, that are read before other tasks run.
pub(crate) const STEP: usize = 1000;
/// The blobs that a record names.
const BLOBS: Table<()> = Table::new("blob");
/// Writes that the first counting puts into one commit.
const MAX_PART: usize = 1000;

/// Records and blobs of one backbone.
pub(crate) struct Store {
    records: Arc<dyn Records>,
    blobs: Arc<dyn Blobs>,
    notifications: Arc<dyn Notifications>,
}

/// One hit of a scan: what follows the prefix in the key, and the record.
pub(crate) struct Entry<R> {
    /// The rest of the key.
    pub(crate) rest: Rest,
    /// The record.
    pub(crate) record: R,
}

/// What a thread has read, for tests of what a request costs.
#[cfg(test)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Records that were asked for.
    pub(crate) read: usize,
    /// Records that were decoded.
    pub(crate) decoded: usize,
}

#[cfg(test)]
thread_local! {
    pub(crate) static WORK: std::cell::RefCell<Work> = const { std::cell::RefCell::new(Work { read: 0, decoded: 0 }) };
}

impl Store {
    /// A store on an implementation. Returns the key of the server too. Removes what interrupted uploads left behind.
    pub(crate) async fn on(backend: Backend) -> Result<(Self, ServerKey), StoreError> {
        let Backend { records, blobs, notifications, server_key } = backend;
        let store = Self { records, blobs, notifications };
        store.sweep_orphans().await?;
        Ok((store, server_key))
    }

    /// Whether an earlier version wrote the records without counting them. Then [`write_counts`](Self::write_counts) is called
    /// before anything else is changed.
    pub(crate) async fn is_uncounted(&self) -> Result<bool, StoreError> {
        let stored = self.records.get(schema::KEY).await?;
        Ok(schema::version(stored.as_deref()) == schema::UNCOUNTED)
    }

    /// Writes the counts of such records, with other changes, and marks the records as counted.
    pub(crate) async fn write_counts<'h>(
        &self,
        counts: impl Iterator<Item = (Holder<'h>, Amounts)>,
        mut others: Transaction<'_>,
    ) -> Result<(), StoreError> {
        for (holder, amounts) in counts {
            others.put(&holder.key(), &amounts)?;
            // In parts, because there may be many. What an interruption leaves is written again.
            others = others.commit_part(MAX_PART).await?;
        }
        others.commit().await?;
        let mut last = self.begin();
        last.set_version(schema::VERSION);
        last.commit().await
    }

    /// Makes the store look like one that an earlier version wrote.
    #[cfg(test)]
    pub(crate) async fn forget_counts(&self) {
        let prefix = Holder::prefix();
        let mut transaction = self.begin();
        transaction.set_version(schema::UNCOUNTED);
        for rest in self.keys(&prefix, &prefix, 100).await.unwrap() {
            transaction.delete(&prefix.with_rest(&rest));
        }
        transaction.commit().await.unwrap();
    }

    /// Checks that so many bytes of the disk are free.
    pub(crate) fn check_free(&self, bytes: u64) -> Result<(), StoreError> {
        self.records.check_room(bytes)
    }

    /// Does periodic work.
    pub(crate) fn maintain(&self) {
        self.records.maintain();
    }

    /// Passes the notifications of all transactions from now on to `receiver`, those of other processes too.
    pub(crate) fn subscribe(&self, receiver: impl Fn(&Notification) + Send + Sync + 'static) {
        self.notifications.subscribe(Box::new(receiver));
    }

    /// Begins a transaction.
    pub(crate) fn begin(&self) -> Transaction<'_> {
        Transaction::new(self)
    }

    /// Reads one record.
    pub(crate) async fn get<R: DeserializeOwned>(&self, key: &Key<R>) -> Result<Option<R>, StoreError> {
        #[cfg(test)]
        WORK.with_borrow_mut(|work| work.read += 1);
        self.records.get(key.bytes()).await?.map(|bytes| key.decode(&bytes)).transpose()
    }

    /// Whether there is a record.
    pub(crate) async fn contains<R>(&self, key: &Key<R>) -> Result<bool, StoreError> {
        #[cfg(test)]
        WORK.with_borrow_mut(|work| work.read += 1);
        self.records.contains(key.bytes()).await
    }

    /// Reads up to `limit` records whose keys start with `prefix`, in key order, from the key `from` on.
    pub(crate) async fn scan<R: DeserializeOwned>(
        &self,
        prefix: &Key<R>,
        from: &Key<R>,
        limit: usize,
    ) -> Result<Vec<Entry<R>>, StoreError> {
        let range = KeyRange { from: from.bytes(), until: &prefix.end() };
        let entry =
            |(key, value): (Vec<u8>, Vec<u8>)| Ok(Entry { rest: prefix.rest_of(&key), record: prefix.decode(&value)? });
        self.records.scan(range, limit).await?.into_iter().map(entry).collect()
    }

    /// The rests of up to `limit` keys that start with `prefix`, in key order, from the key `from` on.
    pub(crate) async fn keys<R>(&self, prefix: &Key<R>, from: &Key<R>, limit: usize) -> Result<Vec<Rest>, StoreError> {
        self.rests(prefix, KeyRange { from: from.bytes(), until: &prefix.end() }, limit).await
    }

    /// The same for keys that lie before the key `until`.
    pub(crate) async fn keys_before<R>(
        &self,
        prefix: &Key<R>,
        from: &Key<R>,
        until: &Key<R>,
        limit: usize,
    ) -> Result<Vec<Rest>, StoreError> {
        self.rests(prefix, KeyRange { from: from.bytes(), until: until.bytes() }, limit).await
    }

    async fn rests<R>(&self, prefix: &Key<R>, range: KeyRange<'_>, limit: usize) -> Result<Vec<Rest>, StoreError> {
        Ok(self.records.keys(range, limit).await?.iter().map(|key| prefix.rest_of(key)).collect())
    }

    /// Calls `visit` with the rests of the keys that start with `prefix`, in key order, from the key `from` on, until it breaks.
    /// Keys that are added or removed meanwhile may be visited; all others are, once.
    pub(crate) async fn walk_keys<R>(
        &self,
        prefix: &Key<R>,
        from: &Key<R>,
        mut visit: impl FnMut(&Rest) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut from = from.clone();
        loop {
            let step = self.keys(prefix, &from, STEP).await?;
            if step.iter().try_for_each(&mut visit).is_break() {
                return Ok(());
            }
            match step.last() {
                Some(last) if step.len() == STEP => from = prefix.after(last),
                _ => return Ok(()),
            }
            tokio::task::yield_now().await;
        }
    }

    /// The same with records, which have to be small: [`STEP`] of them are in memory.
    pub(crate) async fn walk<R: DeserializeOwned>(
        &self,
        prefix: &Key<R>,
        mut visit: impl FnMut(&Entry<R>) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut from = prefix.clone();
        loop {
            let step = self.scan(prefix, &from, STEP).await?;
            if step.iter().try_for_each(&mut visit).is_break() {
                return Ok(());
            }
            match step.last() {
                Some(last) if step.len() == STEP => from = prefix.after(&last.rest),
                _ => return Ok(()),
            }
            tokio::task::yield_now().await;
        }
    }

    /// Whether the store can still acknowledge writes.
    pub(crate) fn is_healthy(&self) -> bool {
        self.records.is_healthy()
    }

    /// Refuses what must not follow a commit that failed, and that may take effect after a restart.
    ///
    /// # Errors
    /// [`StoreError::Stopped`].
    pub(crate) fn check_healthy(&self) -> Result<(), StoreError> {
        if self.is_healthy() { Ok(()) } else { Err(StoreError::Stopped("an earlier write failed".into())) }
    }

    /// A writer for a new blob.
    pub(crate) async fn new_blob(&self) -> Result<Box<dyn BlobWriter>, StoreError> {
        self.blobs.create().await
    }

    /// Opens a blob for reading, if it is there.
    pub(crate) async fn read_blob(&self, name: &str) -> Result<Option<BlobReader>, StoreError> {
        self.blobs.open(name).await
    }

    /// Opens a blob to read at most `length` bytes behind the first `offset` ones, if it is there.
    pub(crate) async fn read_part_of_blob(
        &self,
        name: &str,
        offset: u64,
        length: u64,
    ) -> Result<Option<BlobReader>, StoreError> {
        self.blobs.open_part(name, offset, length).await
    }

    /// Opens a blob to append to it.
    pub(crate) async fn append_to_blob(&self, name: &str) -> Result<Appending, StoreError> {
        self.blobs.append(name).await
    }

    /// Removes blobs that neither a record names nor an upload will name. Returns how many. After a failed write none: a commit
    /// that failed may have reached the disk, and then it names its blobs after a restart.
    pub(crate) async fn sweep_orphans(&self) -> Result<usize, StoreError> {
        let (mut removed, mut cursor) = (0, None);
        loop {
            // Step by step, so that the names of all blobs are never in memory together.
            let step = self.blobs.unclaimed(cursor.as_deref()).await?;
            for name in step.names {
                if !self.contains(&BLOBS.key().text(&name)).await? {
                    if !self.is_healthy() {
                        return Ok(removed);
                    }
                    self.blobs.delete(&name).await?;
                    removed += 1;
                }
            }
            cursor = match step.next {
                Some(next) => Some(next),
                None => return Ok(removed),
            };
        }
    }

    /// Ends background work, so that the next start is quick. Everything that was committed is durable already.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        self.records.close().await
    }
}
