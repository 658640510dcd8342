//! What a node remembers: synchronised objects, named values, and the changes that other devices have not seen yet.
//!
//! # Contract
//!
//! - A [`Batch`] is applied as a whole or not at all, also when the process dies in between.
//! - [`Store::commit`] returns after the batch is on disk. Commits that run at the same time share one flush.
//! - Objects of a collection are listed in the order in which they were first stored; replacing one keeps its place.
//! - Values on disk are sealed; a value that was moved to another key, altered or cut off is an error, never data.
//! - Batches are applied one after the other, so that the order of the recorded changes is the order of the effects.
//!
//! Only this module touches the database (sled). Reads of one object are quick enough to be called in async code.

mod batch;
mod cbor;
mod error;
mod flush;
mod key;
mod lock;
mod migration;
mod object;
mod open;
mod projection;
mod sealing;
mod walk;

pub(crate) mod collection {
    //! Names of the synchronised collections, shared with every device of the identity.

    use transport::datawallet::Collection;

    /// Devices of the identity.
    pub(crate) const DEVICES: &str = Collection::DEVICES.name;
    /// Own and peers' files.
    pub(crate) const FILES: &str = Collection::FILES.name;
    /// Own and peers' tokens.
    pub(crate) const TOKENS: &str = Collection::TOKENS.name;
    /// Notes about identities.
    pub(crate) const IDENTITY_METADATA: &str = Collection::IDENTITY_METADATA.name;
    /// Relationships to peers, as other devices of the identity left them.
    pub(crate) const RELATIONSHIPS: &str = Collection::RELATIONSHIPS.name;
}

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::de::DeserializeOwned;
use transport::datawallet::PendingModification;

pub(crate) use self::batch::Batch;
pub(crate) use self::error::StoreError;
pub(crate) use self::key::{MAX_COLLECTION, MAX_NAME};
pub(crate) use self::object::{Object, Properties};
pub(crate) use self::sealing::StoreSecret;
pub(crate) use self::walk::{Record, Walk};

use self::flush::{GroupFlush, Ticket};
use self::lock::DirectoryLock;
use self::object::StoredObject;
use self::sealing::Sealing;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// The store of one node. Share it behind an `Arc`.
pub(crate) struct Store {
    tree: sled::Tree,
    database: sled::Db,
    sealing: Sealing,
    flush: GroupFlush,
    /// Held while a batch is made and applied, never across an await; see the contract about order.
    writer: Mutex<()>,
    record_modifications: bool,
    /// Declared last: the directory is released after the database is closed.
    _lock: DirectoryLock,
}

impl Store {
    /// Opens the store under `data_dir`, creating it at the first start.
    ///
    /// `secret` is called once the directory is ours, so that two first starts do not make two keys.
    /// `record_modifications` says whether `Batch::record_…` queues changes for the datawallet.
    ///
    /// # Errors
    /// Another process holds the directory, the secret is the wrong one, the store is newer than this program, or it cannot
    /// be read.
    pub(crate) fn open(
        data_dir: &Path,
        secret: impl FnOnce() -> Result<StoreSecret>,
        record_modifications: bool,
    ) -> Result<Self> {
        let lock = DirectoryLock::take(data_dir)?;
        let secret = secret()?;
        let database = open::open_database(&data_dir.join("store"))?;
        let tree = sled::Tree::clone(&database);
        let sealing = Sealing::new(secret);
        open::check_header(&tree, &sealing)?;
        let flush = GroupFlush::new(tree.clone());
        Ok(Self { tree, database, sealing, flush, writer: Mutex::new(()), record_modifications, _lock: lock })
    }

    /// Applies a batch and waits until it is on disk.
    ///
    /// Cancelling the wait does not undo the batch.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<()> {
        self.change(|| Ok((batch, ()))).await
    }

    /// Applies the batch that `build` makes and waits until it is on disk. No other batch comes between what `build` reads
    /// and what it changes. If it fails, or its batch is empty, nothing happens.
    ///
    /// Cancelling the wait does not undo the batch.
    pub(crate) async fn change<T, E: From<StoreError>>(
        &self,
        build: impl FnOnce() -> Result<(Batch, T), E>,
    ) -> Result<T, E> {
        let (ticket, outcome) = self.apply(build)?;
        if let Some(ticket) = ticket {
            self.flush.wait_for(ticket).await?;
        }
        Ok(outcome)
    }

    /// The ticket for the wait until the change is on disk, if there was one.
    fn apply<T, E: From<StoreError>>(
        &self,
        build: impl FnOnce() -> Result<(Batch, T), E>,
    ) -> Result<(Option<Ticket>, T), E> {
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let (batch, outcome) = build()?;
        if batch.is_empty() {
            return Ok((None, outcome));
        }
        self.tree.apply_batch(batch.stage(self)?).map_err(StoreError::from)?;
        Ok((Some(self.flush.ticket()), outcome))
    }

    /// One object.
    pub(crate) fn object(&self, collection: &str, id: &str) -> Result<Option<Object>> {
        let Some(place) = self.read(&key::object_index(collection, id)?)? else { return Ok(None) };
        let place = key::object_at(collection, sealing::decode(&place)?)?;
        let Some(record) = self.read(&place)? else { return Ok(None) };
        Ok(Some(sealing::decode::<StoredObject>(&record)?.into_object(collection)))
    }

    /// Objects of a collection in the order in which they were first stored. Each is read when it is asked for.
    pub(crate) fn objects(&self, collection: &str) -> Result<impl Iterator<Item = Result<Object>> + use<'_>> {
        let collection = collection.to_owned();
        let records = self.tree.scan_prefix(key::objects(&collection)?);
        Ok(records.map(move |record| {
            let (key, sealed) = record?;
            let plain = self.sealing.open(&key, &sealed)?;
            Ok(sealing::decode::<StoredObject>(&plain)?.into_object(&collection))
        }))
    }

    /// Objects of a collection that match, in the order in which they were first stored.
    ///
    /// `matches` is shown the root members named by `members` only; everything else is decoded for objects that match.
    pub(crate) fn objects_where(
        &self,
        collection: &str,
        members: &[&str],
        matches: impl Fn(&Properties) -> bool,
    ) -> Result<Vec<Object>> {
        let mut found = Vec::new();
        for record in self.tree.scan_prefix(key::objects(collection)?) {
            let (key, sealed) = record?;
            let plain = self.sealing.open(&key, &sealed)?;
            if matches(&projection::decode(&plain, members)?) {
                found.push(sealing::decode::<StoredObject>(&plain)?.into_object(collection));
            }
        }
        Ok(found)
    }

    /// The value under a name.
    pub(crate) fn value<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        self.read(&key::value(name)?)?.map(|plain| sealing::decode(&plain)).transpose()
    }

    /// The oldest changes that were not pushed, with their sequence numbers, at most `limit`.
    pub(crate) fn unpushed(&self, limit: usize) -> Result<Vec<(u64, PendingModification)>> {
        let changes = self.tree.scan_prefix(key::journal()).take(limit);
        changes
            .map(|record| {
                let (key, sealed) = record?;
                let plain = self.sealing.open(&key, &sealed)?;
                Ok((key::sequence_of(&key)?, sealing::decode(&plain)?))
            })
            .collect()
    }

    /// Waits until everything that was written is on disk.
    pub(crate) async fn flush(&self) -> Result<()> {
        self.flush.wait_for(self.flush.ticket()).await
    }

    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.tree.get(key)?.map(|sealed| self.sealing.open(key, &sealed)).transpose()
    }
}

#[cfg(test)]
mod tests;
