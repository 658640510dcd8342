//! Reads the store: what is on disk, or also batches that are not flushed yet.

use serde::de::DeserializeOwned;
use transport::datawallet::{PendingModification, Tombstone};
use zeroize::Zeroizing;

use super::object::{Object, Properties, StoredObject};
use super::{Record, Result, Store, key, projection, sealing};

/// Records that are read at a time from batches that are not flushed.
const PAGE: usize = 256;

/// What a thread has read, for tests of what a request costs.
#[cfg(test)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Values that were asked for.
    pub(crate) asked: usize,
    /// Values that were opened: those that were there, and those in the place of others.
    pub(crate) opened: usize,
}

#[cfg(test)]
thread_local! {
    static WORK: std::cell::RefCell<Work> = const { std::cell::RefCell::new(Work { asked: 0, opened: 0 }) };
}

/// What this thread has read since this was asked last.
#[cfg(test)]
pub(crate) fn work() -> Work {
    WORK.take()
}

/// A value was opened that was not read.
#[cfg(test)]
pub(super) fn note_opened() {
    WORK.with_borrow_mut(|work| work.opened += 1);
}

/// The store as it is on disk, or as the batches before the next one leave it.
pub(crate) struct View<'a> {
    store: &'a Store,
    latest: Option<&'a durable::Latest<'a>>,
}

impl<'a> View<'a> {
    pub(super) fn on_disk(store: &'a Store) -> Self {
        Self { store, latest: None }
    }

    pub(super) fn latest(store: &'a Store, latest: &'a durable::Latest<'a>) -> Self {
        Self { store, latest: Some(latest) }
    }

    /// One object.
    pub(crate) fn object(&self, collection: &str, id: &str) -> Result<Option<Object>> {
        let Some(plain) = self.plain(collection, id)? else { return Ok(None) };
        Ok(Some(sealing::decode::<StoredObject>(&plain)?.into_object(collection)))
    }

    /// The same, not decoded yet.
    pub(crate) fn record(&self, collection: &str, id: &str) -> Result<Option<Record>> {
        Ok(self.plain(collection, id)?.map(Record::new))
    }

    fn plain(&self, collection: &str, id: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let Some(place) = self.read(&key::object_index(collection, id)?)? else { return Ok(None) };
        self.read(&key::object_at(collection, sealing::decode(&place)?)?)
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
        self.scan(&key::objects(collection)?, |_, plain| {
            if matches(&projection::decode(plain, members)?) {
                found.push(sealing::decode::<StoredObject>(plain)?.into_object(collection));
            }
            Ok(true)
        })?;
        Ok(found)
    }

    /// The value under a name.
    pub(crate) fn value<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        self.read(&key::value(name)?)?.map(|plain| sealing::decode(&plain)).transpose()
    }

    /// The values whose names begin with this text, in the order of their names.
    pub(crate) fn values<T: DeserializeOwned>(&self, beginning: &str) -> Result<Vec<(String, T)>> {
        let mut found = Vec::new();
        self.scan(&key::value(beginning)?, |key, plain| {
            found.push((key::name_of(key)?, sealing::decode(plain)?));
            Ok(true)
        })?;
        Ok(found)
    }

    /// The names of values that begin with this text, in order, from the name `from` on; at most `limit`.
    pub(crate) fn value_names(&self, beginning: &str, from: &str, limit: usize) -> Result<Vec<String>> {
        let (from, until) = (key::value(from)?, key::range(&key::value(beginning)?).1);
        match self.latest {
            Some(latest) => {
                let keys = latest.keys(&from, Some(&until), limit)?;
                keys.iter().map(|key| key::name_of(key)).collect()
            }
            None => {
                let keys = self.store.disk.keys(&from, Some(&until)).take(limit);
                keys.map(|key| key::name_of(&key?)).collect()
            }
        }
    }

    /// The tombstone of an object that was removed, even if it exists again; empty if it was never removed.
    pub(crate) fn tombstone(&self, collection: &str, id: &str) -> Result<Tombstone> {
        let remembered = self.read(&key::tombstone(collection, id)?)?;
        Ok(remembered.map(|plain| sealing::decode(&plain)).transpose()?.unwrap_or_default())
    }

    /// The oldest changes that were not pushed, with their sequence numbers, at most `limit`.
    pub(crate) fn unpushed(&self, limit: usize) -> Result<Vec<(u64, PendingModification)>> {
        let mut changes = Vec::new();
        self.scan(key::journal(), |key, plain| {
            if changes.len() < limit {
                changes.push((key::sequence_of(key)?, sealing::decode(plain)?));
            }
            Ok(changes.len() < limit)
        })?;
        Ok(changes)
    }

    /// Keys from `from` up to and including `last`.
    pub(super) fn keys_through(&self, from: &[u8], last: &[u8]) -> Result<Vec<Vec<u8>>> {
        // The smallest key after `last`: ranges exclude their end.
        let until = [last, &[0]].concat();
        match self.latest {
            Some(latest) => {
                let pairs = latest.range(from, Some(&until), usize::MAX)?;
                Ok(pairs.into_iter().map(|(key, _)| key).collect())
            }
            None => Ok(self.store.disk.keys(from, Some(&until)).collect::<durable::Result<_>>()?),
        }
    }

    /// Opens the value of a key.
    pub(super) fn read(&self, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>> {
        #[cfg(test)]
        WORK.with_borrow_mut(|work| work.asked += 1);
        let sealed = match self.latest {
            Some(latest) => latest.get(key)?,
            None => self.store.disk.get(key)?,
        };
        #[cfg(test)]
        WORK.with_borrow_mut(|work| work.opened += usize::from(sealed.is_some()));
        sealed.map(|sealed| self.store.sealing.open(key, &sealed)).transpose()
    }

    /// Calls `visit` with the keys that begin with `prefix`, in order, and their opened values, as long as it returns true.
    fn scan(&self, prefix: &[u8], mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool>) -> Result<()> {
        let (mut from, until) = key::range(prefix);
        let mut show = |key: &[u8], sealed: &[u8]| visit(key, &self.store.sealing.open(key, sealed)?);
        let Some(latest) = self.latest else {
            for pair in self.store.disk.range(&from, Some(&until)) {
                let (key, sealed) = pair?;
                if !show(&key, &sealed)? {
                    break;
                }
            }
            return Ok(());
        };
        loop {
            let page = latest.range(&from, Some(&until), PAGE)?;
            for (key, sealed) in &page {
                if !show(key, sealed)? {
                    return Ok(());
                }
            }
            match page.last() {
                Some((last, _)) if page.len() == PAGE => from = [last, [0].as_slice()].concat(),
                _ => return Ok(()),
            }
        }
    }
}
