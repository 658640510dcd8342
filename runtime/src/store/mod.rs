//! The store of a node: synchronized objects, named values, and the changes that were not pushed to other devices yet.
//!
//! # Contract
//!
//! - A [`Batch`] is applied as a whole or not at all, even if the process is killed or the power fails meanwhile.
//! - [`Store::commit`] returns after the batch is on disk. Commits that run at the same time share one flush.
//! - Readers see what is on disk. Only the code that builds a batch also sees earlier ones that are not flushed yet ([`View`]).
//! - Objects of a collection are listed in the order in which they were first stored; replacing one keeps its place.
//! - Values on disk are sealed; a value that was moved to another key, altered or cut off is an error, never data.
//! - Batches are applied one after the other, so that the order of the recorded changes is the order of the effects.
//!
//! Only this module touches the store on disk ([`durable::Store`]). Reads of one object are quick enough to be called in
//! async code.

mod batch;
mod cbor;
mod error;
mod index;
mod key;
mod migration;
mod object;
mod open;
mod projection;
mod sealing;
mod stand_in;
pub(crate) mod vault;
mod view;
mod walk;
mod watch;

pub(crate) mod collection {
    //! Names of the synchronized collections, shared with every device of the identity.

    use transport::datawallet::Collection;

    /// Devices of the identity.
    pub(crate) const DEVICES: &str = Collection::DEVICES.name;
    /// Own and peers' files.
    pub(crate) const FILES: &str = Collection::FILES.name;
    /// Own and peers' tokens.
    pub(crate) const TOKENS: &str = Collection::TOKENS.name;
    /// Metadata of identities.
    pub(crate) const IDENTITY_METADATA: &str = Collection::IDENTITY_METADATA.name;
    /// Relationships to peers, which only other devices of the identity change.
    pub(crate) const RELATIONSHIPS: &str = Collection::RELATIONSHIPS.name;
}

pub(crate) mod token_values {
    //! The beginnings of the names of values of which the list of all tokens is made.

    /// When a token was revoked here; its id follows.
    pub(crate) const REVOCATION: &str = "RevokedToken/";
    /// What the creator of a token settled, and what is known of its uses; its id follows.
    pub(crate) const SETTINGS: &str = "TokenSettings/";
    /// A token on a file in a bucket; its number follows.
    pub(crate) const FILE_TOKEN: &str = "StorageToken/";
    /// The number of such a token; its id follows.
    pub(crate) const FILE_TOKEN_ID: &str = "StorageTokenId/";
    /// Uses of such a token that were counted; its number follows.
    pub(crate) const FILE_TOKEN_USES: &str = "StorageTokenUses/";
    /// When such a token was used last; its number follows.
    pub(crate) const FILE_TOKEN_ACCESS: &str = "StorageTokenAccess/";
    /// A bucket; its number follows.
    pub(crate) const BUCKET: &str = "StorageBucket/";
    /// A file in a bucket; the numbers of bucket and file follow.
    pub(crate) const BUCKET_FILE: &str = "StorageFile/";
}

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use durable::{DirectoryLock, Submitted};
use serde::de::DeserializeOwned;
use transport::datawallet::PendingModification;

pub(crate) use self::batch::Batch;
pub use self::error::Failure;
pub(crate) use self::error::StoreError;
pub(crate) use self::object::{Object, Properties};
pub(crate) use self::sealing::StoreSecret;
pub(crate) use self::stand_in::StandIn;
pub use self::vault::LOCK_FILE;
pub(crate) use self::vault::StoreKeySource;
pub(crate) use self::view::View;
#[cfg(test)]
pub(crate) use self::view::work;
pub(crate) use self::walk::{Record, Walk};
pub(crate) use self::watch::{MAX_NAMES, Name, Touched, Watch, Watched};

use self::batch::Staged;
use self::sealing::Sealing;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// The store of one node. Share it behind an `Arc`.
pub(crate) struct Store {
    disk: durable::Store,
    sealing: Sealing,
    /// Number of the next object or change.
    next_sequence: AtomicU64,
    /// Held while a batch is built and submitted, never across an await; see the contract about order.
    writer: Mutex<()>,
    watches: watch::Watches,
    record_modifications: bool,
    /// Declared last: the directory is released after the store is closed.
    _lock: Arc<DirectoryLock>,
}

impl Store {
    /// Opens the store in the directory that is held, creating it at the first start.
    ///
    /// `evidence` is a file that exists because the node has been started before. `record_modifications` says whether
    /// `Batch::record_…` queues changes for the datawallet.
    ///
    /// # Errors
    /// The key is missing or the wrong one, the store is missing although there was one, it is newer than this program, or it
    /// cannot be read.
    pub(crate) fn open(
        lock: Arc<DirectoryLock>,
        key: &StoreKeySource,
        evidence: Option<&Path>,
        record_modifications: bool,
    ) -> Result<Self> {
        let (disk, sealing) = open::open(lock.directory(), key, evidence)?;
        let next_sequence = AtomicU64::new(open::next_sequence(&disk)?);
        let (writer, watches) = (Mutex::new(()), watch::Watches::default());
        Ok(Self { disk, sealing, next_sequence, writer, watches, record_modifications, _lock: lock })
    }

    /// Whether [`open`](Self::open) would create the store. The caller holds the directory.
    ///
    /// # Errors
    /// Those of [`open`](Self::open) that can be detected without opening the store.
    pub(crate) fn is_first_start(data_dir: &Path, key: &StoreKeySource, evidence: Option<&Path>) -> Result<bool> {
        open::is_first_start(data_dir, key, evidence)
    }

    /// As [`open`](Self::open), in a directory that nobody holds yet.
    #[cfg(test)]
    pub(crate) fn open_in(directory: &Path, key: &StoreKeySource, record_modifications: bool) -> Result<Self> {
        let lock = Arc::new(DirectoryLock::take(directory, LOCK_FILE)?);
        Self::open(lock, key, None, record_modifications)
    }

    /// Applies a batch and waits until it is on disk.
    ///
    /// Cancelling the wait does not undo the batch.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<()> {
        self.change(|_| Ok((batch, ()))).await
    }

    /// Applies the batch that `build` returns and waits until it is on disk. No other batch is applied between what `build`
    /// reads from the view and what it changes. If it fails, or its batch is empty, nothing changes.
    ///
    /// Cancelling the wait does not undo the batch.
    pub(crate) async fn change<T, E: From<StoreError>>(
        &self,
        build: impl FnOnce(&View<'_>) -> Result<(Batch, T), E>,
    ) -> Result<T, E> {
        // Admission is awaited before the lock is taken, which is never held across an await.
        let admission = self.disk.admit().await;
        let (submitted, outcome) = self.submit(build, admission)?;
        submitted.done().await.map_err(StoreError::from)?;
        Ok(outcome)
    }

    fn submit<T, E: From<StoreError>>(
        &self,
        build: impl FnOnce(&View<'_>) -> Result<(Batch, T), E>,
        admission: durable::Admission,
    ) -> Result<(Submitted, T), E> {
        // A panic in `build` has changed nothing, so a poisoned lock can be used.
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = self.disk.latest();
        let view = View::latest(self, &latest);
        let (batch, outcome) = build(&view)?;
        let Staged { commit, keys } = batch.stage(self, &view)?;
        let watched = self.watches.begin(&keys);
        let submitted = self.disk.submit_built_on(&latest, commit, admission, watched).map_err(StoreError::from)?;
        Ok((submitted, outcome))
    }

    /// What is on disk.
    pub(crate) fn view(&self) -> View<'_> {
        View::on_disk(self)
    }

    /// One object.
    pub(crate) fn object(&self, collection: &str, id: &str) -> Result<Option<Object>> {
        self.view().object(collection, id)
    }

    /// Objects of a collection in the order in which they were first stored. Each is read when it is asked for.
    pub(crate) fn objects(&self, collection: &str) -> Result<impl Iterator<Item = Result<Object>> + use<'_>> {
        let (from, until) = key::range(&key::objects(collection)?);
        let collection = collection.to_owned();
        Ok(self.disk.range(&from, Some(&until)).map(move |pair| {
            let (key, sealed) = pair?;
            let plain = self.sealing.open(&key, &sealed)?;
            Ok(sealing::decode::<object::StoredObject>(&plain)?.into_object(&collection))
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
        self.view().objects_where(collection, members, matches)
    }

    /// The value under a name.
    pub(crate) fn value<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        self.view().value(name)
    }

    /// The values whose names begin with `prefix`, with the rest of their names. Each is read when it is asked for.
    pub(crate) fn values<T: DeserializeOwned>(
        &self,
        prefix: &str,
    ) -> Result<impl Iterator<Item = Result<(String, T)>> + use<'_, T>> {
        let start = key::value(prefix)?;
        let (from, until) = key::range(&start);
        Ok(self.disk.range(&from, Some(&until)).map(move |pair| {
            let (key, sealed) = pair?;
            let name = key.get(start.len()..).and_then(|name| std::str::from_utf8(name).ok());
            let name = name.ok_or(StoreError::Damaged)?.to_owned();
            Ok((name, sealing::decode(&self.sealing.open(&key, &sealed)?)?))
        }))
    }

    /// The oldest changes that were not pushed, with their sequence numbers, at most `limit`.
    pub(crate) fn unpushed(&self, limit: usize) -> Result<Vec<(u64, PendingModification)>> {
        self.view().unpushed(limit)
    }

    /// The failure after which nothing can be stored any more, if there was one.
    pub(crate) fn failure(&self) -> Option<StoreError> {
        self.disk.failure().map(StoreError::from)
    }

    /// Ends background work on the store, so that the next start is quick. Everything that was acknowledged is on disk
    /// already. Blocks the thread.
    pub(crate) fn close(&self) -> Result<()> {
        Ok(self.disk.close()?)
    }
}

#[cfg(test)]
mod tests;
