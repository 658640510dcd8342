//! Rows in memory beside a store, and what happens when there are too many.

use std::cell::Cell;

use query::Query;
use serde_json::Map;
use transport::wire::Timestamp;

use super::*;
use crate::storage::Notify;
use crate::store::{Batch, Object, StoreError, StoreKeySource};

pub(super) fn row(number: u64) -> Row {
    Row {
        id: RowId::E2e(id(number).into()),
        is_own: true,
        file: None,
        bucket_file: None,
        resource: None,
        label: None,
        created_at: Timestamp::from_unix_milliseconds(number.cast_signed()),
        updated_at: Timestamp::from_unix_milliseconds(number.cast_signed()),
        expires_at: None,
        not_before: None,
        max_downloads: None,
        is_strict: false,
        committed: 0,
        leased: 0,
        uncounted: 0,
        carried: 0,
        changes_at: None,
        accessed_at: None,
        for_identity: None,
        has_password: false,
        is_locked: false,
        revoked_at: None,
    }
}

fn id(number: u64) -> String {
    format!("TOK{number:017}")
}

/// A store whose tokens have nothing but a number.
struct Numbered {
    store: Store,
    listed: Listed,
    /// How often all rows were read, and single ones.
    read: (Cell<usize>, Cell<usize>),
    is_broken: Cell<bool>,
    /// Whether reading a single row panics.
    panics: Cell<bool>,
    /// When rows change.
    changes_at: Cell<Option<Timestamp>>,
    /// A use that is not stored yet, of the token with a number.
    pending: Cell<Option<(u64, TokenAccess)>>,
    /// What all rows were read of last, and how many of them.
    last: Cell<Option<(Scope, usize)>>,
    _directory: tempfile::TempDir,
}

impl ReadRows for Numbered {
    fn all(&self, of: Scope, visit: &mut dyn FnMut(Row) -> bool) -> Result<()> {
        self.read.0.set(self.read.0.get() + 1);
        if self.is_broken.get() {
            return Err(StoreError::Damaged.into());
        }
        for (before, object) in self.store.objects(collection::TOKENS)?.enumerate() {
            let number = object?.id[3..].parse().unwrap();
            self.last.set(Some((of, before + 1)));
            if !visit(self.row(number)) {
                break;
            }
        }
        Ok(())
    }

    fn one(&self, id: &RowId) -> Result<Option<Row>> {
        self.read.1.set(self.read.1.get() + 1);
        assert!(!self.panics.get(), "as it was told to");
        if self.is_broken.get() {
            return Err(StoreError::Damaged.into());
        }
        let object = self.store.object(collection::TOKENS, id.as_str())?;
        Ok(object.map(|object| self.row(object.id[3..].parse().unwrap())))
    }

    fn touched(&self, name: &Name) -> Result<Vec<RowId>> {
        match name {
            Name::Object(_, id) | Name::Value(_, id) => Ok(vec![RowId::E2e(id.as_str().into())]),
        }
    }

    fn pending(&self) -> BTreeMap<u64, TokenAccess> {
        self.pending.get().into_iter().collect()
    }
}

impl Numbered {
    fn keeping(most: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = StoreKeySource::File(directory.path().join("store.key"));
        let store = Store::open_in(directory.path(), &key, true).unwrap();
        let listed = Listed::keeping(&store, most);
        let (read, is_broken, panics, changes_at, pending, last) = Default::default();
        Self { store, listed, read, is_broken, panics, changes_at, pending, last, _directory: directory }
    }

    fn row(&self, number: u64) -> Row {
        let bucket_file = BucketFile { number, bucket: 1, file: 2, notify: Notify::None };
        Row { bucket_file: Some(bucket_file), changes_at: self.changes_at.get(), ..row(number) }
    }

    async fn add(&self, numbers: std::ops::Range<u64>) {
        let mut batch = Batch::new();
        for number in numbers {
            batch.put_object(Object::new(collection::TOKENS, id(number), Map::new()));
        }
        self.store.commit(batch).await.unwrap();
    }

    async fn remove(&self, numbers: std::ops::Range<u64>) {
        let mut batch = Batch::new();
        for number in numbers {
            batch.delete_object(collection::TOKENS, &id(number));
        }
        self.store.commit(batch).await.unwrap();
    }

    fn search(&self, queries: &[Query]) -> Result<Vec<String>> {
        let texts: Vec<String> = queries.iter().map(Query::to_string).collect();
        let search = Search::parse(&texts, true, Timestamp::NEVER, 0).unwrap();
        let found = self.listed.search(self, &search)?;
        Ok(found.tokens().map(|token| token.id).collect())
    }

    /// How many there are, how often all were read, and how many single ones.
    fn counted(&self) -> (usize, usize, usize) {
        let found = self.search(&[Query::limit(100)]).unwrap().len();
        (found, self.read.0.get(), self.read.1.get())
    }
}

#[tokio::test]
async fn what_was_stored_before_a_list_is_on_it_and_is_read_once() {
    let tokens = Numbered::keeping(10);
    tokens.add(0..3).await;
    assert_eq!(tokens.counted(), (3, 1, 0));
    assert_eq!(tokens.counted(), (3, 1, 0));
    tokens.add(3..5).await;
    assert_eq!(tokens.counted(), (5, 1, 2));
    tokens.remove(0..4).await;
    assert_eq!(tokens.counted(), (1, 1, 6));
}

#[tokio::test]
async fn more_rows_than_the_bound_are_read_each_time_and_listed_in_the_same_way() {
    let tokens = Numbered::keeping(3);
    tokens.add(0..3).await;
    assert_eq!(tokens.counted(), (3, 1, 0), "as many as the bound are kept");
    tokens.add(3..4).await;
    assert_eq!(tokens.counted(), (4, 2, 1), "and no more");
    assert_eq!(tokens.counted(), (4, 3, 1));
    let ids = |numbers: &[u64]| numbers.iter().copied().map(id).collect::<Vec<_>>();
    let after = [Query::cursor_after(&id(1)), Query::limit(9)];
    assert_eq!(tokens.search(&after).unwrap(), ids(&[2, 3]));
    assert_eq!(tokens.search(&[Query::order_desc(""), Query::limit(2)]).unwrap(), ids(&[3, 2]));
    let unknown = tokens.search(&[Query::cursor_after(&id(9))]).unwrap_err();
    assert!(matches!(&unknown, Error::InvalidPropertyValue(text) if text.contains(&id(9))), "{unknown}");
    tokens.remove(0..2).await;
    let (_, before, _) = tokens.counted();
    // Few enough again: the next list keeps them.
    assert_eq!(tokens.counted().1, before + 1);
    assert_eq!((tokens.counted().0, tokens.counted().1), (2, before + 1));
}

#[tokio::test]
async fn as_many_searches_as_the_bound_run_at_a_time() {
    use futures_util::FutureExt as _;
    let tokens = Numbered::keeping(1);
    let mut places = Vec::new();
    for _ in 0..MAX_SEARCHES {
        places.push(tokens.listed.place().now_or_never().unwrap());
    }
    assert!(tokens.listed.place().now_or_never().is_none());
    places.pop();
    assert!(tokens.listed.place().now_or_never().is_some());
}

#[tokio::test]
async fn a_row_that_changes_with_the_time_is_read_again_when_that_has_come() {
    let tokens = Numbered::keeping(10);
    tokens.add(0..2).await;
    tokens.changes_at.set(Some(Timestamp::MAX));
    assert_eq!(tokens.counted(), (2, 1, 0));
    assert_eq!(tokens.counted(), (2, 1, 0), "it has not come");
    tokens.changes_at.set(Some(Timestamp::NEVER));
    tokens.add(2..3).await;
    assert_eq!(tokens.counted(), (3, 1, 1));
    tokens.changes_at.set(None);
    assert_eq!(tokens.counted(), (3, 1, 2));
    assert_eq!(tokens.counted(), (3, 1, 2));
}

#[tokio::test]
async fn uses_that_are_not_stored_yet_are_shown_without_reading_rows_again() {
    let tokens = Numbered::keeping(10);
    tokens.add(0..2).await;
    let used = |milliseconds: i64, uncounted: u64| {
        let access = TokenAccess { at: Timestamp::from_unix_milliseconds(milliseconds), uncounted };
        tokens.pending.set(Some((1, access)));
        access
    };
    let shown = || {
        let found =
            tokens.listed.search(&tokens, &Search::parse(&[""; 0], true, Timestamp::NEVER, 0).unwrap()).unwrap();
        let token = found.tokens().nth(1).unwrap();
        (token.accessed_at, token.downloads)
    };
    assert_eq!(tokens.counted(), (2, 1, 0));
    let last = used(5, 2);
    assert_eq!(shown(), (Some(last.at), 2));
    used(4, 1);
    assert_eq!(shown(), (Some(last.at), 2), "who was overtaken takes nothing back");
    let last = used(5, 3);
    assert_eq!(shown(), (Some(last.at), 3));
    tokens.pending.set(Some((7, last)));
    assert_eq!(tokens.counted(), (2, 1, 0), "nor does one of a token that is gone");
}

#[tokio::test]
async fn of_more_rows_than_the_bound_a_list_reads_what_it_needs() {
    let tokens = Numbered::keeping(3);
    tokens.add(0..6).await;
    let read = |query: Query, file| {
        let queries = FileTokenQueries::parse(&[query.to_string(), Query::limit(2).to_string()]).unwrap();
        let words = crate::storage::Search::parse("").unwrap();
        let search = Search::of_bucket_files(queries, file, words, None, Timestamp::NEVER, 0);
        tokens.listed.search(&tokens, &search).unwrap();
        tokens.last.get().unwrap()
    };
    assert_eq!(read(Query::order_asc(""), None), (Scope::BucketFiles, 2));
    assert_eq!(read(Query::order_asc(""), Some((1, 2))), (Scope::BucketFile(1, 2), 2));
    assert_eq!(read(Query::order_desc(""), None), (Scope::BucketFiles, 6));
    assert_eq!(read(Query::order_asc("label"), None), (Scope::BucketFiles, 6));
    assert!(!tokens.listed.is_behind(), "a part does not say that all are few");
}

#[tokio::test]
async fn a_list_that_cannot_be_read_fails_and_leaves_nothing_out_later() {
    let tokens = Numbered::keeping(10);
    tokens.add(0..2).await;
    assert_eq!(tokens.counted().0, 2);
    tokens.add(2..3).await;
    tokens.is_broken.set(true);
    assert!(tokens.search(&[]).is_err());
    // From which a list answers that has waited for this one.
    assert!(matches!(&*tokens.listed.rows.read().unwrap(), Kept::Nothing));
    assert!(tokens.search(&[]).is_err());
    tokens.is_broken.set(false);
    assert_eq!(tokens.counted().0, 3);
}

#[tokio::test]
async fn a_list_whose_reading_panics_leaves_nothing_out_later() {
    let tokens = Numbered::keeping(10);
    tokens.add(0..2).await;
    assert_eq!(tokens.counted().0, 2);
    tokens.add(2..3).await;
    tokens.panics.set(true);
    let search = std::panic::AssertUnwindSafe(|| tokens.search(&[]));
    assert!(std::panic::catch_unwind(search).is_err());
    tokens.panics.set(false);
    assert_eq!(tokens.counted().0, 3);
    let (_, all, _) = tokens.counted();
    assert_eq!(tokens.counted(), (3, all, 1), "they are kept again");
}
