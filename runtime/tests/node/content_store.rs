//! What a node keeps of the contents of files, through its facades.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use backbone_mock::fault::Matching;
use http::Method;
use runtime::dto::File;
use runtime::facade::UploadOwnFile;
use runtime::source::{RelativePath, Source, SourceEntry};
use runtime::{ContentStoreConfig, Runtime};
use tokio::io::AsyncReadExt as _;
use transport::content::{CHUNK_LENGTH, Layout};

use crate::world::{World, bytes_of, chunked, code, file, load_file, pattern};

const CHUNK: usize = CHUNK_LENGTH as usize;
/// More than any test keeps.
const ROOM: u64 = 100 << 20;

async fn node(world: &World, name: &str, store: ContentStoreConfig) -> Runtime {
    let mut config = world.config(name);
    config.content_store = Some(store);
    world.start(config).await.unwrap()
}

/// A node that was stopped, again.
async fn restarted(world: &World, node: Runtime, name: &str, store: ContentStoreConfig) -> Runtime {
    node.shutdown().await.unwrap();
    drop(node);
    self::node(world, name, store).await
}

/// Counts the requests for the bytes of a file.
fn requests(world: &World, file: &File) -> Arc<AtomicUsize> {
    let requests = Arc::new(AtomicUsize::new(0));
    let count = requests.clone();
    world.faults.tamper(Matching::path(&format!("/Files/{}", file.id)).method(Method::GET), move |_, body| {
        count.fetch_add(1, Ordering::Relaxed);
        body
    });
    requests
}

fn taken(requests: &AtomicUsize) -> usize {
    requests.swap(0, Ordering::Relaxed)
}

fn stored_files(node: &Runtime) -> Vec<PathBuf> {
    let entries = fs::read_dir(node.config().data_dir.join("content")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn stored_bytes(node: &Runtime) -> u64 {
    stored_files(node).iter().map(|path| path.metadata().unwrap().len()).sum()
}

async fn range_of(node: &Runtime, file: &File, range: std::ops::Range<u64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let part = node.files().read_range(&file.id, range).await.unwrap();
    part.content.into_reader().read_to_end(&mut bytes).await.unwrap();
    bytes
}

/// Uploads a file of this machine in format `v2`.
async fn share(node: &Runtime, path: &Path) -> File {
    let source = Source::file(path).unwrap();
    let request = UploadOwnFile::from_source(source, "a.bin".parse().unwrap(), "text/plain".parse().unwrap());
    let request = UploadOwnFile { format: runtime::facade::ContentFormat::V2, ..request };
    node.files().upload_own_file(request).await.unwrap()
}

fn tree_length(length: usize) -> u64 {
    let tree = Layout::of(length as u64).unwrap().tree();
    tree.end - tree.start
}

/// Bytes of the sealed chunks and the tree.
fn whole(length: usize) -> u64 {
    Layout::of(length as u64).unwrap().blob_length() - 48
}

#[tokio::test]
async fn a_shared_file_is_read_from_this_machine_also_after_a_restart() {
    let world = World::new().await;
    let mut alice = node(&world, "alice", ContentStoreConfig::new(ROOM)).await;
    let path = world.path().join("shared");
    for length in [0, 1, CHUNK, 3 * CHUNK + 7] {
        let content = pattern(length);
        fs::write(&path, &content).unwrap();
        let shared = share(&alice, &path).await;
        let requests = requests(&world, &shared);
        alice.content_store().usage().await;
        for round in 0..2 {
            assert!(bytes_of(&alice, &shared).await.unwrap() == content, "{length}");
            assert_eq!(taken(&requests), 0, "{length} {round} whole");
            let end = length.min(CHUNK + 5) as u64;
            assert!(range_of(&alice, &shared, end / 2..end).await == content[end as usize / 2..end as usize]);
            assert_eq!(taken(&requests), 0, "{length} {round}");
            let usage = alice.content_store().usage().await;
            assert_eq!((usage.bytes, usage.sources), (tree_length(length), 1), "{length}");
            alice = restarted(&world, alice, "alice", ContentStoreConfig::new(ROOM)).await;
        }
        alice.files().delete_file(&shared.id).await.unwrap();
        assert_eq!((stored_bytes(&alice), alice.content_store().usage().await.sources), (0, 0));
        world.faults.clear();
    }
}

#[tokio::test]
async fn several_files_are_read_from_where_they_are() {
    let world = World::new().await;
    let alice = node(&world, "alice", ContentStoreConfig::new(ROOM)).await;
    let entry = |name: &str, content: Vec<u8>| {
        let local = world.path().join(name);
        fs::write(&local, content).unwrap();
        SourceEntry { path: RelativePath::new(name).unwrap(), local }
    };
    let source = Source::tree(vec![entry("one", pattern(CHUNK + 9)), entry("two", pattern(CHUNK))]).unwrap();
    let request = UploadOwnFile::from_source(source.clone(), "files".parse().unwrap(), "text/plain".parse().unwrap());
    let shared = alice.files().upload_own_file(request).await.unwrap();
    let alice = restarted(&world, alice, "alice", ContentStoreConfig::new(ROOM)).await;
    let requests = requests(&world, &shared);
    assert_eq!(alice.content_store().usage().await.sources, 1);
    let mut expected = Vec::new();
    source.reader().read_to_end(&mut expected).await.unwrap();
    assert!(bytes_of(&alice, &shared).await.unwrap() == expected);
    assert_eq!(taken(&requests), 0);
}

#[tokio::test]
async fn a_source_that_is_not_what_it_was_is_never_sent_and_no_longer_used() {
    let world = World::new().await;
    let alice = node(&world, "alice", ContentStoreConfig::new(ROOM)).await;
    let path = world.path().join("shared");
    let (content, other) = (pattern(2 * CHUNK + 7), vec![1; 2 * CHUNK + 7]);
    let changes: [(&str, &dyn Fn()); 5] = [
        ("longer", &|| fs::write(&path, [&content[..], &[1]].concat()).unwrap()),
        ("shorter", &|| fs::write(&path, &content[1..]).unwrap()),
        ("touched", &|| {
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(5)).unwrap();
        }),
        ("other bytes with the same time", &|| {
            let time = fs::metadata(&path).unwrap().modified().unwrap();
            fs::write(&path, &other).unwrap();
            fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        }),
        ("deleted", &|| fs::remove_file(&path).unwrap()),
    ];
    for (what, change) in changes {
        fs::write(&path, &content).unwrap();
        let shared = share(&alice, &path).await;
        assert_eq!(alice.content_store().usage().await.sources, 1, "{what}");
        let requests = requests(&world, &shared);
        change();
        assert!(bytes_of(&alice, &shared).await.unwrap() == content, "{what}");
        assert!(taken(&requests) > 0, "{what}");
        assert_eq!(alice.content_store().usage().await.sources, 0, "{what}");
        // Its chunks were kept when they were fetched.
        assert!(bytes_of(&alice, &shared).await.unwrap() == content, "{what}");
        assert_eq!(taken(&requests), 0, "{what}");
        world.faults.clear();
        alice.files().delete_file(&shared.id).await.unwrap();
    }
    assert_eq!(stored_bytes(&alice), 0);
}

#[tokio::test]
async fn chunks_of_a_stream_are_kept_if_they_are_to_be() {
    let world = World::new().await;
    let content = pattern(18 * CHUNK + 7);
    for keep_uploads in [true, false] {
        let name = format!("alice-{keep_uploads}");
        let settings = ContentStoreConfig { keep_uploads, ..ContentStoreConfig::new(ROOM) };
        let alice = node(&world, &name, settings).await;
        let uploaded = alice.files().upload_own_file(chunked("a", content.clone())).await.unwrap();
        let expected = if keep_uploads { whole(content.len()) } else { 0 };
        assert_eq!(alice.content_store().usage().await.bytes, expected);
        assert_eq!(stored_bytes(&alice), expected);
        assert_eq!(stored_files(&alice).len(), if keep_uploads { 3 } else { 0 });
        let alice = restarted(&world, alice, &name, settings).await;
        assert_eq!(alice.content_store().usage().await.bytes, expected);
        let requests = requests(&world, &uploaded);
        assert!(bytes_of(&alice, &uploaded).await.unwrap() == content);
        assert_eq!(taken(&requests) == 0, keep_uploads);
        world.faults.clear();
    }
}

#[tokio::test]
async fn an_upload_that_fails_leaves_nothing() {
    let world = World::new().await;
    let alice = node(&world, "alice", ContentStoreConfig::new(ROOM)).await;
    world.faults.inject(
        Matching::path("/File").method(Method::POST),
        backbone_mock::fault::Fault::RefuseBefore(http::StatusCode::FORBIDDEN),
    );
    assert_ne!(code(alice.files().upload_own_file(chunked("a", pattern(3 * CHUNK))).await), "no error");
    let usage = alice.content_store().usage().await;
    assert_eq!((usage.bytes, usage.contents, stored_bytes(&alice)), (0, 0, 0));
}

#[tokio::test]
async fn what_was_fetched_is_not_fetched_again() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let bob = node(&world, "bob", ContentStoreConfig::new(ROOM)).await;
    let content = pattern(7 * CHUNK + 3);
    let uploaded = alice.files().upload_own_file(chunked("a", content.clone())).await.unwrap();
    let loaded = load_file(&bob, &uploaded.reference, None).await.unwrap();
    let requests = requests(&world, &uploaded);
    let (start, end) = (3 * CHUNK - 5, 4 * CHUNK + 9);
    for round in 0..2 {
        assert!(range_of(&bob, &loaded, start as u64..end as u64).await == content[start..end]);
        assert_eq!(taken(&requests) == 0, round > 0);
        bob.content_store().usage().await;
    }
    // What is missing around them comes in one request for each gap, and once.
    assert!(bytes_of(&bob, &loaded).await.unwrap() == content);
    assert_eq!(taken(&requests), 2);
    let bob = restarted(&world, bob, "bob", ContentStoreConfig::new(ROOM)).await;
    assert!(bytes_of(&bob, &loaded).await.unwrap() == content);
    assert_eq!(taken(&requests), 0);
    assert_eq!(stored_bytes(&bob), whole(content.len()));
}

#[tokio::test]
async fn two_downloads_at_once_store_each_chunk_once() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let bob = node(&world, "bob", ContentStoreConfig::new(ROOM)).await;
    let content = pattern(5 * CHUNK);
    let uploaded = alice.files().upload_own_file(chunked("a", content.clone())).await.unwrap();
    let loaded = load_file(&bob, &uploaded.reference, None).await.unwrap();
    let (one, other) = tokio::join!(bytes_of(&bob, &loaded), bytes_of(&bob, &loaded));
    assert!(one.unwrap() == content && other.unwrap() == content);
    let usage = bob.content_store().usage().await;
    assert!(usage.bytes <= whole(content.len()));
    assert_eq!(usage.bytes, stored_bytes(&bob));
}

#[tokio::test]
async fn the_bound_holds_and_what_is_pinned_stays() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let content = pattern(2 * CHUNK);
    let bound = 2 * whole(content.len());
    let bob = node(&world, "bob", ContentStoreConfig::new(bound)).await;
    let mut loaded = Vec::new();
    for number in 0..4 {
        let uploaded = alice.files().upload_own_file(chunked(&format!("{number}"), content.clone())).await.unwrap();
        loaded.push(load_file(&bob, &uploaded.reference, None).await.unwrap());
    }
    bob.content_store().pin_file(&loaded[0].id).await.unwrap();
    for file in &loaded {
        assert!(bytes_of(&bob, file).await.unwrap() == content);
        let usage = bob.content_store().usage().await;
        assert!(usage.bytes <= bound && stored_bytes(&bob) == usage.bytes, "{usage:?}");
    }
    let first = requests(&world, &loaded[0]);
    bytes_of(&bob, &loaded[0]).await.unwrap();
    assert_eq!(taken(&first), 0);
    bob.content_store().pin_file(&loaded[0].id).await.unwrap();
    // Two have exactly as many bytes as there may be.
    bob.content_store().pin_file(&loaded[1].id).await.unwrap();
    let refusal = bob.content_store().pin_file(&loaded[2].id).await.unwrap_err();
    assert_eq!(refusal.code(), "error.runtime.validation.invalidPropertyValue");
    assert!(refusal.to_string().contains("enlace.contentStore.maxSize"), "{refusal}");
    bob.content_store().unpin_file(&loaded[0].id).await.unwrap();
    bob.content_store().pin_file(&loaded[2].id).await.unwrap();
    for file in &loaded[1..3] {
        bytes_of(&bob, file).await.unwrap();
    }
    let bob = restarted(&world, bob, "bob", ContentStoreConfig::new(bound)).await;
    let usage = bob.content_store().usage().await;
    assert_eq!((usage.pinned, usage.bytes), (2, bound));
    // A lower bound holds at once, pinned or not.
    let bob = restarted(&world, bob, "bob", ContentStoreConfig::new(100)).await;
    let usage = bob.content_store().usage().await;
    assert_eq!((usage.pinned, usage.bytes <= 100, stored_bytes(&bob)), (0, true, usage.bytes));
}

#[tokio::test]
async fn without_a_store_nothing_is_kept_and_what_was_kept_is_left_or_removed() {
    let world = World::new().await;
    let content = pattern(CHUNK + 1);
    let alice = world.node("alice").await;
    let uploaded = alice.files().upload_own_file(chunked("a", content.clone())).await.unwrap();
    assert!(!alice.config().data_dir.join("content").exists());
    assert_eq!(alice.content_store().usage().await, runtime::ContentUsage::default());
    assert_eq!(code(alice.content_store().pin_file(&uploaded.id).await), "error.runtime.notSupported");
    let alice = restarted(&world, alice, "alice", ContentStoreConfig::new(ROOM)).await;
    assert!(bytes_of(&alice, &uploaded).await.unwrap() == content);
    assert_eq!(alice.content_store().usage().await.bytes, whole(content.len()));
    alice.shutdown().await.unwrap();
    drop(alice);
    let alice = world.node("alice").await;
    assert_eq!(stored_bytes(&alice), whole(content.len()));
    let alice = restarted(&world, alice, "alice", ContentStoreConfig::new(0)).await;
    assert_eq!(stored_bytes(&alice), 0);
    assert!(bytes_of(&alice, &uploaded).await.unwrap() == content);
}

#[tokio::test]
async fn files_of_format_v1_are_not_kept() {
    let world = World::new().await;
    let alice = node(&world, "alice", ContentStoreConfig::new(ROOM)).await;
    let uploaded = alice.files().upload_own_file(file("a", "some text")).await.unwrap();
    bytes_of(&alice, &uploaded).await.unwrap();
    assert_eq!(alice.content_store().usage().await.contents, 0);
    assert_eq!(code(alice.content_store().pin_file(&uploaded.id).await), "error.runtime.notSupported");
}

#[tokio::test]
async fn the_content_of_a_file_that_expires_is_removed() {
    let world = World::new().await;
    let alice = node(&world, "alice", ContentStoreConfig::new(ROOM)).await;
    let request = UploadOwnFile { expires_at: Some(world.at(60)), ..chunked("a", pattern(CHUNK)) };
    let uploaded = alice.files().upload_own_file(request).await.unwrap();
    assert_eq!(alice.content_store().usage().await.bytes, whole(CHUNK));
    world.clock.set(world.at(61));
    let requests = requests(&world, &uploaded);
    assert_eq!(code(alice.files().download_file(&uploaded.id, None).await), "error.runtime.recordNotFound");
    assert!(taken(&requests) > 0);
    let alice = restarted(&world, alice, "alice", ContentStoreConfig::new(ROOM)).await;
    alice.content_store().usage().await;
    assert_eq!(stored_bytes(&alice), 0);
}

#[tokio::test]
async fn only_ciphertext_in_private_files_is_on_the_disk() {
    let world = World::new().await;
    let alice = node(&world, "alice", ContentStoreConfig::new(ROOM)).await;
    let (secret, name) = (b"planted secret ".as_slice(), "planted-name");
    let content = secret.repeat(2 * CHUNK / secret.len());
    alice.files().upload_own_file(chunked(name, content.clone())).await.unwrap();
    let path = world.path().join(name);
    fs::write(&path, &content).unwrap();
    let shared = share(&alice, &path).await;
    bytes_of(&alice, &shared).await.unwrap();
    alice.content_store().usage().await;
    alice.shutdown().await.unwrap();
    assert!(stored_files(&alice).len() >= 3);
    let mut directories = vec![alice.config().data_dir.clone()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let bytes = fs::read(&path).unwrap();
            assert!(!bytes.windows(7).any(|window| window == b"planted"), "{}", path.display());
        }
    }
    #[cfg(unix)]
    for path in stored_files(&alice).iter().chain([&alice.config().data_dir.join("content")]) {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o077, 0);
    }
}
