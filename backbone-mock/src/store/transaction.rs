//! Changing several records at once.

use std::any::Any;
use std::collections::HashMap;

use durable::{Admission, Commit, Submitted};
use serde::Serialize;
use serde::de::DeserializeOwned;
use transport::wire::Address;

use super::content::Content;
use super::embedded::blobs::PublishedBlob;
use super::locks::Guard;
use super::usage::{Change, Charges, Holder};
use super::{BLOBS, Key, Store};
use crate::error::StoreError;
use crate::quota::Amounts;

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
    charges: Charges,
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
            charges: Charges::default(),
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

    /// Counts what is stored by or for somebody, who may have as much as `quota` says. Charges for one holder add up, whatever
    /// their order.
    pub(crate) fn charge(&mut self, holder: Holder<'_>, change: &Change, quota: Option<&Amounts>) {
        self.charges.add(holder, change, quota);
    }

    /// Makes all writes durable, then visible, then gives up the locks.
    ///
    /// # Errors
    /// [`StoreError::Quota`] if a charge exceeds its quota: then nothing has changed.
    ///
    /// # Cancellation
    /// Once it has been submitted, a transaction takes effect although nobody waits, and holds its locks until then.
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        let (store, released) = (self.store, std::mem::take(&mut self.released));
        let admission = store.records.admit().await;
        self.submit(admission)?.done().await?;
        for name in released {
            store.blobs.remove(&name).await?;
        }
        Ok(())
    }

    /// Commits if there are as many writes, and goes on without locks and without the rest.
    pub(super) async fn commit_part(self, writes: usize) -> Result<Self, StoreError> {
        if self.writes.len() < writes {
            return Ok(self);
        }
        let store = self.store;
        self.commit().await?;
        Ok(Self::new(store))
    }

    fn submit(self, admission: Admission) -> Result<Submitted, StoreError> {
        let mut commit = Commit::new();
        for (key, value) in &self.writes {
            put_or_remove(&mut commit, key, value.as_deref())?;
        }
        let records = &self.store.records;
        if self.charges.is_empty() {
            return Ok(records.submit(commit, admission, Some(held(self.guards, self.published)))?);
        }
        let _turn = self.store.counting.lock().expect("no code panics while it holds the lock");
        let latest = records.latest();
        self.charges.apply(&latest, |key, value| put_or_remove(&mut commit, key, value))?;
        Ok(records.submit_built_on(&latest, commit, admission, Some(held(self.guards, self.published)))?)
    }
}

fn put_or_remove(commit: &mut Commit, key: &[u8], value: Option<&[u8]>) -> durable::Result<()> {
    match value {
        Some(value) => commit.put(key, value),
        None => commit.remove(key),
    }
}

/// What is released when the commit took effect or was refused. If it is refused, nothing names these blobs, and the next
/// sweep removes them.
fn held(guards: Vec<Guard>, published: Vec<PublishedBlob>) -> Box<dyn Any + Send> {
    let kept: Vec<_> = published.into_iter().map(PublishedBlob::keep).collect();
    Box::new((guards, kept))
}
