//! The contract of the store, as tests.

use super::*;
use serde_json::json;

const SECRET: [u8; 32] = [42; 32];

fn open(directory: &Path) -> Store {
    Store::open(directory, || Ok(StoreSecret::new(SECRET)), true).unwrap()
}

fn object(collection: &str, id: &str, properties: serde_json::Value) -> Object {
    let serde_json::Value::Object(properties) = properties else { panic!("an object") };
    Object::new(collection, id, properties)
}

fn ids(store: &Store, collection: &str) -> Vec<String> {
    store.objects(collection).unwrap().map(|object| object.unwrap().id).collect()
}

#[tokio::test]
async fn objects_come_back_in_the_order_in_which_they_were_first_stored() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut batch = Batch::new();
    for id in ["z", "a", "m"] {
        batch.put_object(object("Files", id, json!({"n": 1})));
    }
    batch.put_object(object("Filesystem", "b", json!({})));
    store.commit(batch).await.unwrap();
    let mut batch = Batch::new();
    batch.put_object(object("Files", "z", json!({"n": 2}))).delete_object("Files", "a").delete_object("Files", "none");
    store.commit(batch).await.unwrap();
    assert_eq!(ids(&store, "Files"), ["z", "m"]);
    assert_eq!(store.object("Files", "z").unwrap().unwrap().properties["n"], 2);
    assert_eq!(store.object("Files", "a").unwrap(), None);
}

#[tokio::test]
async fn what_was_committed_survives_a_drop_without_shutdown() {
    let directory = tempfile::tempdir().unwrap();
    for round in 0..5u32 {
        let store = open(directory.path());
        assert_eq!(store.value::<u32>("round").unwrap(), round.checked_sub(1));
        let mut batch = Batch::new();
        batch.put_value("round", &round).unwrap();
        batch.put_object(object("Tokens", &format!("T{round}"), json!({"@type": "Token", "isOwn": true})));
        batch.record_create(object("Files", &format!("F{round}"), json!({"@type": "File", "title": "t"})));
        store.commit(batch).await.unwrap();
    }
    let store = open(directory.path());
    assert_eq!(ids(&store, "Tokens"), ["T0", "T1", "T2", "T3", "T4"]);
    assert_eq!(store.unpushed(100).unwrap().len(), 10);
}

#[tokio::test]
async fn a_batch_sees_its_own_changes() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut batch = Batch::new();
    batch.record_create(object("Tokens", "T", json!({"@type": "Token", "isOwn": true})));
    batch.record_update(object("Tokens", "T", json!({"@type": "Token", "isOwn": false})));
    batch.record_delete("Tokens", "T");
    batch.record_update(object("Tokens", "T", json!({"@type": "Token", "isOwn": true})));
    store.commit(batch).await.unwrap();
    assert_eq!(ids(&store, "Tokens"), Vec::<String>::new());
    let kinds: Vec<String> =
        store.unpushed(10).unwrap().iter().map(|(_, change)| format!("{:?}", change.kind)).collect();
    assert_eq!(kinds, ["Create", "Update", "Delete"]);
}

#[tokio::test]
async fn pushed_changes_are_forgotten_up_to_the_given_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut batch = Batch::new();
    for id in ["a", "b", "c"] {
        batch.record_create(object("Tokens", id, json!({"@type": "Token"})));
    }
    store.commit(batch).await.unwrap();
    let pushed = store.unpushed(2).unwrap();
    let mut batch = Batch::new();
    batch.drop_unpushed(pushed[1].0);
    store.commit(batch).await.unwrap();
    let left: Vec<String> =
        store.unpushed(10).unwrap().into_iter().map(|(_, change)| change.object_identifier).collect();
    assert_eq!(left, ["c"]);
}

#[tokio::test]
async fn nothing_is_queued_when_changes_are_not_recorded() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), || Ok(StoreSecret::new(SECRET)), false).unwrap();
    let mut batch = Batch::new();
    batch.record_create(object("Tokens", "T", json!({"@type": "Token"})));
    store.commit(batch).await.unwrap();
    assert!(store.unpushed(10).unwrap().is_empty());
}

#[tokio::test]
async fn collections_whose_categories_are_not_known_are_not_queued() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut batch = Batch::new();
    batch.record_create(object("Something", "x", json!({"@type": "Thing"}))).record_delete("Something", "x");
    store.commit(batch).await.unwrap();
    assert!(store.unpushed(10).unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_batch_comes_between_reading_and_changing() {
    let directory = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(open(directory.path()));
    let additions = (0..64).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let add = || {
                let number: u32 = store.value("number")?.unwrap_or_default();
                let mut batch = Batch::new();
                batch.put_value("number", &(number + 1))?;
                Ok::<_, StoreError>((batch, ()))
            };
            store.change(add).await.unwrap();
        })
    });
    for addition in additions.collect::<Vec<_>>() {
        addition.await.unwrap();
    }
    assert_eq!(store.value::<u32>("number").unwrap(), Some(64));
}

#[tokio::test]
async fn a_batch_that_cannot_be_applied_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut batch = Batch::new();
    batch.put_object(object("Tokens", "T", json!({})));
    batch.put_object(object("Tokens", &"x".repeat(500), json!({})));
    assert!(matches!(store.commit(batch).await, Err(StoreError::NameTooLong)));
    assert!(ids(&store, "Tokens").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn simultaneous_commits_all_take_effect() {
    let directory = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(open(directory.path()));
    let commits = (0..64).map(|number| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut batch = Batch::new();
            batch.put_object(object("Tokens", &number.to_string(), json!({"number": number})));
            store.commit(batch).await.unwrap();
        })
    });
    for commit in commits.collect::<Vec<_>>() {
        commit.await.unwrap();
    }
    drop(store);
    assert_eq!(ids(&open(directory.path()), "Tokens").len(), 64);
}

#[tokio::test]
async fn the_wrong_secret_is_named_as_such() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let refusal = Store::open(directory.path(), || Ok(StoreSecret::new([1; 32])), true).err().unwrap();
    assert!(matches!(refusal, StoreError::WrongKey), "{refusal}");
}

#[tokio::test]
async fn a_store_of_a_newer_program_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    store.tree.insert(key::FORMAT, &99u32.to_be_bytes()).unwrap();
    drop(store);
    let refusal = Store::open(directory.path(), || Ok(StoreSecret::new(SECRET)), true).err().unwrap();
    assert!(matches!(refusal, StoreError::Newer { found: 99, .. }), "{refusal}");
}

#[tokio::test]
async fn a_store_that_lost_its_header_is_not_taken_for_a_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut batch = Batch::new();
    batch.put_value("kept", &1u8).unwrap();
    store.commit(batch).await.unwrap();
    store.tree.remove(key::FORMAT).unwrap();
    drop(store);
    let refusal = Store::open(directory.path(), || Ok(StoreSecret::new([1; 32])), true).err().unwrap();
    assert!(matches!(refusal, StoreError::Damaged), "{refusal}");
}

#[tokio::test]
async fn values_cannot_be_exchanged_altered_or_cut() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut batch = Batch::new();
    batch.put_value("a", &"first").unwrap().put_value("b", &"second").unwrap();
    store.commit(batch).await.unwrap();
    let (a, b) = (key::value("a").unwrap(), key::value("b").unwrap());
    let sealed = store.tree.get(&b).unwrap().unwrap();
    for forged in [sealed.to_vec(), sealed[..sealed.len() - 1].to_vec(), Vec::new()] {
        store.tree.insert(&a, forged).unwrap();
        assert!(matches!(store.value::<String>("a"), Err(StoreError::Damaged)));
    }
}

#[tokio::test]
async fn a_half_written_snapshot_is_moved_aside() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut batch = Batch::new();
    batch.put_value("kept", &1u8).unwrap();
    store.commit(batch).await.unwrap();
    drop(store);
    let half = directory.path().join("store/snap.00000000000FFFFF.generating");
    std::fs::write(&half, "half a snap").unwrap();
    assert_eq!(open(directory.path()).value::<u8>("kept").unwrap(), Some(1));
    assert!(!half.exists());
}

#[tokio::test]
async fn a_flush_that_outlives_its_store_does_not_keep_the_next_one_from_opening() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    // A flush holds on to the database as this does.
    let outlives = store.database.clone();
    drop(store);
    let (opening, opened) = std::sync::mpsc::channel::<()>();
    let flush = std::thread::spawn(move || {
        let timed_out = opened.recv_timeout(std::time::Duration::from_millis(200));
        drop(outlives);
        timed_out.is_err()
    });
    open(directory.path());
    let _ = opening.send(());
    assert!(flush.join().unwrap(), "opening waited for the flush");
}

#[tokio::test]
async fn a_damaged_database_is_named_with_the_next_step() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let path = directory.path().join("store");
    for entry in std::fs::read_dir(&path).unwrap() {
        let file = entry.unwrap().path();
        if file.is_file() {
            std::fs::write(file, "not a database").unwrap();
        }
    }
    let refusal = Store::open(directory.path(), || Ok(StoreSecret::new(SECRET)), true).err().unwrap().to_string();
    assert!(refusal.contains(path.to_str().unwrap()), "{refusal}");
    assert!(refusal.contains("restore it from a backup") || refusal.contains("check that"), "{refusal}");
}
