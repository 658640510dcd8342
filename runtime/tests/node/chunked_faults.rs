//! Files in chunks when connections break, and when the backbone lies.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use backbone_mock::fault::{Fault, Matching};
use bytes::Bytes;
use http::{Method, StatusCode};
use runtime::Runtime;
use runtime::dto::File;
use runtime::facade::{NewContent, UploadOwnFile};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use transport::content::{CHUNK_LENGTH, Layout, SEALED_CHUNK_LENGTH};

use crate::world::{World, bytes_of, chunked, code, load_file, pattern};

const CHUNK: usize = CHUNK_LENGTH as usize;
const SEALED: usize = SEALED_CHUNK_LENGTH as usize;
const HEADER: usize = 48;
const INTEGRITY: &str = "error.transport.files.cipherMismatch";

#[tokio::test]
async fn an_upload_is_continued_wherever_the_connection_breaks() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let content = pattern(5 * CHUNK + 1);
    for (method, path) in
        [(Method::POST, "/Uploads"), (Method::PATCH, "/Uploads/"), (Method::HEAD, "/Uploads/"), (Method::POST, "/File")]
    {
        for fault in [
            Fault::DropBefore,
            Fault::DropAfter,
            Fault::RefuseBefore(StatusCode::SERVICE_UNAVAILABLE),
            Fault::RefuseAfter(StatusCode::BAD_GATEWAY),
        ] {
            world.faults.inject(Matching::path(path).method(method.clone()).times(2), fault.clone());
            if method == Method::HEAD {
                world.faults.inject(Matching::path("/Uploads/").method(Method::PATCH).times(1), Fault::DropAfter);
            }
            let uploaded = alice.files().upload_own_file(chunked("a", content.clone())).await.unwrap();
            world.faults.clear();
            assert!(uploaded.ownership_token.is_some());
            let loaded = load_file(&bob, &uploaded.reference, None).await.unwrap();
            assert!(bytes_of(&bob, &loaded).await.unwrap() == content, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn an_upload_that_is_refused_leaves_no_file() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    for method in [Method::POST, Method::PATCH] {
        world.faults.inject(Matching::path("/Uploads").method(method), Fault::RefuseBefore(StatusCode::FORBIDDEN));
        assert_ne!(code(alice.files().upload_own_file(chunked("a", pattern(CHUNK))).await), "no error");
        world.faults.clear();
    }
    assert!(alice.files().files(runtime::facade::Ownership::Any, &[]).unwrap().collect().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_was_sent_of_an_upload_that_fails_or_is_dropped_is_removed() {
    let world = World::with(|config| config.limits.max_unfinished_uploads = 1).await;
    let alice = world.node("alice").await;
    let (removed, mut removals) = tokio::sync::mpsc::unbounded_channel();
    world.faults.tamper(Matching::path("/Uploads/").method(Method::DELETE), move |_, body| {
        removed.send(()).unwrap();
        body
    });
    let (sent, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    world.faults.tamper(Matching::path("/Uploads/").method(Method::PATCH), move |_, body| {
        let _ = sent.send(());
        body
    });
    let (source, mut writer) = tokio::io::duplex(CHUNK);
    let request = UploadOwnFile { content: NewContent::Stream(Box::pin(source)), ..chunked("a", "") };
    let files = alice.files();
    tokio::select! {
        _ = files.upload_own_file(request) => panic!("the content does not end"),
        () = async {
            while arrivals.try_recv().is_err() {
                writer.write_all(&[7; 1000]).await.unwrap();
            }
        } => {}
    }
    removals.recv().await.unwrap();
    world
        .faults
        .inject(Matching::path("/File").method(Method::POST).times(1), Fault::RefuseBefore(StatusCode::FORBIDDEN));
    assert_ne!(code(alice.files().upload_own_file(chunked("a", "a")).await), "no error");
    removals.recv().await.unwrap();
    assert!(alice.files().upload_own_file(chunked("a", "a")).await.is_ok());
}

#[tokio::test]
async fn a_download_is_continued_at_the_chunk_where_the_connection_broke() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let content = pattern(6 * CHUNK + 1);
    let uploaded = alice.files().upload_own_file(chunked("a", content.clone())).await.unwrap();
    let path = Matching::path(&format!("/Files/{}", uploaded.id)).method(Method::GET);
    for fault in [Fault::DropBefore, Fault::DropAfter, Fault::RefuseBefore(StatusCode::SERVICE_UNAVAILABLE)] {
        world.faults.inject(path.clone().times(2), fault);
        assert!(bytes_of(&alice, &uploaded).await.unwrap() == content);
        world.faults.clear();
    }
    // Each answer ends within the third chunk.
    let fetched = Arc::new(Mutex::new(0));
    let count = fetched.clone();
    world.faults.tamper(path, move |_, body| {
        let cut = body.slice(..body.len().min(2 * SEALED + 1000));
        *count.lock().unwrap() += cut.len();
        cut
    });
    assert!(bytes_of(&alice, &uploaded).await.unwrap() == content);
    assert!(*fetched.lock().unwrap() < 8 * SEALED, "nothing but what was cut is fetched again");
}

/// The bytes of a file as the backbone keeps them.
fn kept(world: &World, file: &File) -> PathBuf {
    fn find(directory: &Path, length: u64) -> Option<PathBuf> {
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).find_map(|path| match path.is_dir() {
            true => find(&path, length),
            false => (path.metadata().unwrap().len() == length).then_some(path),
        })
    }
    let length = Layout::of(file.filesize).unwrap().blob_length();
    find(&world.path().join("backbone"), length).expect("the backbone keeps the bytes in a file")
}

/// What a reader gets before it ends, and whether it ends with an error of integrity.
async fn read_all(node: &Runtime, file: &File) -> (Vec<u8>, bool) {
    let download = match node.files().download_file(&file.id, None).await {
        Ok(download) => download,
        refused => return (Vec::new(), code(refused) == INTEGRITY),
    };
    let (mut reader, mut bytes) = (download.content.into_reader(), Vec::new());
    match reader.read_to_end(&mut bytes).await {
        Ok(_) => (bytes, false),
        Err(error) => {
            let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<runtime::Error>()).unwrap();
            assert_eq!((error.kind(), cause.code()), (std::io::ErrorKind::InvalidData, INTEGRITY));
            (bytes, true)
        }
    }
}

#[tokio::test]
async fn nothing_is_handed_out_of_an_altered_chunk() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let content = pattern(4 * CHUNK + 9);
    let uploaded = alice.files().upload_own_file(chunked("a", content.clone())).await.unwrap();
    let path = kept(&world, &uploaded);
    let blob = std::fs::read(&path).unwrap();
    let chunk = |index: usize| HEADER + index * SEALED;
    // Where a byte is flipped, and how many bytes may be handed out.
    let mut cases = vec![(0, 0), (20, 0), (HEADER - 1, 0), (blob.len() - 1, 0), (blob.len() - 5 * 32, 0)];
    cases.extend((0..5).flat_map(|index| [(chunk(index), index * CHUNK), (chunk(index) + 9, index * CHUNK)]));
    for (place, released) in cases {
        let mut altered = blob.clone();
        altered[place] ^= 1;
        std::fs::write(&path, &altered).unwrap();
        let (bytes, is_refused) = read_all(&alice, &uploaded).await;
        assert!(is_refused && bytes == content[..released], "byte {place}: {} bytes", bytes.len());
    }
    let mut swapped = blob.clone();
    swapped[chunk(1)..chunk(3)].rotate_left(SEALED);
    std::fs::write(&path, &swapped).unwrap();
    assert!(read_all(&alice, &uploaded).await == (content[..CHUNK].to_vec(), true));
    std::fs::write(&path, &blob).unwrap();
    assert!(read_all(&alice, &uploaded).await == (content, false));
}

#[tokio::test]
async fn the_chunks_of_another_file_are_refused() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let mut files = Vec::new();
    for length in [2 * CHUNK + 1, 2 * CHUNK + 2] {
        let uploaded = alice.files().upload_own_file(chunked("a", pattern(length))).await.unwrap();
        files.push((kept(&world, &uploaded), uploaded));
    }
    let blobs = [std::fs::read(&files[0].0).unwrap(), std::fs::read(&files[1].0).unwrap()];
    let mut spliced = blobs[0].clone();
    spliced[HEADER..HEADER + SEALED].copy_from_slice(&blobs[1][HEADER..HEADER + SEALED]);
    let mut other = blobs[1].clone();
    other.pop();
    for lie in [spliced, other] {
        std::fs::write(&files[0].0, lie).unwrap();
        assert_eq!(read_all(&alice, &files[0].1).await, (Vec::new(), true));
    }
}

#[tokio::test]
async fn answers_that_stay_too_short_or_too_long_are_refused() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let uploaded = alice.files().upload_own_file(chunked("a", pattern(CHUNK + 1))).await.unwrap();
    let path = Matching::path(&format!("/Files/{}", uploaded.id)).method(Method::GET);
    let changes: [fn(Bytes) -> Bytes; 3] = [
        |body| body.slice(..body.len().min(10)),
        |_| Bytes::new(),
        |body| [&body[..], &vec![0; 2 * SEALED]].concat().into(),
    ];
    for change in changes {
        world.faults.tamper(path.clone(), move |_, body| change(body));
        assert_eq!(read_all(&alice, &uploaded).await, (Vec::new(), true));
        world.faults.clear();
    }
}

#[tokio::test]
async fn a_reader_goes_on_after_an_error() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let content = pattern(3 * CHUNK);
    let uploaded = alice.files().upload_own_file(chunked("a", content.clone())).await.unwrap();
    let path = kept(&world, &uploaded);
    let blob = std::fs::read(&path).unwrap();
    let mut altered = blob.clone();
    altered[HEADER + SEALED] ^= 1;
    std::fs::write(&path, altered).unwrap();
    let mut reader = alice.files().download_file(&uploaded.id, None).await.unwrap().content.into_reader();
    let mut bytes = Vec::new();
    assert!(reader.read_to_end(&mut bytes).await.is_err());
    assert!(reader.read_to_end(&mut bytes).await.is_err());
    assert!(bytes == content[..CHUNK]);
    std::fs::write(&path, blob).unwrap();
    reader.read_to_end(&mut bytes).await.unwrap();
    assert!(bytes == content);
}
