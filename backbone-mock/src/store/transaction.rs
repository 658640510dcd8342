//! Changing several records at once.

use serde::Serialize;
use serde::de::DeserializeOwned;
use transport::wire::Address;

use super::content::Content;
use super::contract::{Changes, LockSpace, PublishedBlob, Session};
use super::usage::{Change, Charges, Holder};
use super::{BLOBS, Key, Store, schema};
use crate::error::{StoreError, WithCauses};
use crate::notifications::Notification;
use crate::quota::Amounts;

/// Locks, reads and writes that take effect together.
///
/// Lock before you read: first [`lock_records`](Self::lock_records), then [`lock_identities`](Self::lock_identities),
/// each at most once. Dropping a transaction without [`commit`](Self::commit) changes nothing.
pub(crate) struct Transaction<'s> {
    store: &'s Store,
    session: Box<dyn Session>,
    locked: Option<LockSpace>,
    changes: Changes,
    charges: Charges,
    released: Vec<String>,
}

impl<'s> Transaction<'s> {
    pub(super) fn new(store: &'s Store) -> Self {
        Self {
            store,
            session: store.records.begin(),
            locked: None,
            changes: Changes::default(),
            charges: Charges::default(),
            released: Vec::new(),
        }
    }

    /// Locks records by name until the end of the transaction.
    pub(crate) async fn lock_records(&mut self, names: &[&str]) -> Result<(), StoreError> {
        self.lock(LockSpace::Records, names).await
    }

    /// Locks what belongs to identities (event log, sync runs, datawallet) until the end of the transaction.
    pub(crate) async fn lock_identities(&mut self, addresses: &[&Address]) -> Result<(), StoreError> {
        let names: Vec<&str> = addresses.iter().map(|address| address.as_str()).collect();
        self.lock(LockSpace::Identities, &names).await
    }

    async fn lock(&mut self, space: LockSpace, names: &[&str]) -> Result<(), StoreError> {
        assert!(self.locked < Some(space), "spaces are locked once each, and in their order");
        self.locked = Some(space);
        self.session.lock(space, names).await
    }

    /// The store underneath, for scans. They do not see what this transaction wrote.
    pub(crate) fn committed(&self) -> &'s Store {
        self.store
    }

    /// Reads a record, as this transaction left it.
    pub(crate) async fn get<R: DeserializeOwned>(&self, key: &Key<R>) -> Result<Option<R>, StoreError> {
        match self.changes.writes.get(key.bytes()) {
            Some(Some(bytes)) => key.decode(bytes).map(Some),
            Some(None) => Ok(None),
            None => self.store.get(key).await,
        }
    }

    /// Reads a record, as this transaction left it, or as those did that held the same lock and [released it
    /// early](Self::commit_early). What it says may be lost until this transaction has committed, be it without changes: nothing that
    /// follows from it is answered before.
    pub(crate) async fn latest<R: DeserializeOwned>(&mut self, key: &Key<R>) -> Result<Option<R>, StoreError> {
        match self.changes.writes.contains_key(key.bytes()) {
            true => self.get(key).await,
            false => self.session.latest(key.bytes()).await?.map(|bytes| key.decode(&bytes)).transpose(),
        }
    }

    /// Writes a record.
    pub(crate) fn put<R: Serialize>(&mut self, key: &Key<R>, record: &R) -> Result<(), StoreError> {
        self.changes.writes.insert(key.bytes().to_vec(), Some(key.encode(record)?));
        Ok(())
    }

    /// Removes a record, if it is there.
    pub(crate) fn delete<R>(&mut self, key: &Key<R>) {
        self.changes.writes.insert(key.bytes().to_vec(), None);
    }

    /// Takes ownership of a blob for a record that this transaction writes.
    pub(crate) fn take_blob(&mut self, blob: PublishedBlob) -> Result<(), StoreError> {
        self.put(&BLOBS.key().text(blob.name()), &())?;
        self.changes.claims.push(blob.into_claim());
        Ok(())
    }

    /// Releases a blob, which is removed after the commit.
    pub(crate) fn release_blob(&mut self, name: &str) {
        self.delete(&BLOBS.key().text(name));
        self.released.push(name.to_owned());
    }

    /// Releases a content, in a record or in a blob.
    pub(crate) fn release(&mut self, content: &Content) {
        if let Content::Blob { name, .. } = content {
            self.release_blob(name);
        }
    }

    /// Sends a notification, once the transaction has taken effect.
    pub(crate) fn notify(&mut self, notification: Notification) {
        self.changes.notifications.push(notification);
    }

    /// Adds a change to the usage of a holder, up to `quota`. Changes for one holder add up in any order.
    pub(crate) fn charge(&mut self, holder: Holder<'_>, change: &Change, quota: Option<&Amounts>) {
        self.charges.add(holder, change, quota);
    }

    /// Makes all writes durable, then visible, then releases the locks and sends the notifications.
    ///
    /// # Errors
    /// [`StoreError::Quota`] if a charge exceeds its quota: then nothing has changed.
    ///
    /// # Cancellation
    /// The transaction takes effect as a whole or not at all, and holds its locks until that is decided.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        let Self { store, session, locked: _, mut changes, charges, released } = self;
        changes.updates = charges.into_updates();
        session.commit(changes).await?;
        for name in released {
            // The commit has taken effect, so the blob is an orphan, which the next sweep removes.
            if let Err(error) = store.blobs.delete(&name).await {
                tracing::warn!(error = %WithCauses(&error), "cannot remove a released blob; the next sweep tries again");
            }
        }
        Ok(())
    }

    /// As [`commit`](Self::commit), but releases the locks as soon as the order of the transaction is decided: those that wait for the same
    /// lock become durable together. What it writes is read by [`latest`](Self::latest) only from then on.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub(crate) async fn commit_early(mut self) -> Result<(), StoreError> {
        self.changes.releases_early = true;
        self.commit().await
    }

    /// Commits if there are at least so many writes, and continues with an empty transaction without locks.
    pub(super) async fn commit_part(self, writes: usize) -> Result<Self, StoreError> {
        if self.changes.writes.len() < writes {
            return Ok(self);
        }
        let store = self.store;
        self.commit().await?;
        Ok(Self::new(store))
    }

    /// Marks the records as those of a version.
    pub(super) fn set_version(&mut self, version: u32) {
        self.changes.writes.insert(schema::KEY.to_vec(), Some(version.to_be_bytes().to_vec()));
    }
}
