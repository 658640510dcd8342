//! Tells what may have changed in some collections and values, so that something derived from them can be kept in memory.
//!
//! # Contract
//!
//! - What a batch changes is named from its submission on, until a [`Watch::take`] after it has taken effect or was refused. So who takes
//!   the names first and then reads the store, each time before something is derived, misses nothing that was acknowledged.
//! - What is named may be as it was.
//! - At most [`MAX_NAMES`] are remembered. Of more, only that they are too many: [`Touched::Everything`], as of a watch that is new.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{Store, key};

/// Most names that are remembered between two calls of [`Watch::take`].
pub(crate) const MAX_NAMES: usize = 16_384;

/// What is watched.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Watched {
    /// The objects of a collection.
    Objects(&'static str),
    /// The values whose names begin so.
    Values(&'static str),
}

/// Something that is watched and may have changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Name {
    /// An object: its collection and id.
    Object(&'static str, String),
    /// A value: the beginning that is watched, and the rest of its name.
    Value(&'static str, String),
}

/// What may have changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Touched {
    /// These.
    Names(BTreeSet<Name>),
    /// Anything.
    Everything,
}

/// A watch over a store.
#[derive(Debug)]
pub(crate) struct Watch {
    watched: Vec<(Vec<u8>, Watched)>,
    marks: Mutex<Marks>,
}

#[derive(Debug)]
struct Marks {
    /// With the number of batches on their way that change it. Bounded, as these are.
    pending: HashMap<Name, u32>,
    /// What was changed since the last call.
    settled: BTreeSet<Name>,
    /// Whether it does not matter what was changed, because it was too much, or nothing was derived yet.
    is_behind: bool,
}

impl Watch {
    fn new(watched: &[Watched]) -> Self {
        let prefix = |watched: &Watched| match watched {
            Watched::Objects(collection) => key::object_index(collection, ""),
            Watched::Values(beginning) => key::value(beginning),
        };
        let watched = watched.iter().map(|one| (prefix(one).expect("names in the code are short"), *one)).collect();
        let marks = Marks { pending: HashMap::new(), settled: BTreeSet::new(), is_behind: true };
        Self { watched, marks: Mutex::new(marks) }
    }

    /// What may have changed since the last call.
    pub(crate) fn take(&self) -> Touched {
        let mut marks = self.marks();
        if std::mem::replace(&mut marks.is_behind, false) {
            marks.settled.clear();
            return Touched::Everything;
        }
        let mut names = std::mem::take(&mut marks.settled);
        names.extend(marks.pending.keys().cloned());
        Touched::Names(names)
    }

    /// Whether [`take`](Self::take) would name nothing.
    pub(crate) fn is_quiet(&self) -> bool {
        let marks = self.marks();
        !marks.is_behind && marks.settled.is_empty() && marks.pending.is_empty()
    }

    /// Whether [`take`](Self::take) would return [`Touched::Everything`].
    #[cfg(test)]
    pub(crate) fn is_behind(&self) -> bool {
        self.marks().is_behind
    }

    /// What was taken could not be read: the next call returns [`Touched::Everything`].
    pub(crate) fn fall_behind(&self) {
        let mut marks = self.marks();
        marks.is_behind = true;
        marks.settled.clear();
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has this key; none if it is not watched.
    fn name_of(&self, key: &[u8]) -> Option<Name> {
        let (prefix, watched) = self.watched.iter().find(|(prefix, _)| key.starts_with(prefix))?;
        let rest = String::from_utf8_lossy(&key[prefix.len()..]).into_owned();
        Some(match watched {
            Watched::Objects(collection) => Name::Object(collection, rest),
            Watched::Values(beginning) => Name::Value(beginning, rest),
        })
    }
}

/// Keeps names pending until the batch that changes them has taken effect.
struct Pending {
    watch: Arc<Watch>,
    names: Vec<Name>,
}

impl Pending {
    fn begin(watch: Arc<Watch>, keys: &[Vec<u8>]) -> Option<Self> {
        let names: Vec<Name> = keys.iter().filter_map(|key| watch.name_of(key)).collect();
        if names.is_empty() {
            return None;
        }
        let mut marks = watch.marks();
        for name in &names {
            *marks.pending.entry(name.clone()).or_default() += 1;
        }
        drop(marks);
        Some(Self { watch, names })
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut marks = self.watch.marks();
        for name in self.names.drain(..) {
            if let Some(count) = marks.pending.get_mut(&name) {
                *count -= 1;
                if *count == 0 {
                    marks.pending.remove(&name);
                }
            }
            if !marks.is_behind {
                marks.settled.insert(name);
            }
        }
        if marks.settled.len() > MAX_NAMES {
            marks.is_behind = true;
            marks.settled.clear();
        }
    }
}

/// The watches over a store.
#[derive(Debug, Default)]
pub(super) struct Watches(Mutex<Vec<Weak<Watch>>>);

impl Watches {
    /// What to keep until the batch has taken effect that changes these keys.
    pub(super) fn begin(&self, keys: &[Vec<u8>]) -> Option<Box<dyn std::any::Any + Send>> {
        let watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let alive = watches.iter().filter_map(Weak::upgrade);
        let pending: Vec<Pending> = alive.filter_map(|watch| Pending::begin(watch, keys)).collect();
        if pending.is_empty() { None } else { Some(Box::new(pending)) }
    }

    fn add(&self, watch: &Arc<Watch>) {
        let mut watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watches.retain(|other| other.strong_count() > 0);
        watches.push(Arc::downgrade(watch));
    }
}

impl Store {
    /// Watches for changes that are submitted from now on, as long as the watch is kept.
    pub(crate) fn watch(&self, watched: &[Watched]) -> Arc<Watch> {
        let watch = Arc::new(Watch::new(watched));
        self.watches.add(&watch);
        watch
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::super::{Batch, Object, StoreKeySource};
    use super::*;

    fn store() -> (Store, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let key = StoreKeySource::File(directory.path().join("store.key"));
        (Store::open_in(directory.path(), &key, true).unwrap(), directory)
    }

    fn names(touched: Touched) -> Vec<Name> {
        match touched {
            Touched::Names(names) => names.into_iter().collect(),
            Touched::Everything => panic!("everything"),
        }
    }

    fn object(id: &str) -> Object {
        Object::new("Token", id, Map::new())
    }

    #[tokio::test]
    async fn what_is_watched_is_named_once_and_nothing_else() {
        let (store, _directory) = store();
        let watch = store.watch(&[Watched::Objects("Token"), Watched::Values("Revoked/")]);
        assert_eq!(watch.take(), Touched::Everything, "it is new");
        let mut batch = Batch::new();
        batch.put_object(object("a")).put_object(Object::new("Tokens", "b", Map::new()));
        batch.put_value("Revoked/x", &1).unwrap().put_value("Other", &1).unwrap();
        store.commit(batch).await.unwrap();
        let expected = [Name::Object("Token", "a".to_owned()), Name::Value("Revoked/", "x".to_owned())];
        assert_eq!(names(watch.take()), expected);
        assert!(watch.is_quiet() && names(watch.take()).is_empty());
        let mut batch = Batch::new();
        batch.delete_object("Token", "a").delete_object("Token", "unknown").remove_value("Revoked/x");
        store.commit(batch).await.unwrap();
        assert!(!watch.is_quiet());
        assert_eq!(names(watch.take()), expected);
    }

    #[tokio::test]
    async fn a_batch_that_nobody_waits_for_is_named_too() {
        let (store, _directory) = store();
        let watch = store.watch(&[Watched::Objects("Token")]);
        watch.take();
        let mut batch = Batch::new();
        batch.put_object(object("a"));
        drop(futures_util::FutureExt::now_or_never(store.commit(batch)));
        // Behind it in the order of the store.
        let mut batch = Batch::new();
        batch.put_object(object("b"));
        store.commit(batch).await.unwrap();
        assert_eq!(names(watch.take()).len(), 2);
        assert!(names(watch.take()).is_empty());
    }

    #[test]
    fn a_name_stays_until_its_batch_has_taken_effect() {
        let watch = Arc::new(Watch::new(&[Watched::Values("V/")]));
        watch.take();
        let key = [key::value("V/x").unwrap()];
        let (one, other) = (Pending::begin(watch.clone(), &key), Pending::begin(watch.clone(), &key));
        for _ in 0..2 {
            assert_eq!(names(watch.take()).len(), 1);
        }
        drop(one);
        for _ in 0..2 {
            assert_eq!(names(watch.take()).len(), 1);
        }
        drop(other);
        assert_eq!((names(watch.take()).len(), names(watch.take()).len()), (1, 0));
    }

    #[test]
    fn more_names_than_the_bound_become_everything() {
        let watch = Arc::new(Watch::new(&[Watched::Values("V/")]));
        let settle = |count: usize| {
            let keys: Vec<_> = (0..count).map(|number| key::value(&format!("V/{number}")).unwrap()).collect();
            drop(Pending::begin(watch.clone(), &keys));
        };
        settle(1);
        assert_eq!(watch.take(), Touched::Everything);
        settle(MAX_NAMES);
        assert_eq!(names(watch.take()).len(), MAX_NAMES);
        settle(MAX_NAMES + 1);
        assert!(!watch.is_quiet());
        assert_eq!(watch.take(), Touched::Everything);
        assert!(names(watch.take()).is_empty());
        watch.fall_behind();
        assert_eq!(watch.take(), Touched::Everything);
    }
}
