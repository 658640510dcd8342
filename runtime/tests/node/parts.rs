//! Several files in one content, and downloads that go on with what is here.

use std::sync::{Arc, Mutex};

use backbone_mock::fault::Matching;
use http::Method;
use runtime::dto::File;
use runtime::facade::{ContentFormat, Observer, Progress, UploadOwnFile};
use runtime::manifest::{EntryKind, MAX_ENTRIES, Manifest, RelativePath};
use runtime::source::{Source, SourceEntry};
use runtime::{Result, Runtime};
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use transport::content::CHUNK_LENGTH;
use transport::crypto::SecretKey;
use transport::file::FileMetadataV2;
use transport::wire::FileReference;
use transport::wire::bytes::{from_base64url, to_base64url};

use crate::world::{World, bytes_of, chunked, code, file, load_file, pattern};

const CHUNK: usize = CHUNK_LENGTH as usize;

/// Counts the bytes that the backbone sends of a file.
fn count_bytes(world: &World, file: &File) -> Arc<Mutex<usize>> {
    let fetched = Arc::new(Mutex::new(0));
    let count = fetched.clone();
    world.faults.tamper(Matching::path(&format!("/Files/{}", file.id)).method(Method::GET), move |_, body| {
        *count.lock().unwrap() += body.len();
        body
    });
    fetched
}

async fn verified(node: &Runtime, file: &File, content: &[u8]) -> usize {
    node.files().verified_prefix(&file.id, content).await.unwrap() as usize
}

#[tokio::test]
async fn what_is_here_counts_in_whole_chunks_wherever_it_was_cut() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    for length in [1, CHUNK, 2 * CHUNK, 3 * CHUNK + 5] {
        let content = pattern(length);
        let uploaded = alice.files().upload_own_file(chunked("a", content.clone())).await.unwrap();
        for cut in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK - 1, 3 * CHUNK + 4, length - 1, length] {
            let cut = cut.min(length);
            let expected = if cut == length { length } else { cut / CHUNK * CHUNK };
            assert_eq!(verified(&alice, &uploaded, &content[..cut]).await, expected, "{cut} of {length}");
        }
        let longer = [&content[..], &[0; 100]].concat();
        assert_eq!(verified(&alice, &uploaded, &longer).await, length, "what follows does not count");
    }
}

#[tokio::test]
async fn what_is_here_counts_up_to_the_first_chunk_that_differs() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let content = pattern(5 * CHUNK + 9);
    let uploaded = alice.files().upload_own_file(chunked("a", content.clone())).await.unwrap();
    for place in [0, CHUNK - 1, CHUNK, 3 * CHUNK - 1, 3 * CHUNK + 77, 5 * CHUNK, 5 * CHUNK + 8] {
        let mut other = content.clone();
        other[place] ^= 1;
        assert_eq!(verified(&alice, &uploaded, &other).await, place / CHUNK * CHUNK, "{place}");
    }
    let other = alice.files().upload_own_file(chunked("a", pattern(5 * CHUNK + 10))).await.unwrap();
    assert_eq!(verified(&alice, &other, &content).await, 5 * CHUNK, "equal up to another end");
    let empty = alice.files().upload_own_file(chunked("a", "")).await.unwrap();
    assert_eq!(verified(&alice, &empty, &content).await, 0);
    let whole = alice.files().upload_own_file(file("a", "v1")).await.unwrap();
    assert_eq!(verified(&alice, &whole, b"v1").await, 0);
}

#[tokio::test]
async fn hashes_that_the_backbone_made_up_verify_nothing() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let content = pattern(2 * CHUNK);
    let uploaded = alice.files().upload_own_file(chunked("a", content.clone())).await.unwrap();
    world.faults.tamper(Matching::path(&format!("/Files/{}", uploaded.id)).method(Method::GET), |_, body| {
        body.iter().map(|byte| byte ^ 1).collect::<Vec<_>>().into()
    });
    let refused = alice.files().verified_prefix(&uploaded.id, &content[..]).await;
    assert_eq!(code(refused), "error.transport.files.cipherMismatch");
}

#[tokio::test]
async fn a_download_goes_on_with_the_rest_and_fetches_nothing_else() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let content = pattern(6 * CHUNK + 100);
    let uploaded = alice.files().upload_own_file(chunked("a", content.clone())).await.unwrap();
    for start in [0, 4 * CHUNK, 6 * CHUNK, content.len()] {
        let fetched = count_bytes(&world, &uploaded);
        assert_eq!(verified(&alice, &uploaded, &content[..start]).await, start);
        let seen = Arc::new(Mutex::new(Vec::<Progress>::new()));
        let log = seen.clone();
        let observer: Observer = Arc::new(move |progress| log.lock().unwrap().push(progress));
        let rest = alice.files().download_from(&uploaded.id, start as u64, Some(observer)).await.unwrap();
        let mut bytes = Vec::new();
        rest.content.into_reader().read_to_end(&mut bytes).await.unwrap();
        assert!(bytes == content[start..], "{start}");
        world.faults.clear();
        let (fetched, left) = (*fetched.lock().unwrap(), content.len() - start);
        assert!((left..left + 2000).contains(&fetched), "{fetched} bytes for {left}");
        let seen = seen.lock().unwrap();
        assert!(seen.iter().all(|progress| progress.resumed == start as u64), "{seen:?}");
        assert!(seen.last().is_none_or(|last| Some(last.bytes) == last.total), "{seen:?}");
    }
    let beyond = alice.files().download_from(&uploaded.id, content.len() as u64 + 1, None).await;
    assert_eq!(code(beyond), "error.runtime.validation.invalidPropertyValue");
}

#[tokio::test]
async fn a_download_of_format_v1_counts_all_bytes_because_it_fetches_all() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let content = pattern(500_000);
    let uploaded = alice.files().upload_own_file(file("a", content.clone())).await.unwrap();
    let seen = Arc::new(Mutex::new(Vec::<Progress>::new()));
    let log = seen.clone();
    let observer: Observer = Arc::new(move |progress| log.lock().unwrap().push(progress));
    let rest = alice.files().download_from(&uploaded.id, 400_000, Some(observer)).await.unwrap();
    let mut bytes = Vec::new();
    rest.content.into_reader().read_to_end(&mut bytes).await.unwrap();
    assert!(bytes == content[400_000..]);
    let seen = seen.lock().unwrap();
    assert!(!seen.is_empty() && seen.iter().all(|progress| progress.resumed == 0), "{seen:?}");
    let largest = seen.iter().filter_map(|progress| progress.total).max();
    assert!(largest.is_none_or(|total| total < 800_000), "{seen:?}");
}

/// Uploads files with these contents, and a folder.
async fn upload_tree(node: &Runtime, world: &World, files: &[(&str, Vec<u8>)]) -> File {
    let root = world.path().join("tree");
    std::fs::create_dir(&root).unwrap();
    let entry = |path: &str, local| SourceEntry { path: RelativePath::new(path).unwrap(), local };
    let mut entries = vec![entry("empty folder", root.clone())];
    for (number, (path, content)) in files.iter().enumerate() {
        let local = root.join(number.to_string());
        std::fs::write(&local, content).unwrap();
        entries.push(entry(path, local));
    }
    let source = Source::tree(entries).unwrap();
    let request = UploadOwnFile::from_source(source, "several".parse().unwrap(), "text/plain".parse().unwrap());
    node.files().upload_own_file(request).await.unwrap()
}

#[tokio::test]
async fn each_of_several_files_is_read_on_its_own() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let files = [("a/b.txt", pattern(3 * CHUNK)), ("a/empty", Vec::new()), ("z", b"last".to_vec())];
    let uploaded = upload_tree(&alice, &world, &files).await;
    load_file(&bob, &uploaded.reference, None).await.unwrap();
    let fetched = count_bytes(&world, &uploaded);
    let manifest = bob.files().manifest(&uploaded.id).await.unwrap().unwrap();
    assert_eq!(manifest.content_length(), uploaded.filesize);
    let paths: Vec<_> = manifest.entries().iter().map(|entry| (entry.path.as_str(), entry.size())).collect();
    assert_eq!(paths, [("a/b.txt", 3 * CHUNK_LENGTH), ("a/empty", 0), ("empty folder", 0), ("z", 4)]);
    for (path, content) in &files {
        assert_eq!(read(&bob, &uploaded, path, None).await.unwrap(), *content, "{path}");
    }
    let before = *fetched.lock().unwrap();
    assert_eq!(read(&bob, &uploaded, "z", Some(1..3)).await.unwrap(), b"as");
    let fetched = *fetched.lock().unwrap() - before;
    assert!(fetched < 3 * CHUNK, "only what is in the same chunks: {fetched}");
    for (path, range) in [("z", Some(0..5)), ("a", None), ("empty folder", None), ("no", None)] {
        let refused = code(read(&bob, &uploaded, path, range).await);
        assert_eq!(refused, "error.runtime.validation.invalidPropertyValue", "{path}");
    }
    let single = alice.files().upload_own_file(chunked("a", "a")).await.unwrap();
    assert!(alice.files().manifest(&single.id).await.unwrap().is_none());
}

async fn read(node: &Runtime, file: &File, path: &str, range: Option<std::ops::Range<u64>>) -> Result<Vec<u8>> {
    let download = node.files().read_entry(&file.id, &RelativePath::new(path).unwrap(), range).await?;
    let mut bytes = Vec::new();
    download.content.into_reader().read_to_end(&mut bytes).await.unwrap();
    Ok(bytes)
}

/// An entry as a sender may write it who follows no rule.
type Raw<'a> = (&'a str, Option<u64>, Option<u16>, Option<i64>);

fn raw_manifest(entries: &[Raw<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(&(1, entries), &mut bytes).unwrap();
    bytes
}

/// Uploads a content and lets the reader believe that its first bytes are a list of files.
async fn announced(world: &World, alice: &Runtime, bob: &Runtime, content: Vec<u8>, manifest_length: u64) -> File {
    let request = UploadOwnFile { format: ContentFormat::V2, ..chunked("several", content) };
    let uploaded = alice.files().upload_own_file(request).await.unwrap();
    let key = SecretKey::from(&FileReference::parse(&uploaded.reference.url).unwrap().key);
    world.faults.tamper(Matching::path("/Metadata").method(Method::GET).times(1), move |_, body| {
        let mut answer: Value = serde_json::from_slice(&body).unwrap();
        let sealed = from_base64url(answer["result"]["encryptedProperties"].as_str().unwrap()).unwrap();
        let mut metadata = FileMetadataV2::open(&sealed, &key).unwrap();
        metadata.manifest_length = Some(manifest_length);
        answer["result"]["encryptedProperties"] = to_base64url(&metadata.seal(&key).0).into();
        answer.to_string().into()
    });
    load_file(bob, &uploaded.reference, None).await.unwrap()
}

#[tokio::test]
async fn lists_of_files_that_break_a_rule_are_refused_with_the_rule() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let long = "n".repeat(300);
    let file = |path| (path, Some(0), None, None);
    for (entries, reason) in [
        (vec![file("../a")], "a name of dots only"),
        (vec![file("a/../../b")], "a name of dots only"),
        (vec![file("/etc/passwd")], "absolute"),
        (vec![file("C:/x")], "a drive"),
        (vec![file("a\\b")], "a backslash"),
        (vec![file("a\0")], "a control character"),
        (vec![file(&long)], "longer than 255 bytes"),
        (vec![file("README"), file("readme")], "one and the same"),
        (vec![file("a"), file("a/b")], "as a file and as a folder"),
        (vec![file("b"), file("a")], "order"),
        (vec![file("a"), file("a")], "order"),
        (vec![("a", Some(1 << 60), None, None)], "do not add up"),
        (vec![("a", Some(u64::MAX), None, None), ("b", Some(2), None, None)], "do not add up"),
        (vec![("a", Some(0), Some(0o4755), None)], "mode or time"),
        (vec![("a", Some(0), None, Some(i64::MAX))], "mode or time"),
        (vec![], "empty"),
        (vec![file("a"); MAX_ENTRIES + 1], "more than 100000"),
    ] {
        let bytes = raw_manifest(&entries);
        let length = bytes.len() as u64;
        let loaded = announced(&world, &alice, &bob, bytes, length).await;
        let refused = bob.files().manifest(&loaded.id).await.unwrap_err();
        assert_eq!(refused.code(), "error.transport.files.invalidMetadata", "{refused}");
        assert!(refused.to_string().contains(reason), "{refused}");
    }
}

#[tokio::test]
async fn the_length_of_the_list_of_files_may_not_lie() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let bytes = raw_manifest(&[("a", Some(3), None, None)]);
    let length = bytes.len() as u64;
    let content = [&bytes[..], b"abc"].concat();
    for (announced_length, works) in [(length, true), (length - 1, false), (length + 1, false), (length + 3, false)] {
        let loaded = announced(&world, &alice, &bob, content.clone(), announced_length).await;
        assert_eq!(bob.files().manifest(&loaded.id).await.is_ok(), works, "{announced_length}");
        // Whoever does not ask for the list gets the content as it is.
        assert_eq!(bytes_of(&bob, &loaded).await.unwrap(), content);
    }
    let newer = [&[0x82, 2][..], &content].concat();
    let loaded = announced(&world, &alice, &bob, newer, 2).await;
    assert_eq!(code(bob.files().manifest(&loaded.id).await), "error.transport.files.needsNewerReader");
}

#[tokio::test]
async fn as_many_entries_as_there_may_be_are_listed() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let paths: Vec<String> = (0..MAX_ENTRIES).map(|number| format!("folder/{number:06}")).collect();
    let bytes = raw_manifest(&paths.iter().map(|path| (&path[..], None, None, None)).collect::<Vec<_>>());
    let length = bytes.len() as u64;
    let loaded = announced(&world, &alice, &bob, bytes, length).await;
    let manifest: Manifest = bob.files().manifest(&loaded.id).await.unwrap().unwrap();
    assert_eq!(manifest.entries().len(), MAX_ENTRIES);
    assert!(manifest.entries().iter().all(|entry| entry.kind == EntryKind::Folder));
}
