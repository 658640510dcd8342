//! A batch: changes that take effect together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use durable::Commit;
use serde::Serialize;
use transport::datawallet::{Collection, PendingModification, Tombstone, create_modifications, update_modifications};
use zeroize::Zeroizing;

use super::object::{Object, Properties, StoredObject};
use super::{Result, Store, StoreError, View, index, key, projection, sealing};

/// Collects changes for [`Store::commit`]. They take effect in the order in which they were added.
#[derive(Default)]
pub(crate) struct Batch {
    changes: Vec<Change>,
}

enum Change {
    Put(Object, Recording),
    Delete { collection: String, id: String, recording: Recording },
    PutValue { name: String, value: Zeroizing<Vec<u8>> },
    RemoveValue { name: String },
    DropUnpushed { up_to: u64 },
}

/// Whether a change is queued for other devices.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Recording {
    No,
    Create,
    Update,
    Delete,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Stores an object that another device changed: nothing is queued.
    pub(crate) fn put_object(&mut self, object: Object) -> &mut Self {
        self.push(Change::Put(object, Recording::No))
    }

    /// Removes an object that another device removed: nothing is queued. Has no effect if there is no such object.
    pub(crate) fn delete_object(&mut self, collection: &str, id: &str) -> &mut Self {
        self.push(Change::Delete { collection: collection.to_owned(), id: id.to_owned(), recording: Recording::No })
    }

    /// Stores a new object and queues it for other devices. If there is one already, it counts as an update.
    pub(crate) fn record_create(&mut self, object: Object) -> &mut Self {
        self.push(Change::Put(object, Recording::Create))
    }

    /// Replaces an object and queues what changed. If it was removed in the meantime it stays removed.
    pub(crate) fn record_update(&mut self, object: Object) -> &mut Self {
        self.push(Change::Put(object, Recording::Update))
    }

    /// Removes an object and queues its removal. Has no effect if there is no such object.
    pub(crate) fn record_delete(&mut self, collection: &str, id: &str) -> &mut Self {
        self.push(Change::Delete { collection: collection.to_owned(), id: id.to_owned(), recording: Recording::Delete })
    }

    /// Stores a value under a name, as CBOR.
    ///
    /// # Errors
    /// [`StoreError::Encoding`] if the value has no CBOR form.
    pub(crate) fn put_value<T: Serialize>(&mut self, name: &str, value: &T) -> Result<&mut Self> {
        let value = sealing::encode(value)?;
        Ok(self.push(Change::PutValue { name: name.to_owned(), value }))
    }

    /// Removes the value under a name.
    pub(crate) fn remove_value(&mut self, name: &str) -> &mut Self {
        self.push(Change::RemoveValue { name: name.to_owned() })
    }

    /// Forgets queued changes up to and including this sequence number: they were pushed.
    pub(crate) fn drop_unpushed(&mut self, up_to: u64) -> &mut Self {
        self.push(Change::DropUnpushed { up_to })
    }

    /// Turns the changes into a commit. The caller holds the lock of the writer; `view` includes all earlier batches.
    pub(super) fn stage(self, store: &Store, view: &View<'_>) -> Result<Staged> {
        let mut staging = Staging { store, view, writes: BTreeMap::new(), entries: BTreeMap::new() };
        for change in self.changes {
            staging.apply(change)?;
        }
        staging.finish()
    }

    fn push(&mut self, change: Change) -> &mut Self {
        self.changes.push(change);
        self
    }
}

/// A batch as it is submitted.
pub(super) struct Staged {
    pub(super) commit: Commit,
    /// What it writes or removes, but for entries of the index.
    pub(super) keys: Vec<Vec<u8>>,
}

/// The batch under construction, and the store below it.
struct Staging<'a> {
    store: &'a Store,
    view: &'a View<'a>,
    /// Plaintext by key; none removes the key.
    writes: BTreeMap<Vec<u8>, Option<Zeroizing<Vec<u8>>>>,
    /// Entries of the index, and whether they exist afterwards.
    entries: BTreeMap<Vec<u8>, bool>,
}

impl Staging<'_> {
    fn apply(&mut self, change: Change) -> Result<()> {
        match change {
            Change::Put(object, recording) => self.put(object, recording)?,
            Change::Delete { collection, id, recording } => self.delete(&collection, &id, recording)?,
            Change::PutValue { name, value } => self.write(key::value(&name)?, Some(value)),
            Change::RemoveValue { name } => self.write(key::value(&name)?, None),
            Change::DropUnpushed { up_to } => self.drop_unpushed(up_to)?,
        }
        Ok(())
    }

    fn put(&mut self, object: Object, recording: Recording) -> Result<()> {
        let index = key::object_index(&object.collection, &object.id)?;
        let existing = self.stored(&object.collection, &index)?;
        let modifications = match (&existing, recording) {
            (None, Recording::Update) => return Ok(()),
            (_, Recording::No) => Vec::new(),
            (existing, _) => modifications(existing.as_ref().map(|(_, before)| &before.properties), &object),
        };
        let sequence = existing.as_ref().map_or_else(|| self.next_sequence(), |(sequence, _)| *sequence);
        let before = existing.as_ref().map(|(_, before)| &before.properties);
        self.index(&object.collection, sequence, before, Some(&object.properties))?;
        self.remember((&object.collection, &object.id), before, Some(&object.properties))?;
        let place = key::object_at(&object.collection, sequence)?;
        let record = StoredObject { id: object.id, properties: object.properties };
        self.write(index, Some(sealing::encode(&sequence)?));
        self.write(place, Some(sealing::encode(&record)?));
        self.record(modifications)
    }

    fn delete(&mut self, collection: &str, id: &str, recording: Recording) -> Result<()> {
        let index = key::object_index(collection, id)?;
        let Some((sequence, record)) = self.stored_record(collection, &index)? else { return Ok(()) };
        // Only these members are needed of an object that is removed.
        let immutable = Collection::named(collection).map_or(&[][..], |rules| rules.immutable());
        let before = projection::decode(&record, &[index::names(collection).as_slice(), immutable].concat())?;
        self.write(index, None);
        self.index(collection, sequence, Some(&before), None)?;
        self.remember((collection, id), Some(&before), None)?;
        self.write(key::object_at(collection, sequence)?, None);
        match recording {
            Recording::No => Ok(()),
            _ => self.record(Collection::named(collection).map(|_| PendingModification::delete(collection, id))),
        }
    }

    /// Keeps a tombstone of the immutable properties of an object that is removed, by whichever device: a later creation of
    /// the object in the log must not give it the key of another one.
    fn remember(
        &mut self,
        (collection, id): (&str, &str),
        before: Option<&Properties>,
        after: Option<&Properties>,
    ) -> Result<()> {
        let (Some(rules), Some(before)) = (Collection::named(collection), before) else { return Ok(()) };
        let mut lost = Tombstone::default();
        lost.bury(&rules, before, after);
        if lost.is_empty() {
            return Ok(());
        }
        let key = key::tombstone(collection, id)?;
        let mut tombstone = match self.read(&key)? {
            Some(plain) => sealing::decode::<Tombstone>(&plain)?,
            None => Tombstone::default(),
        };
        tombstone.absorb(lost);
        self.write(key, Some(sealing::encode(&tombstone)?));
        Ok(())
    }

    fn drop_unpushed(&mut self, up_to: u64) -> Result<()> {
        for key in self.view.keys_through(key::journal(), &key::journal_at(up_to))? {
            self.writes.insert(key, None);
        }
        Ok(())
    }

    fn record(&mut self, modifications: impl IntoIterator<Item = PendingModification>) -> Result<()> {
        if !self.store.record_modifications {
            return Ok(());
        }
        for modification in modifications {
            let key = key::journal_at(self.next_sequence());
            self.write(key, Some(sealing::encode(&modification)?));
        }
        Ok(())
    }

    /// The object whose index entry has this key, with its sequence number.
    fn stored(&self, collection: &str, index: &[u8]) -> Result<Option<(u64, StoredObject)>> {
        let Some((sequence, record)) = self.stored_record(collection, index)? else { return Ok(None) };
        Ok(Some((sequence, sealing::decode(&record)?)))
    }

    /// The same, not decoded.
    fn stored_record(&self, collection: &str, index: &[u8]) -> Result<Option<(u64, Zeroizing<Vec<u8>>)>> {
        let Some(sequence) = self.read(index)? else { return Ok(None) };
        let sequence = sealing::decode(&sequence)?;
        let record = self.read(&key::object_at(collection, sequence)?)?.ok_or(StoreError::Damaged)?;
        Ok(Some((sequence, record)))
    }

    fn read(&self, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>> {
        match self.writes.get(key) {
            Some(staged) => Ok(staged.clone()),
            None => self.view.read(key),
        }
    }

    fn write(&mut self, key: Vec<u8>, plain: Option<Zeroizing<Vec<u8>>>) {
        self.writes.insert(key, plain);
    }

    /// Changes the index entries of an object from those `before` to those `after`; none if there is no object.
    fn index(
        &mut self,
        collection: &str,
        sequence: u64,
        before: Option<&Properties>,
        after: Option<&Properties>,
    ) -> Result<()> {
        let entries = |properties: Option<&Properties>| match properties {
            Some(properties) => index::entries(&self.store.sealing, collection, sequence, properties),
            None => Ok(BTreeSet::new()),
        };
        let (before, after) = (entries(before)?, entries(after)?);
        self.entries.extend(before.difference(&after).map(|entry| (entry.clone(), false)));
        self.entries.extend(after.difference(&before).map(|entry| (entry.clone(), true)));
        Ok(())
    }

    fn next_sequence(&self) -> u64 {
        // A batch that fails leaves a gap. Only the order of the numbers matters.
        self.store.next_sequence.fetch_add(1, Ordering::Relaxed)
    }

    fn finish(self) -> Result<Staged> {
        let (mut commit, mut keys) = (Commit::new(), Vec::with_capacity(self.writes.len()));
        for (key, plain) in self.writes {
            match plain {
                Some(plain) => commit.put(&key, &self.store.sealing.seal(&key, &plain))?,
                None => commit.remove(&key)?,
            }
            keys.push(key);
        }
        for (entry, is_there) in self.entries {
            match is_there {
                true => commit.put(&entry, b"")?,
                false => commit.remove(&entry)?,
            }
        }
        Ok(Staged { commit, keys })
    }
}

/// The modifications by which other devices learn of an object; none for collections whose categories are unknown.
fn modifications(before: Option<&Properties>, object: &Object) -> Vec<PendingModification> {
    match (Collection::named(&object.collection), before) {
        (None, _) => Vec::new(),
        (Some(collection), None) => create_modifications(&collection, &object.id, &object.properties),
        (Some(collection), Some(before)) => update_modifications(&collection, &object.id, before, &object.properties),
    }
}
