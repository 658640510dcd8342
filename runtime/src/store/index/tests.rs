//! The index finds what reading everything finds, and is no larger than it has to be.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use serde_json::json;

use super::super::walk::MAX_SCANNED;
use super::super::{Batch, Object, Store, Walk, migration};
use super::*;
use crate::query::{self, Ownership, Query};
use crate::store::StoreKeySource;
use crate::store::StoreSecret;

fn open(directory: &Path) -> Store {
    Store::open_in(directory, &StoreKeySource::File(directory.join("store.key")), false).unwrap()
}

fn file(id: &str, properties: Value) -> Object {
    Object::new("Files", id, properties.as_object().unwrap().clone())
}

async fn put(store: &Store, objects: impl IntoIterator<Item = Object>) {
    let mut batch = Batch::new();
    for object in objects {
        batch.put_object(object);
    }
    store.commit(batch).await.unwrap();
}

fn files_where(parameters: &[(&str, &str)]) -> Query {
    let parameters: Vec<_> = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Query::parse(query::FILES, &parameters, Ownership::Any).unwrap()
}

/// Ids of what a walk finds, and how many objects were looked at.
fn walked(store: &Store, mut walk: Walk, query: &Query) -> (Vec<String>, usize) {
    let looked_at = Cell::new(0);
    let mut found = Vec::new();
    while walk.has_more() {
        let before = looked_at.get();
        let matches = |object: &Properties| {
            looked_at.set(looked_at.get() + 1);
            query.matches(object)
        };
        let page = store.page(&mut walk, &query.members(), matches).unwrap();
        found.extend(page.iter().map(|record| record.id().unwrap()));
        assert!(looked_at.get() - before <= MAX_SCANNED);
    }
    (found, looked_at.get())
}

fn by_index(store: &Store, query: &Query) -> (Vec<String>, usize) {
    walked(store, store.walk_where("Files", &query.required_texts()).unwrap(), query)
}

fn by_reading_all(store: &Store, query: &Query) -> Vec<String> {
    walked(store, store.walk("Files").unwrap(), query).0
}

fn keys(store: &Store) -> Vec<Vec<u8>> {
    let (from, until) = key::range(key::ENTRIES);
    store.disk.keys(&from, Some(&until)).map(Result::unwrap).collect()
}

/// Values of a member, odd ones too: other devices of the identity write what they want.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => prop::sample::select(vec!["a", "b", "1", "1.0", "A", "", "true", "!a"]).prop_map(|text| json!(text)),
        4 => prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "1"]), 0..4).prop_map(|list| json!(list)),
        3 => prop::sample::select(vec![
            json!(1), json!(1.5), json!(true), json!(null), json!({"a": "a"}), json!([["a"]]), json!(["b", 1]),
            json!([null]), json!((0..=MAX_LISTED).map(|number| number.to_string()).collect::<Vec<_>>()),
        ]),
    ]
}

fn properties() -> impl Strategy<Value = Properties> {
    let name = prop::sample::select(vec!["filename", "title", "tags", "mimetype"]);
    prop::collection::vec((name, value()), 0..5)
        .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn parameter() -> impl Strategy<Value = (&'static str, &'static str)> {
    (
        prop::sample::select(vec!["filename", "title", "tags", "mimetype"]),
        prop_oneof![
            3 => prop::sample::select(vec!["a", "b", "1", "true", "A", "16"]),
            1 => prop::sample::select(vec!["!a", "^a", ">a", "<=b", "", "!", "!=1", "$b"]),
        ],
    )
}

type Change = (usize, Option<Properties>);

fn batches() -> impl Strategy<Value = Vec<Vec<Change>>> {
    prop::collection::vec(prop::collection::vec((0..8_usize, prop::option::weighted(0.8, properties())), 1..12), 1..4)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_the_index_finds_is_what_reading_everything_finds(
        batches in batches(),
        queries in prop::collection::vec(prop::collection::vec(parameter(), 1..4), 60),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        let executor = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for changes in batches {
            let mut batch = Batch::new();
            for (id, properties) in changes {
                let id = id.to_string();
                match properties {
                    Some(properties) => batch.put_object(Object::new("Files", id, properties)),
                    None => batch.delete_object("Files", &id),
                };
            }
            executor.block_on(store.commit(batch)).unwrap();
            for parameters in &queries {
                let query = files_where(parameters);
                prop_assert_eq!(by_index(&store, &query).0, by_reading_all(&store, &query), "{:?}", parameters);
            }
            // Exactly the entries that a new index of these objects has.
            let kept = keys(&store);
            build(&store.disk, &store.sealing).unwrap();
            prop_assert_eq!(kept, keys(&store));
        }
        let mut batch = Batch::new();
        (0..8).for_each(|id| { batch.delete_object("Files", &id.to_string()); });
        executor.block_on(store.commit(batch)).unwrap();
        prop_assert!(keys(&store).is_empty());
    }
}

#[tokio::test]
async fn only_candidates_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let names = (0..100).map(|number| file(&number.to_string(), json!({"filename": format!("{}.txt", number % 50)})));
    put(&store, names).await;
    put(&store, [file("odd", json!({"filename": 7})), file("none", json!({"title": "t"}))]).await;
    let found = |parameters: &[(&str, &str)]| by_index(&store, &files_where(parameters));
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    assert_eq!(found(&[("filename", "3.txt")]), (ids(&["3", "53"]), 3));
    assert_eq!(found(&[("filename", "4.txt"), ("filename", "3.txt")]), (ids(&["3", "4", "53", "54"]), 5));
    assert_eq!(found(&[("filename", "7")]), (ids(&["odd"]), 1));
    assert_eq!(found(&[("title", "t")]), (ids(&["none"]), 1));
    assert_eq!(found(&[("title", "none")]), (ids(&[]), 0));
    assert_eq!(found(&[("title", "t"), ("filename", "3.txt")]), (ids(&[]), 3));
    assert_eq!(found(&[("filename", "!3.txt")]).1, 102, "not equal needs all");
}

#[tokio::test]
async fn tokens_are_found_by_their_addressee() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let token = |id: &str, properties: Value| Object::new("Tokens", id, properties.as_object().unwrap().clone());
    put(&store, [token("1", json!({"forIdentity": "did:e:x"})), token("2", json!({})), token("3", json!({}))]).await;
    assert_eq!(keys(&store).len(), 1, "tokens for everybody have no entry");
    let parameters = [("forIdentity".to_owned(), "did:e:x".to_owned())];
    let query = Query::parse(query::TOKENS, &parameters, Ownership::Any).unwrap();
    let walk = store.walk_where("Tokens", &query.required_texts()).unwrap();
    assert_eq!(walked(&store, walk, &query), (vec!["1".to_owned()], 1));
}

#[tokio::test]
async fn many_candidates_come_in_pages_of_bounded_work() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let count = 2 * MAX_SCANNED + 1;
    put(&store, (0..count).map(|number| file(&number.to_string(), json!({"tags": ["a", "b"], "title": "t"})))).await;
    let query = files_where(&[("tags", "a"), ("tags", "b"), ("tags", "c")]);
    let mut walk = store.walk_where("Files", &query.required_texts()).unwrap();
    let mut page = || store.page(&mut walk, &query.members(), |object| query.matches(object)).unwrap();
    let first: Vec<_> = page().iter().map(|record| record.id().unwrap()).collect();
    assert_eq!(first, (0..MAX_SCANNED).map(|number| number.to_string()).collect::<Vec<_>>());
    // All candidates of the second page but one are gone, and one is new.
    let mut batch = Batch::new();
    (MAX_SCANNED + 1..2 * MAX_SCANNED).for_each(|id| {
        batch.delete_object("Files", &id.to_string());
    });
    batch.put_object(file("new", json!({"tags": ["a"]})));
    store.commit(batch).await.unwrap();
    let rest: Vec<_> = page().iter().map(|record| record.id().unwrap()).collect();
    assert_eq!(rest, [MAX_SCANNED.to_string(), (2 * MAX_SCANNED).to_string()]);
    assert!(!walk.has_more());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_whose_text_changes_from_one_match_to_another_is_always_found() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(open(directory.path()));
    put(&store, [file("moving", json!({"title": "a"}))]).await;
    let ended = Arc::new(AtomicBool::new(false));
    let reader = {
        let (store, ended) = (store.clone(), ended.clone());
        tokio::task::spawn_blocking(move || {
            let query = files_where(&[("title", "a"), ("title", "b")]);
            while !ended.load(Ordering::Relaxed) {
                assert_eq!(by_index(&store, &query).0, ["moving"]);
            }
        })
    };
    for round in 0..100 {
        put(&store, [file("moving", json!({"title": if round % 2 == 0 { "b" } else { "a" }}))]).await;
    }
    ended.store(true, Ordering::Relaxed);
    reader.await.unwrap();
}

#[tokio::test]
async fn keys_hold_no_values_but_hashes_under_the_key_of_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    put(&store, [file("id", json!({"filename": "planted", "title": "planted", "tags": ["planted"]}))]).await;
    let kept = keys(&store);
    assert!(kept.len() == 3 && !kept.iter().any(|key| key.windows(3).any(|part| part == b"pla")));
    let hashes: BTreeSet<_> = kept.iter().map(|key| key[8..16].to_vec()).collect();
    assert_eq!(hashes.len(), 3, "equal values of different members have different hashes");
    let properties = store.object("Files", "id").unwrap().unwrap().properties;
    let others = entries(&Sealing::new(StoreSecret::new([1; 32])), "Files", 1, &properties).unwrap();
    assert!(others.iter().all(|key| !hashes.contains(&key[8..16])));
}

#[tokio::test]
async fn a_store_without_entries_gets_them_when_it_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    put(&store, (0..10).map(|number| file(&number.to_string(), json!({"filename": number.to_string()})))).await;
    let (kept, query) = (keys(&store), files_where(&[("filename", "7")]));
    assert_eq!(kept.len(), 10);
    // As an older program left it, after an interrupted attempt and the removal of an object.
    let mut commit = Commit::new();
    kept.iter().skip(1).for_each(|entry| commit.remove(entry).unwrap());
    commit.put(&key::entry_at(&key::entries("Files", 1, [9; 8]).unwrap(), 1000), b"").unwrap();
    commit.put(key::FORMAT, &1u32.to_be_bytes()).unwrap();
    let odd = key::object_at("Files", 0).unwrap();
    commit.put(&odd, b"unreadable").unwrap();
    store.disk.commit_blocking(commit).unwrap();
    drop(store);
    let store = open(directory.path());
    assert_eq!(store.disk.get(key::FORMAT).unwrap().unwrap(), migration::CURRENT.to_be_bytes());
    assert_eq!((keys(&store), by_index(&store, &query)), (kept, (vec!["7".to_owned()], 1)));
}

/// `cargo test -p enlace-runtime --release -- --ignored --nocapture cost_of`
#[tokio::test]
#[ignore = "a measurement"]
async fn cost_of_the_index() {
    const COUNT: usize = 20_000;
    let size = |directory: &Path| {
        let output = std::process::Command::new("du").arg("-sb").arg(directory).output().unwrap();
        String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    for collection in ["Things", "Files"] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path());
        for thousand in 0..COUNT / 1000 {
            let objects = (0..1000).map(|number| {
                let id = format!("FIL{:017}", thousand * 1000 + number);
                let properties = json!({
                    "@type": "File", "isOwn": true, "filename": format!("{id}.pdf"), "mimetype": "application/pdf",
                    "cipherHash": "x".repeat(86), "plaintextHash": "x".repeat(86), "ownerSignature": "x".repeat(120),
                    "createdBy": "did:e:localhost:dids:0123456789abcdef012345", "secretKey": "x".repeat(80),
                });
                Object::new(collection, id, properties.as_object().unwrap().clone())
            });
            put(&store, objects).await;
        }
        for (what, filter) in [("nothing", "none.pdf"), ("one", "FIL00000000000010000.pdf")] {
            let query = files_where(&[("filename", filter)]);
            for _ in 0..3 {
                let began = std::time::Instant::now();
                let walk = store.walk_where(collection, &query.required_texts()).unwrap();
                let (found, looked_at) = walked(&store, walk, &query);
                println!("{collection}, {what}: {} found, {looked_at} read, {:?}", found.len(), began.elapsed());
            }
        }
        let names: Vec<_> = (0..1000).map(|number| format!("none {number}")).collect();
        let query = files_where(&names.iter().map(|name| ("filename", name.as_str())).collect::<Vec<_>>());
        let began = std::time::Instant::now();
        let walk = store.walk_where(collection, &query.required_texts()).unwrap();
        let (found, looked_at) = walked(&store, walk, &query);
        println!("{collection}, 1000 texts: {} found, {looked_at} read, {:?}", found.len(), began.elapsed());
        let (used, garbage) = store.disk.journal_bytes();
        store.close().unwrap();
        println!(
            "{collection}: journal {} bytes an object, directory {} bytes an object",
            (used - garbage) / COUNT as u64,
            size(directory.path()) / COUNT as u64
        );
        let began = std::time::Instant::now();
        build(&store.disk, &store.sealing).unwrap();
        println!("{collection}: made anew in {:?}", began.elapsed());
    }
}
