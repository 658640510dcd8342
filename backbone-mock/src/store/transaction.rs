//! Changing several records at once.

use std::collections::HashMap;

use durable::Commit;
use serde::Serialize;
use serde::de::DeserializeOwned;
use transport::wire::Address;

use super::blobs::PublishedBlob;
use super::content::Content;
use super::locks::Guard;
use super::{BLOBS, Key, Store};
use crate::error::StoreError;

/// Locks, reads and writes that take effect together.
///
/// Lock before you read: first [`lock_records`](Self::lock_records), then [`lock_identities`](Self::lock_identities),
/// each at most once. Dropping a transaction without [`commit`](Self::commit) changes nothing.
pub(crate) struct Transaction<'s> {
    store: &'s Store,
    writes: HashMap<Vec<u8>, Option<Vec<u8>>>,
    step: Step,
    guards: Vec<Guard>,
    published: Vec<PublishedBlob>,
    released: Vec<String>,
}

/// How far locking has come.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Nothing,
    Records,
    Identities,
}

impl<'s> Transaction<'s> {
    pub(super) fn new(store: &'s Store) -> Self {
        Self {
            store,
            writes: HashMap::new(),
            step: Step::Nothing,
            guards: Vec::new(),
            published: Vec::new(),
            released: Vec::new(),
        }
    }

    /// Locks records by name until the end of the transaction.
    pub(crate) async fn lock_records(&mut self, names: &[&str]) {
        assert!(self.step < Step::Records, "records are locked once and before identities");
        self.step = Step::Records;
        self.guards.append(&mut self.store.record_locks.lock(names).await);
    }

    /// Locks what belongs to identities (event log, sync runs, datawallet) until the end of the transaction.
    pub(crate) async fn lock_identities(&mut self, addresses: &[&Address]) {
        assert!(self.step < Step::Identities, "identities are locked once");
        self.step = Step::Identities;
        let names: Vec<&str> = addresses.iter().map(|address| address.as_str()).collect();
        self.guards.append(&mut self.store.identity_locks.lock(&names).await);
    }

    /// The store underneath, for scans. They do not see what this transaction wrote.
    pub(crate) fn committed(&self) -> &'s Store {
        self.store
    }

    /// Reads a record, as this transaction left it.
    pub(crate) async fn get<R: DeserializeOwned>(&self, key: &Key<R>) -> Result<Option<R>, StoreError> {
        match self.writes.get(key.bytes()) {
            Some(Some(bytes)) => key.decode(bytes).map(Some),
            Some(None) => Ok(None),
            None => self.store.get(key).await,
        }
    }

    /// Writes a record.
    pub(crate) fn put<R: Serialize>(&mut self, key: &Key<R>, record: &R) -> Result<(), StoreError> {
        self.writes.insert(key.bytes().to_vec(), Some(key.encode(record)?));
        Ok(())
    }

    /// Removes a record, if it is there.
    pub(crate) fn delete<R>(&mut self, key: &Key<R>) {
        self.writes.insert(key.bytes().to_vec(), None);
    }

    /// Takes over a blob: from the commit on it belongs to a record that this transaction writes.
    pub(crate) fn take_blob(&mut self, blob: PublishedBlob) -> Result<(), StoreError> {
        self.put(&BLOBS.key().text(blob.name()), &())?;
        self.published.push(blob);
        Ok(())
    }

    /// Gives up a blob; its file is removed after the commit.
    pub(crate) fn release_blob(&mut self, name: &str) {
        self.delete(&BLOBS.key().text(name));
        self.released.push(name.to_owned());
    }

    /// Gives up a content, wherever its bytes are.
    pub(crate) fn release(&mut self, content: &Content) {
        if let Content::Blob { name, .. } = content {
            self.release_blob(name);
        }
    }

    /// Makes all writes durable, then visible, then gives up the locks.
    ///
    /// # Cancellation
    /// Once it has been submitted, a transaction takes effect although nobody waits, and holds its locks until then.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        let mut commit = Commit::new();
        for (key, value) in self.writes {
            match value {
                Some(value) => commit.put(&key, &value)?,
                None => commit.remove(&key)?,
            }
        }
        let admission = self.store.records.admit().await;
        // If the commit is refused, nothing names these blobs, and the next sweep removes them.
        let kept: Vec<_> = self.published.into_iter().map(PublishedBlob::keep).collect();
        self.store.records.submit(commit, admission, Some(Box::new((self.guards, kept))))?.done().await?;
        for name in self.released {
            self.store.blobs.remove(&name).await?;
        }
        Ok(())
    }
}
