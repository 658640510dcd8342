//! What the types above the contract keep.

use std::ops::ControlFlow;
use std::sync::Arc;

use futures_util::future::join_all;
use transport::wire::{Address, ByteText};

use super::Storage;
use crate::error::StoreError;
use crate::quota::{Amounts, Metric};
use crate::store::{Change, Content, Entry, Holder, Rest, STEP, Store, Table};

const RECORDS: Table<u64> = Table::new("record");

async fn open(storage: &impl Storage) -> Store {
    Store::on(storage.open().await).await.unwrap().0
}

/// A store with these records.
async fn store_with(storage: &impl Storage, records: &[(&str, u64)]) -> Store {
    let store = open(storage).await;
    let mut transaction = store.begin();
    for (name, value) in records {
        transaction.put(&RECORDS.key().text(name), value).unwrap();
    }
    transaction.commit().await.unwrap();
    store
}

async fn value(store: &Store, name: &str) -> Option<u64> {
    store.get(&RECORDS.key().text(name)).await.unwrap()
}

fn numbers(rests: &[Rest]) -> Vec<u64> {
    rests.iter().filter_map(|rest| rest.parts().number()).collect()
}

fn address(digit: char) -> Address {
    format!("did:e:localhost:dids:{}", digit.to_string().repeat(22)).parse().unwrap()
}

pub(super) async fn a_transaction_that_is_dropped_changes_nothing(storage: &impl Storage) {
    let store = store_with(storage, &[("a", 1)]).await;
    let mut transaction = store.begin();
    transaction.put(&RECORDS.key().text("a"), &2).unwrap();
    transaction.delete(&RECORDS.key().text("b"));
    assert_eq!(value(&store, "a").await, Some(1));
    drop(transaction);
    assert_eq!(value(&store, "a").await, Some(1));
}

pub(super) async fn a_transaction_reads_what_it_wrote(storage: &impl Storage) {
    let store = store_with(storage, &[("a", 1), ("b", 1)]).await;
    let mut transaction = store.begin();
    transaction.put(&RECORDS.key().text("a"), &2).unwrap();
    transaction.delete(&RECORDS.key().text("b"));
    assert_eq!(transaction.get(&RECORDS.key().text("a")).await.unwrap(), Some(2));
    assert_eq!(transaction.get(&RECORDS.key().text("b")).await.unwrap(), None);
    transaction.commit().await.unwrap();
    assert_eq!((value(&store, "a").await, value(&store, "b").await), (Some(2), None));
}

pub(super) async fn scans_keep_to_their_prefix(storage: &impl Storage) {
    let store = open(storage).await;
    let mut transaction = store.begin();
    for (name, number) in [("a", 300), ("a", 2), ("ab", 1), ("b", 1), ("a", u64::MAX)] {
        transaction.put(&RECORDS.key().text(name).number(number), &number).unwrap();
    }
    transaction.commit().await.unwrap();
    let prefix = RECORDS.key().text("a");
    let all = store.scan(&prefix, &prefix, 10).await.unwrap();
    assert_eq!(all.iter().map(|entry| entry.record).collect::<Vec<_>>(), [2, 300, u64::MAX]);
    let from = store.scan(&prefix, &RECORDS.key().text("a").number(3), 1).await.unwrap();
    assert_eq!(from.iter().map(|entry| entry.record).collect::<Vec<_>>(), [300]);
    let before = store.keys_before(&prefix, &prefix, &RECORDS.key().text("a").number(300), 10).await.unwrap();
    assert_eq!(numbers(&before), [2]);
    let limited = store.keys(&prefix, &prefix, 2).await.unwrap();
    assert_eq!(numbers(&limited), [2, 300]);
    let none = store.keys_before(&prefix, &prefix.after(&limited[1]), &RECORDS.key().text("a").number(300), 10).await;
    assert!(none.unwrap().is_empty());
}

pub(super) async fn a_walk_shows_everything_once_and_can_be_broken_off(storage: &impl Storage) {
    let store = open(storage).await;
    for count in [STEP - 1, STEP, STEP + 1, 2 * STEP] {
        let count = count as u64;
        let prefix = RECORDS.key().text(format!("of {count}"));
        let mut transaction = store.begin();
        for number in 0..count {
            transaction.put(&prefix.clone().number(number), &number).unwrap();
        }
        transaction.commit().await.unwrap();
        let mut seen = Vec::new();
        let visit = |entry: &Entry<u64>| {
            seen.push(entry.record);
            ControlFlow::Continue(())
        };
        store.walk(&prefix, visit).await.unwrap();
        assert_eq!(seen, (0..count).collect::<Vec<_>>());
        let mut left = count - 5;
        let visit = |rest: &Rest| {
            assert_eq!(rest.parts().number(), Some(count - left));
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        store.walk_keys(&prefix, &prefix.clone().number(5), visit).await.unwrap();
        assert_eq!(left, 0);
    }
}

pub(super) async fn increments_under_a_lock_are_not_lost(storage: &impl Storage) {
    let store = Arc::new(store_with(storage, &[("a", 0)]).await);
    let increments = (0..100).map(|number| tokio::spawn(increment(store.clone(), number % 2 == 0)));
    for increment in join_all(increments).await {
        increment.unwrap();
    }
    assert_eq!(value(&store, "a").await, Some(100));
}

async fn increment(store: Arc<Store>, by_identity: bool) {
    let mut transaction = store.begin();
    if by_identity {
        transaction.lock_identities(&[&address('a')]).await.unwrap();
    } else {
        transaction.lock_records(&["a", "b"]).await.unwrap();
        transaction.lock_identities(&[&address('b'), &address('a')]).await.unwrap();
    }
    let key = RECORDS.key().text("a");
    let count = transaction.get(&key).await.unwrap().unwrap();
    tokio::task::yield_now().await;
    transaction.put(&key, &(count + 1)).unwrap();
    transaction.commit().await.unwrap();
}

pub(super) async fn contents_of_any_size_come_back_and_leave_nothing_when_released(storage: &impl Storage) {
    let store = open(storage).await;
    for size in [0, 1, 16 * 1024, 16 * 1024 + 1, 700_000] {
        let bytes = ByteText((0..size).map(|index: usize| (index % 251) as u8).collect());
        let mut transaction = store.begin();
        let content = store.keep(bytes.clone()).await.unwrap().attach(&mut transaction).unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(store.load(&content).await.unwrap(), bytes);
        assert_eq!(store.sweep_orphans().await.unwrap(), 0);
        let mut transaction = store.begin();
        transaction.release(&content);
        transaction.commit().await.unwrap();
        if let Content::Blob { name, .. } = content {
            assert!(store.read_blob(&name).await.unwrap().is_none());
        }
    }
}

pub(super) async fn a_blob_that_no_record_names_is_swept_but_not_while_it_is_claimed(storage: &impl Storage) {
    let store = open(storage).await;
    let mut writer = store.new_blob().await.unwrap();
    writer.write("bytes".into()).await.unwrap();
    let (blob, written) = writer.publish().await.unwrap();
    assert_eq!(written.size, 5);
    let name = blob.name().to_owned();
    assert_eq!(store.sweep_orphans().await.unwrap(), 0);
    assert!(store.read_blob(&name).await.unwrap().is_some());
    drop(blob);
    assert!(store.read_blob(&name).await.unwrap().is_none());

    // As after a crash before the commit.
    let mut writer = store.new_blob().await.unwrap();
    writer.write("bytes".into()).await.unwrap();
    let (blob, _) = writer.publish().await.unwrap();
    let name = blob.name().to_owned();
    blob.into_claim().keep();
    assert_eq!(store.sweep_orphans().await.unwrap(), 1);
    assert!(store.read_blob(&name).await.unwrap().is_none());
}

pub(super) async fn a_quota_is_kept_by_those_who_store_at_the_same_time(storage: &impl Storage) {
    let store = open(storage).await;
    let quota = Amounts { tokens: 7, ..Amounts::UNLIMITED };
    let keep = async |number: u64| {
        let mut transaction = store.begin();
        transaction.put(&RECORDS.key().number(number), &number).unwrap();
        transaction.charge(Holder::Nobody, &Change::more(Metric::Tokens, 1), Some(&quota));
        transaction.commit().await
    };
    let outcomes = join_all((0..20).map(keep)).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 7);
    assert!(outcomes.into_iter().filter_map(Result::err).all(|e| matches!(e, StoreError::Quota(Metric::Tokens))));
    assert_eq!(store.keys(&RECORDS.key(), &RECORDS.key(), 20).await.unwrap().len(), 7);
    assert_eq!(store.usage(Holder::Nobody).await.unwrap().tokens, 7);
}
