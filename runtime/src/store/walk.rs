//! Reads a collection page by page: each page takes bounded time and memory, however long the collection is.
//!
//! # Contract
//!
//! - Objects come in the order in which they were first stored.
//! - An object that is stored during the whole walk is found exactly once, in the version of one moment during it. One that
//!   is removed meanwhile is found once or not at all. One that is added after the walk began is not found, so that every
//!   walk ends. This relies on sequence numbers that grow and are never used again.
//! - A walk with required texts finds the same, but reads only objects that the index names, if it has one of the members.
//! - A page reads at most [`MAX_SCANNED`] records, but for damaged ones, and ends with the record that brings what it holds to
//!   [`MAX_PAGE_BYTES`] or more. No lock is held between pages.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::IgnoredAny;
use tracing::warn;
use zeroize::Zeroizing;

use super::object::Properties;
use super::{Result, Store, StoreError, cbor, index, key, projection};
use crate::query::RequiredTexts;

/// Most records that are read for one page, whether they match or not.
pub(crate) const MAX_SCANNED: usize = 512;
/// A page that holds records of this many bytes ends.
pub(crate) const MAX_PAGE_BYTES: usize = 64 * 1024;

/// A walk over a collection, and how far it is.
#[derive(Debug)]
pub(crate) struct Walk {
    collection: String,
    /// Sequence numbers that are left; none when the walk has ended.
    left: Option<(u64, u64)>,
    /// Prefixes of the index entries of objects that may match; none if all objects have to be read.
    entries: Option<Vec<Vec<u8>>>,
}

/// An object that matched, of which only the members for the filter were decoded.
pub(crate) struct Record {
    plain: Zeroizing<Vec<u8>>,
}

/// An object as it is on disk, see [`StoredObject`](super::object::StoredObject).
#[derive(Deserialize)]
struct Stored<'a, T> {
    #[serde(rename = "i", borrow)]
    id: Cow<'a, str>,
    #[serde(rename = "p")]
    properties: T,
}

impl Record {
    /// From an opened record.
    pub(super) fn new(plain: Zeroizing<Vec<u8>>) -> Self {
        Self { plain }
    }

    /// The id of the object.
    pub(crate) fn id(&self) -> Result<String> {
        Ok(cbor::from_slice::<Stored<'_, IgnoredAny>>(&self.plain)?.id.into_owned())
    }

    /// Decodes the object into its id and a `T`.
    ///
    /// # Errors
    /// [`StoreError`] if it is not of this type.
    pub(crate) fn read<'a, I: FromStr, T: Deserialize<'a>>(&'a self) -> Result<(I, T)> {
        let Stored { id, properties } = cbor::from_slice(&self.plain)?;
        Ok((id.parse().map_err(|_| StoreError::Damaged)?, properties))
    }
}

impl Walk {
    /// Whether there is another page. It may turn out to be empty.
    pub(crate) fn has_more(&self) -> bool {
        self.left.is_some()
    }
}

impl Store {
    /// Starts a walk over a collection as it is now.
    pub(crate) fn walk(&self, collection: &str) -> Result<Walk> {
        let (from, until) = key::range(&key::objects(collection)?);
        let newest = self.disk.keys(&from, Some(&until)).next_back().transpose()?;
        let end = newest.map(|key| key::sequence_of(&key)).transpose()?;
        Ok(Walk { collection: collection.to_owned(), left: end.map(|end| (0, end)), entries: None })
    }

    /// The same for a filter that no object meets without `required` texts.
    pub(crate) fn walk_where(&self, collection: &str, required: &[RequiredTexts<'_>]) -> Result<Walk> {
        let entries = index::entries_of(&self.sealing, collection, required)?;
        Ok(Walk { entries, ..self.walk(collection)? })
    }

    /// The next page of a walk: objects that match.
    ///
    /// `matches` is shown the root members named by `members` only.
    ///
    /// One damaged record does not hide all others: it is left out, with a warning.
    ///
    /// # Errors
    /// The store cannot be read. The walk stays where it was.
    pub(crate) fn page(
        &self,
        walk: &mut Walk,
        members: &[&str],
        matches: impl Fn(&Properties) -> bool,
    ) -> Result<Vec<Record>> {
        let mut page = Vec::new();
        let Some((first, end)) = walk.left else { return Ok(page) };
        let collection = walk.collection.as_str();
        let mut unread = None;
        let records: Box<dyn Iterator<Item = Result<durable::Pair>>> = match &walk.entries {
            None => {
                let from = key::object_at(collection, first)?;
                let until = key::range(&key::object_at(collection, end)?).1;
                Box::new(self.disk.range(&from, Some(&until)).map(|pair| Ok(pair?)))
            }
            Some(entries) => {
                let sequences = self.candidates(entries, first, end)?;
                // A full list may be cut off: the next page continues after its last candidate.
                unread = sequences.last().copied().filter(|last| sequences.len() == MAX_SCANNED && *last < end);
                Box::new(
                    sequences.into_iter().filter_map(move |sequence| self.candidate(collection, sequence).transpose()),
                )
            }
        };
        let (mut scanned, mut bytes, mut picked) = (0, 0, Properties::new());
        for record in records {
            let (key, sealed) = match record {
                // Nobody knows which one. It does not count: a page ends with a record whose number is known.
                Err(error) if error.is_damaged() => {
                    warn!(%error, "left out of a list");
                    continue;
                }
                record => record?,
            };
            if let Some(plain) = self.opened(&key, &sealed, members, &mut picked)?
                && matches(&picked)
            {
                bytes += plain.len();
                page.push(Record { plain });
            }
            scanned += 1;
            if scanned == MAX_SCANNED || bytes >= MAX_PAGE_BYTES {
                let sequence = key::sequence_of(&key)?;
                walk.left = (sequence < end).then(|| (sequence + 1, end));
                return Ok(page);
            }
        }
        walk.left = unread.map(|last| (last + 1, end));
        Ok(page)
    }

    /// An object of which some members were decoded; nothing, with a warning, if it is damaged.
    fn opened(
        &self,
        key: &[u8],
        sealed: &[u8],
        members: &[&str],
        picked: &mut Properties,
    ) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let opened = self.sealing.open(key, sealed).and_then(|plain| {
            projection::decode_into(picked, &plain, members)?;
            Ok(plain)
        });
        match opened {
            Err(error) if error.is_damaged() => {
                warn!(sequence = key::sequence_of(key)?, %error, "left out of a list");
                Ok(None)
            }
            opened => opened.map(Some),
        }
    }

    /// Sequence numbers that the index lists, of at most [`MAX_SCANNED`] objects, in order. They are of one moment: an object
    /// whose text changes from one that is looked for to another is on one of the lists.
    fn candidates(&self, entries: &[Vec<u8>], first: u64, end: u64) -> Result<Vec<u64>> {
        let snapshot = self.disk.snapshot();
        let (mut lists, mut next) = (Vec::new(), BinaryHeap::new());
        for entries in entries {
            let until = key::range(&key::entry_at(entries, end)).1;
            let mut keys = snapshot.keys(&key::entry_at(entries, first), Some(&until));
            if let Some(key) = keys.next() {
                next.push(Reverse((key::sequence_of(&key?)?, lists.len())));
                lists.push(keys);
            }
        }
        let mut sequences = Vec::new();
        while let Some(Reverse((sequence, list))) = next.pop() {
            if sequences.last() != Some(&sequence) {
                if sequences.len() == MAX_SCANNED {
                    break;
                }
                sequences.push(sequence);
            }
            if let Some(key) = lists[list].next() {
                next.push(Reverse((key::sequence_of(&key?)?, list)));
            }
        }
        Ok(sequences)
    }

    /// The object with this number, unless it was removed, with its key.
    fn candidate(&self, collection: &str, sequence: u64) -> Result<Option<durable::Pair>> {
        let key = key::object_at(collection, sequence)?;
        Ok(self.disk.get(&key)?.map(|sealed| (key, sealed)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::{damage, put_raw};
    use super::super::{Batch, Object};
    use super::*;
    use crate::store::StoreKeySource;

    struct Scene {
        store: Store,
        _directory: tempfile::TempDir,
    }

    impl Scene {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let store =
                Store::open_in(directory.path(), &StoreKeySource::File(directory.path().join("store.key")), false)
                    .unwrap();
            Self { store, _directory: directory }
        }

        async fn with(count: usize) -> Self {
            let scene = Self::new();
            scene.add(0..count).await;
            scene
        }

        async fn add(&self, numbers: std::ops::Range<usize>) {
            let mut batch = Batch::new();
            for number in numbers {
                batch.put_object(object(&number.to_string(), json!({ "number": number })));
            }
            self.store.commit(batch).await.unwrap();
        }

        async fn remove(&self, numbers: impl IntoIterator<Item = usize>) {
            let mut batch = Batch::new();
            for number in numbers {
                batch.delete_object("Things", &number.to_string());
            }
            self.store.commit(batch).await.unwrap();
        }

        fn page(&self, walk: &mut Walk) -> Vec<usize> {
            numbers(self.store.page(walk, &[], |_| true).unwrap())
        }
    }

    #[derive(Deserialize)]
    struct Thing {
        number: usize,
    }

    fn object(id: &str, properties: serde_json::Value) -> Object {
        Object::new("Things", id, properties.as_object().unwrap().clone())
    }

    fn numbers(page: Vec<Record>) -> Vec<usize> {
        page.iter().map(|record| record.read::<String, Thing>().unwrap().1.number).collect()
    }

    #[tokio::test]
    async fn a_page_reads_no_more_than_its_bound() {
        let scene = Scene::with(2 * MAX_SCANNED).await;
        let mut walk = scene.store.walk("Things").unwrap();
        assert_eq!(scene.page(&mut walk).len(), MAX_SCANNED);
        assert!(walk.has_more());
        assert_eq!(scene.page(&mut walk), (MAX_SCANNED..2 * MAX_SCANNED).collect::<Vec<_>>());
        assert!(!walk.has_more(), "the walk knows its end without an empty page");
        assert!(scene.page(&mut walk).is_empty());
    }

    #[tokio::test]
    async fn records_that_do_not_match_count_too() {
        let scene = Scene::with(2 * MAX_SCANNED + 1).await;
        let mut walk = scene.store.walk("Things").unwrap();
        let (mut pages, looked_at) = (0, std::cell::Cell::new(0));
        while walk.has_more() {
            let page = scene
                .store
                .page(&mut walk, &["number"], |thing| {
                    looked_at.set(looked_at.get() + 1);
                    thing["number"] == -1
                })
                .unwrap();
            assert!(page.is_empty() && looked_at.get() <= MAX_SCANNED * (pages + 1));
            pages += 1;
        }
        assert_eq!((pages, looked_at.get()), (3, 2 * MAX_SCANNED + 1));
    }

    #[tokio::test]
    async fn a_page_ends_with_the_record_that_fills_it() {
        let scene = Scene::new();
        let mut batch = Batch::new();
        for (number, length) in [(0, MAX_PAGE_BYTES / 2), (1, MAX_PAGE_BYTES / 2), (2, 3 * MAX_PAGE_BYTES), (3, 1)] {
            let properties = json!({ "number": number, "text": "x".repeat(length) });
            batch.put_object(object(&number.to_string(), properties));
        }
        scene.store.commit(batch).await.unwrap();
        let mut walk = scene.store.walk("Things").unwrap();
        assert_eq!(
            [scene.page(&mut walk), scene.page(&mut walk), scene.page(&mut walk)],
            [vec![0, 1], vec![2], vec![3]]
        );
        assert!(!walk.has_more());
    }

    #[tokio::test]
    async fn an_object_stored_during_the_walk_is_found_once_and_an_added_one_is_not() {
        let scene = Scene::with(3 * MAX_SCANNED).await;
        let mut walk = scene.store.walk("Things").unwrap();
        let mut found = scene.page(&mut walk);
        // Before and after the position of the walk; one is stored again at once and gets a new sequence number.
        scene.remove([0, 1, 2 * MAX_SCANNED]).await;
        scene.add(0..1).await;
        scene.add(3 * MAX_SCANNED..4 * MAX_SCANNED).await;
        while walk.has_more() {
            found.extend(scene.page(&mut walk));
        }
        assert_eq!(found, (0..3 * MAX_SCANNED).filter(|number| *number != 2 * MAX_SCANNED).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn an_empty_collection_has_no_page() {
        let scene = Scene::with(1).await;
        assert!(!scene.store.walk("Thing").unwrap().has_more());
        scene.remove([0]).await;
        assert!(!scene.store.walk("Things").unwrap().has_more());
    }

    #[tokio::test]
    async fn a_record_of_another_type_is_reported_and_does_not_hide_the_others() {
        let scene = Scene::with(1).await;
        let mut batch = Batch::new();
        batch.put_object(object("odd", json!({ "number": "three" }))).put_object(object("4", json!({ "number": 4 })));
        scene.store.commit(batch).await.unwrap();
        let mut walk = scene.store.walk("Things").unwrap();
        let page = scene.store.page(&mut walk, &[], |_| true).unwrap();
        let read: Vec<_> =
            page.iter().map(|record| (record.id().unwrap(), record.read::<String, Thing>().is_ok())).collect();
        assert_eq!(read, [("0", true), ("odd", false), ("4", true)].map(|(id, fits)| (id.to_owned(), fits)));
    }

    #[tokio::test]
    async fn records_that_cannot_be_opened_are_left_out_and_hide_no_others() {
        let scene = Scene::with(MAX_SCANNED + 3).await;
        let walk = || scene.store.walk("Things").unwrap();
        let key = |number| key::object_at("Things", number).unwrap();
        let (first, _) = walk().left.unwrap();
        let before: Vec<_> = scene.store.disk.range(&key(first), None).take(3).map(|pair| pair.unwrap()).collect();
        let mut altered = before[0].1.to_vec();
        *altered.last_mut().unwrap() ^= 1;
        // One that was altered, one that is another one's, and one that ends too early.
        for (number, forged) in [(0, altered), (1, before[2].1.to_vec()), (2, Vec::new())] {
            put_raw(&scene.store, &before[number].0, &forged);
        }
        let mut walk = walk();
        let mut found = scene.page(&mut walk);
        while walk.has_more() {
            found.extend(scene.page(&mut walk));
        }
        assert_eq!(found, (3..MAX_SCANNED + 3).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn records_that_the_disk_has_damaged_are_left_out_and_hide_no_others() {
        let scene = Scene::new();
        let mut batch = Batch::new();
        for number in 0..4 {
            // Too long to be beside its key in the index.
            let properties = json!({ "number": number, "text": "x".repeat(4000), "kind": "a" });
            batch.put_object(object(&number.to_string(), properties));
        }
        scene.store.commit(batch).await.unwrap();
        let (first, _) = scene.store.walk("Things").unwrap().left.unwrap();
        let from = key::object_at("Things", first).unwrap();
        let pairs: Vec<_> = scene.store.disk.range(&from, None).take(4).map(|pair| pair.unwrap()).collect();
        for (key, sealed) in &pairs[1..3] {
            damage(scene._directory.path(), sealed);
            assert!(scene.store.disk.get(key).is_err());
        }
        let mut walk = scene.store.walk("Things").unwrap();
        assert_eq!(scene.page(&mut walk), [0, 3]);
        assert!(!walk.has_more());
    }
}
