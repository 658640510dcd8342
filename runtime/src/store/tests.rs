//! The contract of the store, as tests.

use super::*;
use serde_json::json;

fn key_file(directory: &Path) -> StoreKeySource {
    StoreKeySource::File(directory.join("store.key"))
}

fn open(directory: &Path) -> Store {
    Store::open_in(directory, &key_file(directory), true).unwrap()
}

fn refusal(directory: &Path) -> StoreError {
    Store::open_in(directory, &key_file(directory), true).err().unwrap()
}

/// Writes to the disk below the store.
pub(super) fn put_raw(store: &Store, key: &[u8], value: &[u8]) {
    let mut commit = durable::Commit::new();
    commit.put(key, value).unwrap();
    store.disk.commit_blocking(commit).unwrap();
}

/// Flips a bit of a value where it is in the journal.
pub(super) fn damage(store: &Path, value: &[u8]) {
    let mut directories = vec![store.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "journal") {
                let mut bytes = std::fs::read(&path).unwrap();
                if let Some(place) = bytes.windows(value.len()).position(|window| window == value) {
                    bytes[place + value.len() / 2] ^= 1;
                    std::fs::write(&path, bytes).unwrap();
                    return;
                }
            }
        }
    }
    panic!("the value is in no journal");
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
async fn committed_batches_survive_a_drop_without_shutdown() {
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
    let store = Store::open_in(directory.path(), &key_file(directory.path()), false).unwrap();
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
async fn no_batch_is_applied_between_reading_and_changing() {
    let directory = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(open(directory.path()));
    let additions = (0..64).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let add = |view: &View<'_>| {
                let number: u32 = view.value("number")?.unwrap_or_default();
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
async fn a_wrong_key_is_distinguished_from_a_damaged_store() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    std::fs::remove_file(directory.path().join("store.key")).unwrap();
    key_file(directory.path()).create(&StoreSecret::new([1; 32])).unwrap();
    let refusal = refusal(directory.path());
    assert!(matches!(refusal, StoreError::WrongKey), "{refusal}");
}

#[tokio::test]
async fn a_store_of_a_newer_program_is_refused_and_not_changed() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    put_raw(&store, key::FORMAT, &99u32.to_be_bytes());
    drop(store);
    let refusal = refusal(directory.path());
    assert!(matches!(refusal, StoreError::Newer { found: 99, .. }), "{refusal}");
}

#[tokio::test]
async fn a_store_without_its_header_is_not_treated_as_new() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut commit = durable::Commit::new();
    commit.remove(key::FORMAT).unwrap();
    store.disk.commit_blocking(commit).unwrap();
    drop(store);
    let refusal = refusal(directory.path());
    assert!(matches!(refusal, StoreError::Damaged), "{refusal}");
}

#[test]
fn a_missing_store_is_not_replaced_and_the_message_names_what_to_restore() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let (store, gone) = (directory.path().join("store"), directory.path().join("gone"));
    std::fs::rename(&store, &gone).unwrap();
    for is_empty in [false, true] {
        if is_empty {
            std::fs::create_dir(&store).unwrap();
        }
        let refusal = refusal(directory.path()).to_string();
        assert!(refusal.contains(store.to_str().unwrap()) && refusal.contains("restore it from a backup"), "{refusal}");
        assert!(refusal.contains("store.key"), "{refusal}");
    }
    std::fs::remove_dir(&store).unwrap();
    std::fs::rename(&gone, &store).unwrap();
    drop(open(directory.path()));
}

#[test]
fn a_missing_store_is_not_replaced_if_its_key_is_kept_elsewhere() {
    let (directory, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let source = StoreKeySource::File(elsewhere.path().join("key"));
    source.create(&StoreSecret::new([7; 32])).unwrap();
    drop(Store::open_in(directory.path(), &source, true).unwrap());
    std::fs::rename(directory.path().join("store"), directory.path().join("gone")).unwrap();
    let refusal = Store::open_in(directory.path(), &source, true).err().unwrap().to_string();
    assert!(refusal.contains("store.marker") && refusal.contains("restore it from a backup"), "{refusal}");
}

#[test]
fn a_file_that_an_app_writes_after_a_start_shows_that_there_was_a_store() {
    let directory = tempfile::tempdir().unwrap();
    let evidence = directory.path().join("start.json");
    let lock = Arc::new(DirectoryLock::take(directory.path(), crate::LOCK_FILE).unwrap());
    let open = |evidence| Store::open(lock.clone(), &key_file(directory.path()), evidence, true);
    let refusal = open(Some(&evidence)).err().unwrap().to_string();
    for word in ["store and", "store.key are missing", "start.json is there", "restore both from a backup"] {
        assert!(refusal.contains(word), "{word} is missing in {refusal}");
    }
    assert!(!directory.path().join("store.key").exists() && !directory.path().join("store.new").exists());
    drop(open(None).unwrap());
    drop(open(Some(&evidence)).unwrap());
}

#[test]
fn a_missing_key_is_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    std::fs::remove_file(directory.path().join("store.key")).unwrap();
    assert!(matches!(refusal(directory.path()), StoreError::KeyLost { .. }));
    assert!(!directory.path().join("store.key").exists());
}

#[test]
fn a_first_start_that_was_interrupted_is_repeated_or_finished() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path()));
    let (store, new) = (directory.path().join("store"), directory.path().join("store.new"));
    // Between the key and the move of the store to its place.
    std::fs::rename(&store, &new).unwrap();
    drop(open(directory.path()));
    assert!(store.exists() && !new.exists());
    // Between the completion of the store and the key.
    std::fs::rename(&store, &new).unwrap();
    std::fs::remove_file(directory.path().join("store.key")).unwrap();
    drop(open(directory.path()));
}

#[tokio::test]
async fn a_store_of_the_first_version_is_converted_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut batch = Batch::new();
    batch.put_value("kept", &1u8).unwrap();
    batch.record_create(object("Tokens", "T", json!({"@type": "Token", "isOwn": true, "forIdentity": "did:e:x"})));
    store.commit(batch).await.unwrap();
    let path = directory.path().join("store");
    let entries =
        |store: &Store| store.disk.range(key::ENTRIES, Some(b"f")).map(|pair| pair.unwrap().0).collect::<Vec<_>>();
    let kept = entries(&store);
    assert_eq!(kept.len(), 1);
    {
        let older = sled::Config::new().path(directory.path().join("older")).open().unwrap();
        for pair in store.disk.range(b"", None) {
            let (key, value) = pair.unwrap();
            if !key.starts_with(key::ENTRIES) {
                older.insert(key, value).unwrap();
            }
        }
        older.insert(key::FORMAT, &1u32.to_be_bytes()).unwrap();
        older.flush().unwrap();
    }
    drop(store);
    std::fs::remove_dir_all(&path).unwrap();
    std::fs::rename(directory.path().join("older"), &path).unwrap();
    for _ in 0..2 {
        let store = open(directory.path());
        assert_eq!(store.value::<u8>("kept").unwrap(), Some(1));
        assert_eq!(ids(&store, "Tokens"), ["T"]);
        assert_eq!(store.disk.get(key::FORMAT).unwrap().unwrap(), migration::CURRENT.to_be_bytes());
        assert_eq!(entries(&store), kept, "the index was made");
        let queued = store.unpushed(10).unwrap().len();
        let mut batch = Batch::new();
        let again = json!({"@type": "Token", "isOwn": false, "forIdentity": "did:e:x"});
        batch.record_create(object("Tokens", "T", again));
        store.commit(batch).await.unwrap();
        assert!(store.unpushed(10).unwrap().len() >= queued, "no number was given out twice");
    }
    assert!(!directory.path().join("store.old").exists() && !path.join("db").exists());
}

#[test]
fn an_empty_store_of_the_first_version_is_not_treated_as_new() {
    let directory = tempfile::tempdir().unwrap();
    key_file(directory.path()).create(&StoreSecret::new([7; 32])).unwrap();
    // As after a power cut: the files exist but are empty.
    let path = directory.path().join("store");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("db"), "").unwrap();
    let refusal = refusal(directory.path()).to_string();
    assert!(refusal.contains("restore it from a backup"), "{refusal}");
    assert!(path.join("db").exists());
}

#[tokio::test]
async fn swapped_altered_and_truncated_values_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut batch = Batch::new();
    batch.put_value("a", &"first").unwrap().put_value("b", &"second").unwrap();
    store.commit(batch).await.unwrap();
    let (a, b) = (key::value("a").unwrap(), key::value("b").unwrap());
    let sealed = store.disk.get(&b).unwrap().unwrap();
    for forged in [sealed.to_vec(), sealed[..sealed.len() - 1].to_vec(), Vec::new()] {
        put_raw(&store, &a, &forged);
        assert!(matches!(store.value::<String>("a"), Err(StoreError::Damaged)));
    }
}
