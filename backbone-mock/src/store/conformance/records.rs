//! Records, locks, notifications and the server's key.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use futures_util::poll;

use super::Storage;
use crate::error::StoreError;
use crate::notifications::{Notification, NotificationName};
use crate::quota::Metric;
use crate::store::contract::{Backend, Changes, KeyRange, LockSpace, MAX_COMMIT_BYTES, MAX_KEY_BYTES, Session, Update};

/// What these tests write; the version of the records lies behind it.
const EVERYTHING: KeyRange<'_> = KeyRange { from: b"", until: b"m" };

fn writes(pairs: &[(&str, u8)]) -> Changes {
    let writes = pairs.iter().map(|(key, value)| (key.as_bytes().to_vec(), Some(vec![*value]))).collect();
    Changes { writes, ..Changes::default() }
}

/// One more, up to a limit.
fn increment(key: &str, limit: u8) -> Changes {
    let update: Update = Box::new(move |stored| match stored.map_or(0, |stored| stored[0]) {
        count if count < limit => Ok(Some(vec![count + 1])),
        _ => Err(StoreError::Quota(Metric::Tokens)),
    });
    Changes { updates: [(key.as_bytes().to_vec(), update)].into(), ..Changes::default() }
}

fn notification() -> Notification {
    Notification::to_all(&"did:e:localhost:dids:c5b454f4a8133c3d2cf2ef".parse().unwrap(), NotificationName::TokenLocked)
}

async fn commit(backend: &Backend, changes: Changes) -> Result<(), StoreError> {
    backend.records.begin().commit(changes).await
}

async fn value(backend: &Backend, key: &str) -> Option<u8> {
    backend.records.get(key.as_bytes()).await.unwrap().map(|value| value[0])
}

async fn locked(backend: &Backend, space: LockSpace, names: &[&str]) -> Box<dyn Session> {
    let mut session = backend.records.begin();
    session.lock(space, names).await.unwrap();
    session
}

pub(super) async fn refused_commits_change_nothing_notify_nobody_and_give_their_claims_back(storage: &impl Storage) {
    let backend = storage.open().await;
    let received = Arc::new(AtomicUsize::new(0));
    let counter = received.clone();
    backend.notifications.subscribe(Box::new(move |_| {
        counter.fetch_add(1, Ordering::AcqRel);
    }));
    let mut writer = backend.blobs.create().await.unwrap();
    writer.write("bytes".into()).await.unwrap();
    let (blob, _) = writer.publish().await.unwrap();
    let name = blob.name().to_owned();
    let mut refused = increment("count", 0);
    refused.writes = writes(&[("first", 1), ("again", 1)]).writes;
    refused.notifications.push(notification());
    refused.claims.push(blob.into_claim());
    assert!(matches!(commit(&backend, refused).await, Err(StoreError::Quota(Metric::Tokens))));
    assert_eq!(backend.records.keys(EVERYTHING, 10).await.unwrap(), Vec::<Vec<u8>>::new());
    assert!(backend.blobs.open(&name).await.unwrap().is_none());
    // The notification of the next one arrives, so that of the earlier one would have.
    commit(&backend, Changes { notifications: vec![notification()], ..Changes::default() }).await.unwrap();
    assert_eq!(received.load(Ordering::Acquire), 1);
}

pub(super) async fn what_was_committed_is_there_after_opening_again(storage: &impl Storage) {
    for is_closed in [false, true] {
        let backend = storage.open().await;
        commit(&backend, writes(&[("a", u8::from(is_closed)), ("b", 7)])).await.unwrap();
        if is_closed {
            backend.records.close().await.unwrap();
        }
        drop(backend);
        let backend = storage.open().await;
        assert_eq!((value(&backend, "a").await, value(&backend, "b").await), (Some(u8::from(is_closed)), Some(7)));
        let removal = Changes { writes: [(b"b".to_vec(), None)].into(), ..Changes::default() };
        commit(&backend, removal).await.unwrap();
        assert_eq!(value(&backend, "b").await, None);
        assert!(!backend.records.contains(b"b").await.unwrap());
    }
}

pub(super) async fn scans_are_ordered_and_bounded(storage: &impl Storage) {
    let backend = storage.open().await;
    commit(&backend, writes(&[("d", 4), ("b", 2), ("e", 5), ("a", 1), ("c", 3), ("aa", 9)])).await.unwrap();
    let range = KeyRange { from: b"aa", until: b"e" };
    let pairs =
        [(b"aa".to_vec(), vec![9]), (b"b".to_vec(), vec![2]), (b"c".to_vec(), vec![3]), (b"d".to_vec(), vec![4])];
    assert_eq!(backend.records.scan(range, 10).await.unwrap(), pairs);
    assert_eq!(backend.records.scan(range, 4).await.unwrap(), pairs);
    assert_eq!(backend.records.scan(range, 3).await.unwrap(), pairs[..3]);
    assert_eq!(backend.records.keys(range, 2).await.unwrap(), [b"aa".to_vec(), b"b".to_vec()]);
    let empty = KeyRange { from: b"e", until: b"aa" };
    assert_eq!(backend.records.scan(empty, 10).await.unwrap(), []);
    assert_eq!(backend.records.keys(empty, 10).await.unwrap(), Vec::<Vec<u8>>::new());
}

pub(super) async fn a_name_is_locked_by_one_session_at_a_time(storage: &impl Storage) {
    let backend = storage.open().await;
    let holders = AtomicUsize::new(0);
    for space in [LockSpace::Records, LockSpace::Identities] {
        let hold = async |other: &str| {
            let session = locked(&backend, space, &["a", other]).await;
            assert_eq!(holders.fetch_add(1, Ordering::AcqRel), 0);
            tokio::task::yield_now().await;
            holders.fetch_sub(1, Ordering::AcqRel);
            drop(session);
        };
        join_all((0..50).map(|number| hold(if number % 2 == 0 { "b" } else { "c" }))).await;
    }
}

pub(super) async fn names_of_different_spaces_have_nothing_to_do_with_each_other(storage: &impl Storage) {
    let backend = storage.open().await;
    let _records = locked(&backend, LockSpace::Records, &["a"]).await;
    let _identities = locked(&backend, LockSpace::Identities, &["a"]).await;
}

pub(super) async fn locks_in_any_order_do_not_wait_for_each_other_for_ever(storage: &impl Storage) {
    let backend = storage.open().await;
    let hold = async |number: usize| {
        let (names, identities) = (["a", "b", "c"], ["x", "y"]);
        let names: Vec<&str> = (0..3).map(|place| names[(place + number) % 3]).collect();
        let mut session = locked(&backend, LockSpace::Records, &names[..1 + number % 3]).await;
        tokio::task::yield_now().await;
        session.lock(LockSpace::Identities, &[identities[number % 2], identities[(number + 1) % 2]]).await.unwrap();
        tokio::task::yield_now().await;
        session.commit(increment("a", u8::MAX)).await.unwrap();
    };
    join_all((0..60).map(hold)).await;
    assert_eq!(value(&backend, "a").await, Some(60));
}

pub(super) async fn a_session_that_is_dropped_changes_nothing_and_frees_its_locks(storage: &impl Storage) {
    let backend = storage.open().await;
    for _ in 0..2 {
        let mut session = locked(&backend, LockSpace::Records, &["a"]).await;
        session.lock(LockSpace::Identities, &["a"]).await.unwrap();
    }
    assert_eq!(value(&backend, "a").await, None);
}

pub(super) async fn a_cancelled_waiter_does_not_block_others(storage: &impl Storage) {
    let backend = storage.open().await;
    let holder = locked(&backend, LockSpace::Records, &["a", "b"]).await;
    let mut waiting = Box::pin(locked(&backend, LockSpace::Records, &["a", "b", "c"]));
    assert!(poll!(&mut waiting).is_pending());
    drop(waiting);
    drop(holder);
    drop(locked(&backend, LockSpace::Records, &["c", "b", "a"]).await);
}

pub(super) async fn sessions_that_hold_locks_can_read(storage: &impl Storage) {
    let backend = storage.open().await;
    commit(&backend, writes(&[("a", 1)])).await.unwrap();
    let names: Vec<String> = (0..200).map(|number| format!("name {number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let all = locked(&backend, LockSpace::Records, &names).await;
    // These wait for it.
    let mut waiting: Vec<_> =
        names.iter().map(|name| Box::pin(locked(&backend, LockSpace::Records, std::slice::from_ref(name)))).collect();
    for session in &mut waiting {
        assert!(poll!(session).is_pending());
    }
    assert_eq!(value(&backend, "a").await, Some(1));
    assert_eq!(backend.records.keys(EVERYTHING, 10).await.unwrap().len(), 1);
    drop(all);
    for session in waiting {
        drop(session.await);
    }
}

pub(super) async fn updates_are_exact_without_a_lock(storage: &impl Storage) {
    let backend = storage.open().await;
    let outcomes = join_all((0..100).map(|_| commit(&backend, increment("count", 60)))).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 60);
    assert_eq!(value(&backend, "count").await, Some(60));
    // Several updates of one commit, one of them without effect on what is stored.
    let mut both = increment("count", 61);
    both.updates.extend(increment("other", 1).updates);
    let gone: Update = Box::new(|stored| Ok(stored.filter(|_| false)));
    both.updates.insert(b"gone".to_vec(), gone);
    commit(&backend, both).await.unwrap();
    assert_eq!((value(&backend, "count").await, value(&backend, "other").await), (Some(61), Some(1)));
    assert_eq!(value(&backend, "gone").await, None);
}

pub(super) async fn nothing_is_lost_of_what_releases_its_lock_early(storage: &impl Storage) {
    let backend = storage.open().await;
    let use_once = async |number: u8| {
        let mut session = locked(&backend, LockSpace::Records, &["a"]).await;
        let before = session.latest(b"a").await.unwrap().map_or(0, |value| value[0]);
        // Some look only, and some keep the lock.
        let after = before + u8::from(!number.is_multiple_of(3));
        let changes = if after == before { Changes::default() } else { writes(&[("a", after)]) };
        session.commit(Changes { releases_early: !number.is_multiple_of(5), ..changes }).await.unwrap();
        assert!(value(&backend, "a").await.unwrap_or(0) >= after, "what follows from it can be answered");
    };
    join_all((0..150).map(use_once)).await;
    assert_eq!(value(&backend, "a").await, Some(100));
}

/// Commits each of these under the lock of its number, several at the same time, but waits for none: each is polled up to so
/// many times and dropped. Returns when all locks are free.
async fn abandon(backend: &Backend, commits: Vec<Changes>, polls: usize) {
    let mut abandoned = Vec::new();
    let names: Vec<String> = (0..commits.len()).map(|number| number.to_string()).collect();
    for (name, changes) in names.iter().zip(commits) {
        let session = locked(backend, LockSpace::Records, &[name]).await;
        abandoned.push(tokio::spawn(async move {
            let mut commit = session.commit(changes);
            for _ in 0..polls {
                if poll!(&mut commit).is_ready() {
                    break;
                }
            }
        }));
    }
    for task in abandoned {
        task.await.unwrap();
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    drop(locked(backend, LockSpace::Records, &names).await);
}

pub(super) async fn commits_that_nobody_waits_for_are_decided_when_their_locks_are_free(storage: &impl Storage) {
    let backend = storage.open().await;
    for round in 1..10 {
        let keys: Vec<[String; 2]> = (0..20).map(|number| [format!("a {number}"), format!("b {number}")]).collect();
        let commits = keys.iter().map(|[a, b]| writes(&[(a, round), (b, round)])).collect();
        abandon(&backend, commits, usize::from(round)).await;
        let decided = backend.records.scan(EVERYTHING, 100).await.unwrap();
        for [a, b] in &keys {
            assert_eq!(value(&backend, a).await, value(&backend, b).await);
        }
        commit(&backend, Changes::default()).await.unwrap();
        assert_eq!(backend.records.scan(EVERYTHING, 100).await.unwrap(), decided);
    }
}

pub(super) async fn a_commit_that_was_never_polled_has_no_effect(storage: &impl Storage) {
    let backend = storage.open().await;
    let session = locked(&backend, LockSpace::Records, &["a"]).await;
    drop(session.commit(writes(&[("a", 1)])));
    let _next = locked(&backend, LockSpace::Records, &["a"]).await;
    assert_eq!(value(&backend, "a").await, None);
}

pub(super) async fn long_keys_of_any_bytes_are_kept(storage: &impl Storage) {
    let backend = storage.open().await;
    let keys = [vec![0; MAX_KEY_BYTES], vec![b'k'; MAX_KEY_BYTES], vec![0xff; MAX_KEY_BYTES], vec![0], vec![0xff]];
    let writes = keys.iter().map(|key| (key.clone(), Some(key.clone()))).collect();
    commit(&backend, Changes { writes, ..Changes::default() }).await.unwrap();
    for key in keys {
        assert_eq!(backend.records.get(&key).await.unwrap().as_ref(), Some(&key));
    }
}

pub(super) async fn a_commit_of_the_largest_size_is_taken(storage: &impl Storage) {
    const VALUE: usize = 16 * 1024;
    let backend = storage.open().await;
    let count = MAX_COMMIT_BYTES / (VALUE + 4);
    let key = |number: usize| u32::try_from(number).unwrap().to_be_bytes().to_vec();
    let writes = (0..count).map(|number| (key(number), Some(vec![7; VALUE]))).collect();
    commit(&backend, Changes { writes, ..Changes::default() }).await.unwrap();
    assert_eq!(backend.records.keys(EVERYTHING, usize::MAX).await.unwrap().len(), count);
    assert_eq!(backend.records.get(&key(count - 1)).await.unwrap(), Some(vec![7; VALUE]));
}

pub(super) async fn closed_records_refuse_commits(storage: &impl Storage) {
    let backend = storage.open().await;
    assert!(backend.records.is_healthy());
    let commits = try_join_all((0..10).map(|_| commit(&backend, increment("a", 10))));
    commits.await.unwrap();
    backend.records.close().await.unwrap();
    backend.records.close().await.unwrap();
    assert!(matches!(commit(&backend, writes(&[("b", 1)])).await, Err(StoreError::Stopped(_))));
    drop(backend);
    let backend = storage.open().await;
    assert_eq!((value(&backend, "a").await, value(&backend, "b").await), (Some(10), None));
}

pub(super) async fn every_receiver_gets_a_notification_once_after_the_commit_is_visible(storage: &impl Storage) {
    let backend = storage.open().await;
    let received = Arc::new(Mutex::new(Vec::new()));
    for receiver in 0..2 {
        let (received, records) = (received.clone(), backend.records.clone());
        backend.notifications.subscribe(Box::new(move |notification| {
            let is_visible = futures_util::FutureExt::now_or_never(records.contains(b"a"));
            // An implementation that has to wait cannot be asked here.
            assert!(is_visible.is_none_or(|seen| seen.unwrap()));
            received.lock().unwrap().push((receiver, notification.clone()));
        }));
    }
    let mut changes = writes(&[("a", 1)]);
    changes.notifications.push(notification());
    commit(&backend, changes).await.unwrap();
    assert_eq!(*received.lock().unwrap(), [(0, notification()), (1, notification())]);
}

pub(super) async fn notifications_of_commits_that_nobody_waits_for_are_sent(storage: &impl Storage) {
    let backend = storage.open().await;
    let received = Arc::new(AtomicUsize::new(0));
    let counter = received.clone();
    backend.notifications.subscribe(Box::new(move |_| {
        counter.fetch_add(1, Ordering::AcqRel);
    }));
    for round in 0..10 {
        let keys = (0..20).map(|number| format!("{round} {number}"));
        let commits = keys.map(|key| Changes { notifications: vec![notification()], ..writes(&[(&key, 1)]) }).collect();
        abandon(&backend, commits, 1).await;
    }
    let effective = backend.records.keys(EVERYTHING, 1000).await.unwrap().len();
    let receiving = async {
        while received.load(Ordering::Acquire) < effective {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), receiving).await.expect("what took effect is notified");
}

pub(super) async fn the_key_of_the_server_stays(storage: &impl Storage) {
    let first = storage.open().await.server_key.access_token("claims");
    assert_eq!(storage.open().await.server_key.access_token("claims"), first);
}
