//! What every store has to keep, as tests through its public face. An implementation is opened by [`open`] only.

use std::ops::ControlFlow;
use std::path::Path;

use super::{Content, Entry, STEP, Store, Table};
use transport::wire::{Address, ByteText};

const RECORDS: Table<u64> = Table::new("record");

async fn open(dir: &Path) -> Store {
    Store::open(dir).await.unwrap().0
}

/// A store with these records.
async fn store_with(dir: &Path, records: &[(&str, u64)]) -> Store {
    let store = open(dir).await;
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

fn address(digit: char) -> Address {
    format!("did:e:localhost:dids:{}", digit.to_string().repeat(22)).parse().unwrap()
}

#[tokio::test]
async fn a_transaction_that_is_dropped_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_with(dir.path(), &[("a", 1)]).await;
    let mut transaction = store.begin();
    transaction.put(&RECORDS.key().text("a"), &2).unwrap();
    transaction.delete(&RECORDS.key().text("b"));
    assert_eq!(value(&store, "a").await, Some(1));
    drop(transaction);
    assert_eq!(value(&store, "a").await, Some(1));
}

#[tokio::test]
async fn a_transaction_reads_what_it_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_with(dir.path(), &[("a", 1), ("b", 1)]).await;
    let mut transaction = store.begin();
    transaction.put(&RECORDS.key().text("a"), &2).unwrap();
    transaction.delete(&RECORDS.key().text("b"));
    assert_eq!(transaction.get(&RECORDS.key().text("a")).await.unwrap(), Some(2));
    assert_eq!(transaction.get(&RECORDS.key().text("b")).await.unwrap(), None);
    transaction.commit().await.unwrap();
    assert_eq!((value(&store, "a").await, value(&store, "b").await), (Some(2), None));
}

#[tokio::test]
async fn scans_keep_to_their_prefix_and_to_the_order_of_keys() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let mut transaction = store.begin();
    for (name, number) in [("a", 300), ("a", 2), ("ab", 1), ("b", 1), ("a", u64::MAX)] {
        transaction.put(&RECORDS.key().text(name).number(number), &number).unwrap();
    }
    transaction.commit().await.unwrap();
    let prefix = RECORDS.key().text("a");
    let all = store.scan(&prefix, &prefix, usize::MAX).await.unwrap();
    assert_eq!(all.iter().map(|entry| entry.record).collect::<Vec<_>>(), [2, 300, u64::MAX]);
    let from = store.scan(&prefix, &RECORDS.key().text("a").number(3), 1).await.unwrap();
    assert_eq!(from.iter().map(|entry| entry.record).collect::<Vec<_>>(), [300]);
    let before = store.keys_before(&prefix, &prefix, &RECORDS.key().text("a").number(300), 10).await.unwrap();
    assert_eq!(before, [2_u64.to_be_bytes().to_vec()]);
    let limited = store.keys(&prefix, &prefix, 2).await.unwrap();
    assert_eq!(limited, [2_u64, 300].map(|number| number.to_be_bytes().to_vec()));
    let none = store.keys_before(&prefix, &prefix.after(&limited[1]), &RECORDS.key().text("a").number(300), 10).await;
    assert!(none.unwrap().is_empty());
}

#[tokio::test]
async fn a_walk_shows_everything_once_and_can_be_broken_off() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
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
        let visit = |rest: &[u8]| {
            assert_eq!(rest, (count - left).to_be_bytes());
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        store.walk_keys(&prefix, &prefix.clone().number(5), visit).await.unwrap();
        assert_eq!(left, 0);
    }
}

#[tokio::test]
async fn what_was_committed_is_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    for is_closed in [false, true] {
        let store = store_with(dir.path(), &[("a", u64::from(is_closed))]).await;
        if is_closed {
            store.close().await.unwrap();
        }
        drop(store);
        assert_eq!(value(&open(dir.path()).await, "a").await, Some(u64::from(is_closed)));
    }
}

#[tokio::test]
async fn a_transaction_holds_its_locks_until_it_took_effect_although_nobody_waits() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let mut abandoned = store.begin();
    abandoned.lock_records(&["a"]).await;
    abandoned.put(&RECORDS.key().text("a"), &1).unwrap();
    let mut commit = Box::pin(abandoned.commit());
    let _ = futures_util::poll!(&mut commit);
    drop(commit);
    let mut next = store.begin();
    next.lock_records(&["a"]).await;
    assert_eq!(next.get(&RECORDS.key().text("a")).await.unwrap(), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_under_a_lock_are_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_with(dir.path(), &[("a", 0)]).await;
    let increment = async |by_identity: bool| {
        let mut transaction = store.begin();
        if by_identity {
            transaction.lock_identities(&[&address('a')]).await;
        } else {
            transaction.lock_records(&["a", "b"]).await;
            transaction.lock_identities(&[&address('b'), &address('a')]).await;
        }
        let key = RECORDS.key().text("a");
        let count = transaction.get(&key).await.unwrap().unwrap();
        tokio::task::yield_now().await;
        transaction.put(&key, &(count + 1)).unwrap();
        transaction.commit().await.unwrap();
    };
    futures_util::future::join_all((0..100).map(|number| increment(number % 2 == 0))).await;
    assert_eq!(value(&store, "a").await, Some(100));
}

#[tokio::test]
async fn contents_of_any_size_come_back_and_leave_nothing_when_released() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
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
            assert!(store.read_blob(&name).await.is_err());
        }
    }
}

#[tokio::test]
async fn a_blob_that_no_record_names_is_swept_but_not_while_it_is_in_flight() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let mut writer = store.new_blob().await.unwrap();
    writer.write("bytes".into()).await.unwrap();
    let (blob, written) = writer.publish().await.unwrap();
    assert_eq!(written.size, 5);
    let name = blob.name().to_owned();
    assert_eq!(store.sweep_orphans().await.unwrap(), 0);
    assert!(store.read_blob(&name).await.is_ok());
    drop(blob);
    assert!(store.read_blob(&name).await.is_err());

    let orphan = dir.path().join("blobs/00/00000000000000000000000000000000");
    std::fs::write(&orphan, b"left behind").unwrap();
    assert_eq!(store.sweep_orphans().await.unwrap(), 1);
    assert!(!orphan.exists());
}
