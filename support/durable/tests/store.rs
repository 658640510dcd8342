//! The contract of the store, through its public API and on the real file system.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use durable::{Commit, Condition, Error, Location, MAX_PENDING_COMMITS, Store};

const INDEX_STATE: &str = "index.state";

fn create(directory: &Path) -> Store {
    Location::new(&directory.join("store")).begin().unwrap().publish().unwrap()
}

fn reopen(directory: &Path) -> Store {
    Store::open(&directory.join("store")).unwrap()
}

fn puts<'a>(pairs: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Commit {
    let mut commit = Commit::new();
    for (key, value) in pairs {
        commit.put(key, value).unwrap();
    }
    commit
}

fn removal(key: &[u8]) -> Commit {
    let mut commit = Commit::new();
    commit.remove(key).unwrap();
    commit
}

fn all(store: &Store) -> BTreeMap<Vec<u8>, Vec<u8>> {
    store.range(b"", None).map(Result::unwrap).collect()
}

#[tokio::test]
async fn commits_survive_with_and_without_an_orderly_close() {
    let directory = tempfile::tempdir().unwrap();
    let store = create(directory.path());
    let long = vec![7; 100_000];
    store.commit(puts([(b"a".as_slice(), b"1".as_slice()), (b"b", &long), (b"c", b"")])).await.unwrap();
    store.commit(removal(b"a")).await.unwrap();
    let expected = all(&store);
    assert_eq!(expected.keys().collect::<Vec<_>>(), [b"b", b"c"]);
    drop(store);
    let store = reopen(directory.path());
    assert_eq!(all(&store), expected);
    store.close().unwrap();
    drop(store);
    assert_eq!(all(&reopen(directory.path())), expected);
}

#[test]
fn a_snapshot_shows_each_commit_in_all_ranges_or_in_none() {
    let directory = tempfile::tempdir().unwrap();
    let store = create(directory.path());
    store.commit_blocking(puts([(b"a".as_slice(), b"".as_slice())])).unwrap();
    std::thread::scope(|scope| {
        let moving = scope.spawn(|| {
            for (from, to) in [(b"a", b"b"), (b"b", b"a")].into_iter().cycle().take(200) {
                let mut commit = removal(from);
                commit.put(to, b"").unwrap();
                store.commit_blocking(commit).unwrap();
            }
        });
        while !moving.is_finished() {
            let snapshot = store.snapshot();
            let count = |key: &[u8]| snapshot.keys(key, Some(&[key, &[0]].concat())).count();
            assert_eq!(count(b"a") + count(b"b"), 1);
        }
    });
}

#[tokio::test]
async fn after_a_reboot_the_index_is_rebuilt_unless_it_was_flushed() {
    let directory = tempfile::tempdir().unwrap();
    let store = create(directory.path());
    for number in 0..100u8 {
        store
            .commit(puts([(&[1, number % 10][..], [number; 50].as_slice()), (&[2, number], &[number])]))
            .await
            .unwrap();
        store.commit(removal(&[2, number.wrapping_sub(5)])).await.unwrap();
    }
    let expected = all(&store);
    let bytes = store.journal_bytes();
    drop(store);
    // As after a power cut: another boot id, and index files that were never flushed.
    fs::write(directory.path().join("store").join(INDEX_STATE), "another boot").unwrap();
    fs::write(directory.path().join("store/index/db"), "").unwrap();
    let store = reopen(directory.path());
    assert_eq!(all(&store), expected);
    assert_eq!(store.journal_bytes(), bytes, "live bytes are counted again");
}

#[tokio::test]
async fn an_index_that_does_not_open_is_rebuilt() {
    let directory = tempfile::tempdir().unwrap();
    let store = create(directory.path());
    store.commit(puts([(b"key".as_slice(), b"value".as_slice())])).await.unwrap();
    drop(store);
    let index = directory.path().join("store/index");
    for entry in fs::read_dir(&index).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::write(path, "not a database").unwrap();
        }
    }
    assert_eq!(reopen(directory.path()).get(b"key").unwrap().unwrap(), b"value");
}

#[tokio::test]
async fn a_corrupt_value_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let store = create(directory.path());
    store.commit(puts([(b"key".as_slice(), [1; 100].as_slice())])).await.unwrap();
    let journal = directory.path().join("store/journal/0000000001.journal");
    let mut bytes = fs::read(&journal).unwrap();
    let place = bytes.windows(100).position(|window| window == [1; 100]).unwrap();
    bytes[place + 50] ^= 1;
    fs::write(&journal, bytes).unwrap();
    let error = store.get(b"key").unwrap_err().to_string();
    assert!(error.contains("0000000001.journal") && error.contains("restore"), "{error}");
}

#[tokio::test]
async fn pending_changes_are_visible_only_through_latest() {
    let directory = tempfile::tempdir().unwrap();
    let store = create(directory.path());
    store.commit(puts([(b"a".as_slice(), b"0".as_slice()), (b"b", b"0"), (b"d", b"0")])).await.unwrap();
    let mut commit = puts([(b"a".as_slice(), b"1".as_slice()), (b"c", b"1")]);
    commit.remove(b"b").unwrap();
    let submitted = store.submit(commit, store.admit().await, None).unwrap();
    assert_eq!(store.get(b"a").unwrap().unwrap(), b"0");
    let latest = store.latest();
    assert_eq!(latest.get(b"a").unwrap().unwrap(), b"1");
    assert_eq!(latest.get(b"b").unwrap(), None);
    let pairs = latest.range(b"", None, 10).unwrap();
    let expected: [(&[u8], &[u8]); 3] = [(b"a", b"1"), (b"c", b"1"), (b"d", b"0")];
    assert!(pairs.iter().map(|(key, value)| (key.as_slice(), value.as_slice())).eq(expected), "{pairs:?}");
    assert_eq!(latest.range(b"b", Some(b"d"), 10).unwrap().len(), 1);
    assert_eq!(latest.range(b"", None, 2).unwrap().len(), 2);
    assert_eq!(latest.keys(b"", None, 10).unwrap(), [b"a", b"c", b"d"]);
    assert_eq!(latest.keys(b"b", Some(b"d"), 10).unwrap(), [b"c"]);
    assert_eq!(latest.keys(b"", None, 2).unwrap(), [b"a", b"c"]);
    submitted.done().await.unwrap();
    assert_eq!(all(&store).into_iter().collect::<Vec<_>>(), pairs);
}

#[tokio::test]
async fn a_commit_that_nobody_waits_for_takes_effect() {
    let directory = tempfile::tempdir().unwrap();
    let store = create(directory.path());
    let (held, released) = std::sync::mpsc::channel::<()>();
    let submitted = store.submit(puts([(b"a".as_slice(), b"1".as_slice())]), store.admit().await, Some(Box::new(held)));
    drop(submitted.unwrap());
    assert!(released.recv().is_err(), "what was held is released");
    assert_eq!(store.get(b"a").unwrap().unwrap(), b"1");
}

#[tokio::test]
async fn an_empty_commit_waits_for_the_commits_it_was_built_on() {
    let directory = tempfile::tempdir().unwrap();
    let store = create(directory.path());
    let first = store.submit(puts([(b"a".as_slice(), b"1".as_slice())]), store.admit().await, None).unwrap();
    let latest = store.latest();
    assert!(latest.get(b"a").unwrap().is_some());
    let admission = store.admit().await;
    store.submit_built_on(&latest, Commit::new(), admission, None).unwrap().done().await.unwrap();
    assert_eq!(store.get(b"a").unwrap().unwrap(), b"1", "what was seen is there");
    first.done().await.unwrap();
}

#[tokio::test]
async fn a_closed_store_refuses_changes_and_stays_readable() {
    let directory = tempfile::tempdir().unwrap();
    let store = create(directory.path());
    let submitted = store.submit(puts([(b"a".as_slice(), b"1".as_slice())]), store.admit().await, None).unwrap();
    store.close().unwrap();
    submitted.done().await.unwrap();
    let refusal = store.commit(puts([(b"a".as_slice(), b"2".as_slice())])).await.unwrap_err();
    assert!(matches!(refusal, Error::Closed));
    assert_eq!(store.get(b"a").unwrap().unwrap(), b"1");
    store.close().unwrap();
}

#[test]
fn work_dropped_by_a_stopping_runtime_is_still_done() {
    let directory = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(create(directory.path()));
    // Large enough to be written on a blocking thread.
    let value = vec![1; 2 * 1024 * 1024];
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).max_blocking_threads(1).build().unwrap();
    let (blocked, unblock) = std::sync::mpsc::channel::<()>();
    runtime.spawn_blocking(move || unblock.recv());
    let theirs = store.clone();
    let (submitting, submitted) = std::sync::mpsc::channel();
    runtime.spawn(async move {
        let commit = theirs.submit(puts([(b"a".as_slice(), value.as_slice())]), theirs.admit().await, None).unwrap();
        let mut done = Box::pin(commit.done());
        let _ = std::future::poll_fn(|context| std::task::Poll::Ready(done.as_mut().poll(context).is_ready())).await;
        submitting.send(()).unwrap();
        done.await
    });
    submitted.recv().unwrap();
    runtime.shutdown_background();
    drop(blocked);
    store.commit_blocking(puts([(b"b".as_slice(), b"1".as_slice())])).unwrap();
    assert!(store.get(b"a").unwrap().is_some() && store.get(b"b").unwrap().is_some());
}

#[tokio::test]
async fn pending_commits_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let store = create(directory.path());
    let mut admitted = Vec::new();
    for _ in 0..MAX_PENDING_COMMITS {
        admitted.push(store.admit().await);
    }
    let mut waiting = std::pin::pin!(tokio::task::unconstrained(store.admit()));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(waiting.as_mut().poll(&mut context).is_pending());
    let submitted = store.submit(puts([(b"a".as_slice(), b"1".as_slice())]), admitted.pop().unwrap(), None).unwrap();
    assert!(waiting.as_mut().poll(&mut context).is_pending(), "a submitted commit counts until it is done");
    submitted.done().await.unwrap();
    assert!(waiting.as_mut().poll(&mut context).is_ready());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn simultaneous_commits_all_take_effect_while_the_journal_is_cleaned() {
    let directory = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(create(directory.path()));
    let writers: Vec<_> = (0..8u8)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for round in 0..60u8 {
                    for key in 0..8u8 {
                        let value = vec![round; 10_000 + usize::from(key)];
                        store.commit(puts([(&[writer, key][..], value.as_slice())])).await.unwrap();
                    }
                }
            })
        })
        .collect();
    let cleaning = tokio::task::spawn_blocking({
        let store = store.clone();
        move || (0..20).for_each(|_| store.clean().unwrap())
    });
    for writer in writers {
        writer.await.unwrap();
    }
    cleaning.await.unwrap();
    while store.journal_bytes().0 > 20 * 1024 * 1024 {
        store.clean().unwrap();
    }
    let check = |store: &Store| {
        let all = all(store);
        assert_eq!(all.len(), 64);
        assert!(all.iter().all(|(key, value)| *value == vec![59; 10_000 + usize::from(key[1])]));
    };
    check(&store);
    drop(store);
    fs::write(directory.path().join("store").join(INDEX_STATE), "another boot").unwrap();
    check(&reopen(directory.path()));
}

#[tokio::test]
async fn a_removed_key_stays_removed_when_the_journal_is_cleaned() {
    let directory = tempfile::tempdir().unwrap();
    let store = create(directory.path());
    store.commit(puts([(b"kept".as_slice(), [1; 50].as_slice()), (b"gone", &[2; 50])])).await.unwrap();
    let filler = vec![0; 1_000_000];
    for round in 0..40 {
        store.commit(puts([(b"filler".as_slice(), filler.as_slice())])).await.unwrap();
        if round == 20 {
            store.commit(removal(b"gone")).await.unwrap();
        }
    }
    drop(store);
    for _ in 0..2 {
        // Reopened, so that the cleaner has no request yet.
        let store = reopen(directory.path());
        store.clean().unwrap();
        drop(reopen_as_after_a_cut(directory.path(), &store));
    }
    fs::write(directory.path().join("store").join(INDEX_STATE), "another boot").unwrap();
    let store = reopen(directory.path());
    assert_eq!(store.get(b"kept").unwrap().unwrap(), [1; 50]);
    assert_eq!(store.get(b"gone").unwrap(), None);
    assert!(store.journal_bytes().0 < 20 * 1024 * 1024);
}

/// Opens a copy of the files as they are now, with another boot id, as after a power cut.
fn reopen_as_after_a_cut(directory: &Path, _running: &Store) -> Store {
    let copy = directory.join("copy");
    let _ = fs::remove_dir_all(&copy);
    fs::create_dir_all(copy.join("store/journal")).unwrap();
    fs::copy(directory.join("store/format"), copy.join("store/format")).unwrap();
    for entry in fs::read_dir(directory.join("store/journal")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.join("store/journal").join(entry.file_name())).unwrap();
    }
    let store = reopen(&copy);
    assert_eq!(store.get(b"kept").unwrap().unwrap(), [1; 50]);
    assert_eq!(store.get(b"gone").unwrap(), None);
    store
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused_and_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    drop(create(directory.path()));
    let format = directory.path().join("store/format");
    let text = fs::read_to_string(&format).unwrap().replace("format 1", "format 99");
    fs::write(&format, text).unwrap();
    let refusal = Store::open(&directory.path().join("store")).err().unwrap();
    assert!(matches!(refusal, Error::Newer { found: 99, supported: 1, .. }), "{refusal}");
}

#[test]
fn a_missing_journal_is_reported_with_the_next_step() {
    let directory = tempfile::tempdir().unwrap();
    drop(create(directory.path()));
    let journal = directory.path().join("store/journal");
    fs::remove_dir_all(&journal).unwrap();
    fs::create_dir(&journal).unwrap();
    assert_eq!(Location::new(&directory.path().join("store")).inspect().unwrap(), Condition::Ready);
    let refusal = Store::open(&directory.path().join("store")).err().unwrap().to_string();
    assert!(refusal.contains(journal.to_str().unwrap()) && refusal.contains("restore it from a backup"), "{refusal}");
}

/// The next step in the message of [`Error::Index`].
#[tokio::test]
async fn an_index_that_was_removed_is_rebuilt() {
    let directory = tempfile::tempdir().unwrap();
    let store = create(directory.path());
    store.commit(puts([(b"key".as_slice(), b"value".as_slice())])).await.unwrap();
    store.close().unwrap();
    drop(store);
    fs::remove_dir_all(directory.path().join("store/index")).unwrap();
    assert_eq!(reopen(directory.path()).get(b"key").unwrap().unwrap(), b"value");
}
