//! Where records and files are kept: the contract, and the embedded implementation of it.
//!
//! What the rules in `domain` may rely on, and what another implementation (a database server and an object store) has
//! to keep:
//!
//! - **Transactions.** A [`Transaction`] locks what it is about to change, reads it, and commits all its writes or none,
//!   also across a crash. Locks are taken in two steps, records first and identities second, each step at once; that
//!   order is what excludes deadlocks.
//! - **Durability.** [`Transaction::commit`] returns when its writes are on disk, and they are visible only then. So no
//!   answer acknowledges or reveals something that a loss of power could take back. Concurrent transactions share one
//!   synchronisation.
//! - **Failure.** A full disk refuses a commit, and nothing has changed. After a write that failed otherwise nothing is
//!   committed any more until a restart ([`Store::is_healthy`]); reads go on.
//! - **Counts.** What a transaction [charges](Transaction::charge) is counted by its commit, exactly, and the commit is refused
//!   if that exceeds a quota.
//! - **Blobs.** Bytes come first, the record that names them second. A crash in between leaves an orphan, which
//!   [`Store::sweep_orphans`] removes; it never leaves a record without bytes.
//! - **Lists** name how much they read. What is longer is walked over in steps of [`STEP`], which other work comes between.
//! - **Reads** outside of a transaction see committed records, each by itself.

mod content;
mod embedded;
mod key;
mod locks;
pub(crate) mod packed;
mod transaction;
mod usage;
mod walk;

#[cfg(test)]
mod conformance;

use std::path::Path;
use std::sync::{Arc, Mutex};

use durable::{DirectoryLock, private};

pub(crate) use content::{Content, NewContent};
pub(crate) use embedded::blobs::{BlobReader, BlobWriter, PublishedBlob, Written};
pub(crate) use key::{Key, Table, split_number, split_text};
pub(crate) use transaction::Transaction;
pub(crate) use usage::{Change, Holder};
pub(crate) use walk::STEP;

use crate::error::{Error, StoreError};
use crate::quota::Amounts;
use crate::secrets::ServerKey;
use embedded::blobs::Blobs;
use embedded::open;
use locks::Stripes;

/// Which blobs have a record that names them.
const BLOBS: Table<()> = Table::new("blob");
const LOCK_FILE: &str = "lock";
/// Writes that the first counting puts into one commit.
const MAX_PART: usize = 1000;

/// Records and blob files of one backbone.
pub(crate) struct Store {
    records: Arc<durable::Store>,
    record_locks: Stripes,
    identity_locks: Stripes,
    blobs: Blobs,
    /// Held while a commit that counts is submitted, so that no other one comes between its reading and its writing.
    counting: Mutex<()>,
    is_uncounted: bool,
    // Last, so that the directory is released after everything in it is closed.
    _lock: DirectoryLock,
}

/// One hit of a scan: what follows the prefix in the key, and the record.
pub(crate) struct Entry<R> {
    /// The rest of the key.
    pub(crate) rest: Vec<u8>,
    /// The record.
    pub(crate) record: R,
}

impl Store {
    /// Opens the store in a data directory, and removes what an interrupted upload left behind. Returns the key of the server
    /// too, which is made with the store.
    pub(crate) async fn open(data_dir: &Path) -> Result<(Self, ServerKey), Error> {
        let dir = data_dir.to_owned();
        let opening = tokio::task::spawn_blocking(move || open_now(&dir));
        let (store, key) = opening.await.expect("opening does not panic")?;
        store.sweep_orphans().await?;
        Ok((store, key))
    }

    /// Whether the records were written by a program that did not count them. Then [`write_counts`](Self::write_counts) is
    /// called before anything else is changed.
    pub(crate) fn is_uncounted(&self) -> bool {
        self.is_uncounted
    }

    /// Writes the counts of records that were not counted, with what else has to be there, and marks them as counted.
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
        Ok(self.records.commit(open::counted()?).await?)
    }

    /// Makes the store one that an earlier program wrote.
    #[cfg(test)]
    pub(crate) async fn forget_counts(&self) {
        let prefix = Holder::prefix();
        let mut commit = open::uncounted();
        for rest in self.keys(&prefix, &prefix, 100).await.unwrap() {
            commit.remove(prefix.with_rest(&rest).bytes()).unwrap();
        }
        self.records.commit(commit).await.unwrap();
    }

    /// Checks that so many bytes of the disk are free.
    pub(crate) fn check_free(&self, bytes: u64) -> Result<(), StoreError> {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        Ok(durable::check_room(self.records.directory(), bytes)?)
    }

    /// Makes the files of the database readable for their owner only.
    pub(crate) fn tighten_permissions(&self) {
        private::tighten(self.records.directory());
    }

    /// Starts to change something.
    pub(crate) fn begin(&self) -> Transaction<'_> {
        Transaction::new(self)
    }

    /// Reads one record.
    pub(crate) async fn get<R: serde::de::DeserializeOwned>(&self, key: &Key<R>) -> Result<Option<R>, StoreError> {
        self.records.get(key.bytes())?.map(|bytes| key.decode(&bytes)).transpose()
    }

    /// Whether there is a record.
    pub(crate) async fn contains<R>(&self, key: &Key<R>) -> Result<bool, StoreError> {
        Ok(self.records.contains(key.bytes())?)
    }

    /// Reads up to `limit` records whose keys start with `prefix`, in key order, from the key `from` on.
    pub(crate) async fn scan<R: serde::de::DeserializeOwned>(
        &self,
        prefix: &Key<R>,
        from: &Key<R>,
        limit: usize,
    ) -> Result<Vec<Entry<R>>, StoreError> {
        self.records
            .range(from.bytes(), Some(&prefix.end()))
            .take(limit)
            .map(|entry| {
                let (key, value) = entry?;
                Ok(Entry { rest: key[prefix.bytes().len()..].to_vec(), record: prefix.decode(&value)? })
            })
            .collect()
    }

    /// The rests of up to `limit` keys that start with `prefix`, in key order, from the key `from` on.
    pub(crate) async fn keys<R>(
        &self,
        prefix: &Key<R>,
        from: &Key<R>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let keys = self.records.keys(from.bytes(), Some(&prefix.end())).take(limit);
        keys.map(|key| Ok(key?[prefix.bytes().len()..].to_vec())).collect()
    }

    /// The same for keys that lie before the key `until`.
    pub(crate) async fn keys_before<R>(
        &self,
        prefix: &Key<R>,
        from: &Key<R>,
        until: &Key<R>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let keys = self.records.keys(from.bytes(), Some(until.bytes())).take(limit);
        keys.map(|key| Ok(key?[prefix.bytes().len()..].to_vec())).collect()
    }

    /// Whether the store can still acknowledge writes.
    pub(crate) fn is_healthy(&self) -> bool {
        self.records.failure().is_none()
    }

    /// A place to put the bytes of a new blob.
    pub(crate) async fn new_blob(&self) -> Result<BlobWriter, StoreError> {
        Ok(self.blobs.create().await?)
    }

    /// Opens a blob for reading.
    pub(crate) async fn read_blob(&self, name: &str) -> Result<BlobReader, StoreError> {
        Ok(self.blobs.open_blob(name).await?)
    }

    /// Removes blobs that nothing refers to, and temporary files of uploads that are not running any more.
    pub(crate) async fn sweep_orphans(&self) -> Result<usize, StoreError> {
        let mut removed = 0;
        // Folder by folder, so that the names of all blobs are never in memory together.
        for folder in 0..=u8::MAX {
            for name in self.blobs.idle_blobs(folder).await? {
                if !self.contains(&BLOBS.key().text(&name)).await? {
                    self.blobs.remove(&name).await?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// Ends background work, so that the next start is quick. Everything that was committed is on disk already.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        let records = self.records.clone();
        Ok(tokio::task::spawn_blocking(move || records.close()).await.expect("closing does not panic")?)
    }
}

fn open_now(data_dir: &Path) -> Result<(Store, ServerKey), Error> {
    private::prepare_visible_directory(data_dir)?;
    let lock = DirectoryLock::take(data_dir, LOCK_FILE)?;
    let open::Opened { records, key, is_uncounted } = open::open(data_dir)?;
    let blob_dir = data_dir.join("blobs");
    let blobs = Blobs::open(&blob_dir).map_err(|error| durable::Error::io(&blob_dir, &error))?;
    let (record_locks, identity_locks) = (Stripes::new(), Stripes::new());
    let (records, counting) = (Arc::new(records), Mutex::new(()));
    Ok((Store { records, record_locks, identity_locks, blobs, counting, is_uncounted, _lock: lock }, key))
}
