//! Where records and files are kept: the contract, and the embedded implementation of it.
//!
//! What the rules in `domain` may rely on, and what another implementation (a database server and an object store) has
//! to keep:
//!
//! - **Transactions.** A [`Transaction`] locks what it is about to change, reads it, and commits all its writes or none,
//!   also across a crash. Locks are taken in two steps, records first and identities second, each step at once; that
//!   order is what excludes deadlocks.
//! - **Durability.** [`Store::settle`] returns when everything that was committed before it was called is on disk. The
//!   server calls it before every answer, so no answer reveals something that a crash could take back. Concurrent
//!   requests share one flush.
//! - **Blobs.** Bytes come first, the record that names them second. A crash in between leaves an orphan, which
//!   [`Store::sweep_orphans`] removes; it never leaves a record without bytes.
//! - **Lists** name how much they read. What is longer is walked over in steps of [`STEP`], which other work comes between.
//! - **Reads** outside of a transaction see committed records, each by itself.

mod blobs;
mod content;
mod data_dir;
mod flush;
mod key;
mod locks;
mod open;
mod transaction;
mod walk;

#[cfg(test)]
mod conformance;

use std::path::PathBuf;

pub(crate) use blobs::{BlobWriter, PublishedBlob, Written};
pub(crate) use content::{Content, NewContent};
pub(crate) use data_dir::DataDir;
pub(crate) use key::{Key, Table, split_number, split_text};
pub(crate) use transaction::Transaction;
pub(crate) use walk::STEP;

use crate::error::{Error, StoreError};
use blobs::Blobs;
use flush::Flusher;
use locks::Stripes;

/// Which blobs have a record that names them.
const BLOBS: Table<()> = Table::new("blob");

/// Records and blob files of one backbone.
pub(crate) struct Store {
    records: sled::Tree,
    flusher: Flusher,
    record_locks: Stripes,
    identity_locks: Stripes,
    blobs: Blobs,
    database_dir: PathBuf,
    // Last, so that the directory is released after everything in it is closed.
    _data_dir: DataDir,
}

/// One hit of a scan: what follows the prefix in the key, and the record.
pub(crate) struct Entry<R> {
    /// The rest of the key.
    pub(crate) rest: Vec<u8>,
    /// The record.
    pub(crate) record: R,
}

impl Store {
    /// Opens the store in a data directory, and removes what an interrupted upload left behind.
    pub(crate) async fn open(data_dir: DataDir) -> Result<Self, Error> {
        let database_dir = data_dir.path().join("records");
        let blob_dir = data_dir.path().join("blobs");
        let opened = {
            let database_dir = database_dir.clone();
            let dir = data_dir.path().to_owned();
            tokio::task::spawn_blocking(move || -> Result<_, Error> {
                let database = open::database(&database_dir)?;
                let blobs = Blobs::open(&blob_dir).map_err(|source| Error::DataDir { dir, source })?;
                Ok((database, blobs))
            })
        };
        let (database, blobs) = opened.await.expect("opening does not panic")?;
        let records = database.open_tree("records").map_err(StoreError::from)?;
        open::check_schema(&records, data_dir.path())?;
        let store = Self {
            records,
            flusher: Flusher::start(database),
            record_locks: Stripes::new(),
            identity_locks: Stripes::new(),
            blobs,
            database_dir,
            _data_dir: data_dir,
        };
        store.sweep_orphans().await?;
        store.settle().await?;
        store.tighten_permissions();
        Ok(store)
    }

    /// Makes the files of the database readable for their owner only.
    pub(crate) fn tighten_permissions(&self) {
        data_dir::make_private(&self.database_dir);
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
        Ok(self.records.contains_key(key.bytes())?)
    }

    /// Reads up to `limit` records whose keys start with `prefix`, in key order, from the key `from` on.
    pub(crate) async fn scan<R: serde::de::DeserializeOwned>(
        &self,
        prefix: &Key<R>,
        from: &Key<R>,
        limit: usize,
    ) -> Result<Vec<Entry<R>>, StoreError> {
        self.keys_from(prefix, from)
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
        let keys = self.keys_from(prefix, from).take(limit);
        keys.map(|entry| Ok(entry?.0[prefix.bytes().len()..].to_vec())).collect()
    }

    /// The same for keys that lie before the key `until`.
    pub(crate) async fn keys_before<R>(
        &self,
        prefix: &Key<R>,
        from: &Key<R>,
        until: &Key<R>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        if from.bytes() >= until.bytes() {
            return Ok(Vec::new());
        }
        let range = self.records.range(from.bytes().to_vec()..until.bytes().to_vec());
        range.keys().take(limit).map(|key| Ok(key?[prefix.bytes().len()..].to_vec())).collect()
    }

    /// Waits until everything that was committed so far is on disk.
    ///
    /// # Errors
    /// [`StoreError::Broken`] once a flush failed; then nothing is acknowledged any more until a restart.
    pub(crate) async fn settle(&self) -> Result<(), StoreError> {
        self.flusher.settle().await
    }

    /// Whether the store can still acknowledge writes.
    pub(crate) fn is_healthy(&self) -> bool {
        self.flusher.is_healthy()
    }

    /// A place to put the bytes of a new blob.
    pub(crate) async fn new_blob(&self) -> Result<BlobWriter, StoreError> {
        Ok(self.blobs.create().await?)
    }

    /// Opens a blob for reading, with its size in bytes.
    pub(crate) async fn read_blob(&self, name: &str) -> Result<(tokio::fs::File, u64), StoreError> {
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

    /// Ends the flush task. Everything committed before is on disk when this returns.
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        self.settle().await?;
        self.flusher.stop().await;
        Ok(())
    }

    fn keys_from<R>(
        &self,
        prefix: &Key<R>,
        from: &Key<R>,
    ) -> impl Iterator<Item = sled::Result<(sled::IVec, sled::IVec)>> + use<R> {
        let end = prefix.end();
        self.records.range(from.bytes().to_vec()..end)
    }

    fn apply(&self, batch: sled::Batch) -> Result<(), StoreError> {
        if !self.is_healthy() {
            return Err(StoreError::Broken);
        }
        Ok(self.flusher.apply(|| self.records.apply_batch(batch))?)
    }
}
