//! Files in chunks: upload, share, load, download, ranges.

use std::io::SeekFrom;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use backbone_mock::fault::{Fault, Matching};
use http::{Method, StatusCode};
use runtime::dto::{File, FileFormat};
use runtime::facade::{ContentFormat, NewContent, Ownership, Phase, Progress, UploadOwnFile};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncSeekExt as _, ReadBuf};
use transport::content::{CHUNK_LENGTH, Layout, Root};
use transport::crypto::{CryptoObject as _, SecretKey};
use transport::file::{Extent, FileMetadataV2};
use transport::wire::FileReference;
use transport::wire::bytes::{from_base64url, to_base64url};

use crate::world::{World, bytes_of, chunked, code, file, load_file, pattern, stored, temporary_files};

const CHUNK: usize = CHUNK_LENGTH as usize;

#[tokio::test]
async fn a_peer_receives_chunks_byte_for_byte() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 9 * CHUNK + 5] {
        let content = pattern(size);
        let uploaded = alice.files().upload_own_file(chunked("a.bin", content.clone())).await.unwrap();
        assert_eq!((uploaded.filesize, uploaded.format, uploaded.is_own), (size as u64, FileFormat::V2, true));
        assert_eq!(alice.files().file(&uploaded.id).await.unwrap(), uploaded);
        let token = alice.files().create_token_for_file(&uploaded.id, stored()).await.unwrap();
        let loaded = load_file(&bob, &token.reference, None).await.unwrap();
        assert_eq!((loaded.filesize, loaded.format, loaded.is_own), (size as u64, FileFormat::V2, false));
        for node in [&alice, &bob] {
            assert!(bytes_of(node, &loaded).await.unwrap() == content, "{size} bytes");
        }
    }
    assert_eq!(temporary_files(bob.config()) + temporary_files(alice.config()), 0);
}

#[tokio::test]
async fn all_metadata_of_a_file_in_chunks_are_received() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let request = UploadOwnFile {
        title: Some("A title".into()),
        description: Some("text".into()),
        expires_at: Some(world.at(60)),
        ..chunked("Grüße.txt", "text")
    };
    let uploaded = alice.files().upload_own_file(request).await.unwrap();
    let loaded = load_file(&bob, &uploaded.reference, None).await.unwrap();
    let seen = |file: &runtime::dto::File| {
        (file.filename.clone(), file.title.clone(), file.description.clone(), file.expires_at, file.mimetype.clone())
    };
    assert_eq!(seen(&loaded), seen(&uploaded));
    assert_eq!(
        serde_json::to_value(&loaded).unwrap().get("format"),
        None,
        "no member that published clients do not know"
    );
}

#[tokio::test]
async fn ranges_and_jumps_give_the_same_bytes() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let content = pattern(5 * CHUNK + 10);
    let length = content.len();
    for request in [chunked("a", content.clone()), file("b", content.clone())] {
        let uploaded = alice.files().upload_own_file(request).await.unwrap();
        load_file(&bob, &uploaded.reference, None).await.unwrap();
        for range in [
            0..0,
            0..1,
            0..length,
            CHUNK - 1..CHUNK + 1,
            CHUNK..2 * CHUNK,
            2_000_000..4_000_000,
            length - 1..length,
            length..length,
        ] {
            let part = bob.files().read_range(&uploaded.id, range.start as u64..range.end as u64).await.unwrap();
            let (announced, mut bytes) = (part.content.length(), Vec::new());
            part.content.into_reader().read_to_end(&mut bytes).await.unwrap();
            assert_eq!(announced, range.len() as u64);
            assert!(bytes == content[range.clone()], "{range:?}");
        }
        let beyond = bob.files().read_range(&uploaded.id, 1..length as u64 + 1).await;
        assert_eq!(code(beyond), "error.runtime.validation.invalidPropertyValue");
        if uploaded.format == FileFormat::V1 {
            assert_eq!(code(bob.files().open_file(&uploaded.id).await), "error.runtime.notSupported");
            continue;
        }
        let mut reader = bob.files().open_file(&uploaded.id).await.unwrap();
        for start in [4 * CHUNK + 7, 0, CHUNK - 5, 5 * CHUNK, 3 * CHUNK] {
            assert_eq!(reader.seek(SeekFrom::Start(start as u64)).await.unwrap(), start as u64);
            let mut bytes = vec![0; 10];
            reader.read_exact(&mut bytes).await.unwrap();
            assert!(bytes == content[start..start + 10], "{start}");
        }
        assert_eq!(reader.seek(SeekFrom::End(-3)).await.unwrap(), length as u64 - 3);
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).await.unwrap();
        assert!(bytes == content[length - 3..]);
        assert!(reader.seek(SeekFrom::Current(-(length as i64) - 1)).await.is_err());
        assert_eq!(reader.seek(SeekFrom::Current(5)).await.unwrap(), length as u64 + 5);
        assert_eq!(reader.read(&mut [0]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn only_what_a_range_needs_is_fetched() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let uploaded = alice.files().upload_own_file(chunked("a", pattern(8 * CHUNK))).await.unwrap();
    let fetched = Arc::new(Mutex::new(0));
    let count = fetched.clone();
    world.faults.tamper(Matching::path(&format!("/Files/{}", uploaded.id)).method(Method::GET), move |_, body| {
        *count.lock().unwrap() += body.len();
        body
    });
    let part = alice.files().read_range(&uploaded.id, 3 * CHUNK as u64 + 5..3 * CHUNK as u64 + 9).await.unwrap();
    part.content.into_reader().read_to_end(&mut Vec::new()).await.unwrap();
    let fetched = *fetched.lock().unwrap();
    assert!((CHUNK..CHUNK + 1000).contains(&fetched), "{fetched}");
}

#[tokio::test]
async fn the_format_follows_from_the_length_unless_it_is_asked_for() {
    let world = World::new().await;
    let bob = world.node("bob").await;
    for limit in [1000, 3 * CHUNK] {
        let mut config = world.config(&format!("alice{limit}"));
        config.max_file_size = limit as u64;
        let alice = world.start(config).await.unwrap();
        for (asked, length, got) in [
            (ContentFormat::Auto, limit, Some(FileFormat::V1)),
            (ContentFormat::Auto, limit + 1, Some(FileFormat::V2)),
            (ContentFormat::Auto, limit + CHUNK, Some(FileFormat::V2)),
            (ContentFormat::V1, limit, Some(FileFormat::V1)),
            (ContentFormat::V1, limit + 1, None),
            (ContentFormat::V2, 1, Some(FileFormat::V2)),
        ] {
            let content = pattern(length);
            let request = UploadOwnFile { format: asked, ..file("a", content.clone()) };
            let uploaded = alice.files().upload_own_file(request).await;
            assert_eq!(uploaded.as_ref().ok().map(|file| file.format), got, "{asked:?} {length}");
            match uploaded {
                Ok(uploaded) => {
                    let loaded = load_file(&bob, &uploaded.reference, None).await.unwrap();
                    assert!(bytes_of(&bob, &loaded).await.unwrap() == content);
                }
                refused => assert_eq!(code(refused), "error.runtime.validation.invalidPropertyValue"),
            }
        }
        assert_eq!(temporary_files(alice.config()), 0);
    }
}

#[tokio::test]
async fn a_backbone_that_takes_files_at_once_only_gets_them_so_within_its_limit() {
    let world = World::new().await;
    world.faults.inject(Matching::path("/Uploads"), Fault::RefuseBefore(StatusCode::NOT_FOUND));
    let mut config = world.config("alice");
    config.max_file_size = 3_000_000;
    let alice = world.start(config).await.unwrap();
    let content = pattern(2 * CHUNK + 7);
    let uploaded = alice.files().upload_own_file(chunked("a", content.clone())).await.unwrap();
    assert!(bytes_of(&alice, &uploaded).await.unwrap() == content);
    let refusal = alice.files().upload_own_file(chunked("a", pattern(4_100_000))).await.unwrap_err();
    assert_eq!(refusal.code(), "error.runtime.validation.invalidPropertyValue");
    assert!(refusal.to_string().contains("at most 3999"), "{refusal}");
    assert_eq!(temporary_files(alice.config()), 0);
}

#[tokio::test]
async fn a_file_may_be_as_large_as_the_backbone_takes() {
    let largest = 2 * CHUNK + 5;
    let world = World::with(|config| {
        config.limits.max_large_file_bytes = Layout::of(largest as u64).unwrap().blob_length();
    })
    .await;
    let alice = world.node("alice").await;
    alice.files().upload_own_file(chunked("a", pattern(largest))).await.unwrap();
    let refusal = alice.files().upload_own_file(chunked("a", pattern(largest + 1))).await.unwrap_err();
    assert_eq!(refusal.code(), "error.runtime.validation.invalidPropertyValue");
    assert!(refusal.to_string().contains(&format!("at most {largest} bytes")), "{refusal}");
    assert_eq!(alice.files().files(Ownership::Any, &[]).unwrap().collect().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_source_that_fails_is_named_and_leaves_nothing() {
    struct Broken;
    impl AsyncRead for Broken {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Err(std::io::Error::other("gone")))
        }
    }
    let world = World::new().await;
    let alice = world.node("alice").await;
    for length in [0, CHUNK, 5 * CHUNK] {
        let content = std::io::Cursor::new(pattern(length)).chain(Broken);
        let content = NewContent::Stream(Box::pin(content));
        let refusal = alice.files().upload_own_file(UploadOwnFile { content, ..chunked("a", "") }).await.unwrap_err();
        assert!(refusal.to_string().contains("the content cannot be read: gone"), "{refusal}");
    }
    assert!(alice.files().files(Ownership::Any, &[]).unwrap().collect().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_file_of_somebody_else_may_be_as_large_as_the_setting_says() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let mut config = world.config("bob");
    config.max_received_file_size = 1000;
    let bob = world.start(config).await.unwrap();
    for (length, expected) in [(1000, "no error"), (1001, "error.transport.files.maxFileSizeExceeded")] {
        let uploaded = alice.files().upload_own_file(chunked("a", pattern(length))).await.unwrap();
        assert_eq!(code(load_file(&bob, &uploaded.reference, None).await), expected);
        assert!(alice.files().download_file(&uploaded.id, None).await.is_ok());
    }
    let own = bob.files().upload_own_file(chunked("own", pattern(1001))).await.unwrap();
    assert_eq!(bytes_of(&bob, &own).await.unwrap(), pattern(1001));
}

/// Makes the backbone answer once with other metadata of a file.
fn announce(world: &World, file: &File, change: impl Fn(&mut FileMetadataV2) + Send + Sync + 'static) {
    let key = SecretKey::from(&FileReference::parse(&file.reference.url).unwrap().key);
    world.faults.tamper(Matching::path("/Metadata").method(Method::GET).times(1), move |_, body| {
        let mut answer: Value = serde_json::from_slice(&body).unwrap();
        let sealed = from_base64url(answer["result"]["encryptedProperties"].as_str().unwrap()).unwrap();
        let mut metadata = FileMetadataV2::open(&sealed, &key).unwrap();
        change(&mut metadata);
        answer["result"]["encryptedProperties"] = to_base64url(&metadata.seal(&key).0).into();
        answer.to_string().into()
    });
}

#[tokio::test]
async fn metadata_of_another_length_or_of_an_unfinished_file_are_refused() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let uploaded = alice.files().upload_own_file(chunked("a", pattern(1000))).await.unwrap();
    let invalid = "error.transport.files.invalidMetadata";
    announce(&world, &uploaded, |metadata| {
        let Extent::Complete { root, .. } = metadata.extent else { panic!("not complete") };
        metadata.extent = Extent::Complete { length: 1001, root };
    });
    assert_eq!(code(load_file(&bob, &uploaded.reference, None).await), invalid);
    announce(&world, &uploaded, |metadata| metadata.extent = Extent::Growing { length: None });
    let refusal = load_file(&bob, &uploaded.reference, None).await.unwrap_err();
    assert_eq!(refusal.code(), invalid);
    assert!(refusal.to_string().contains("still being uploaded"), "{refusal}");
    assert!(bob.files().files(Ownership::Any, &[]).unwrap().collect().await.unwrap().is_empty());
    announce(&world, &uploaded, |metadata| {
        metadata.extent = Extent::Complete { length: 1000, root: Root::from_bytes([7; 32]) };
    });
    load_file(&bob, &uploaded.reference, None).await.unwrap();
    assert_eq!(code(bob.files().download_file(&uploaded.id, None).await), "error.transport.files.cipherMismatch");
}

#[tokio::test]
async fn a_format_after_this_version_needs_a_newer_reader() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let uploaded = alice.files().upload_own_file(chunked("a", "a")).await.unwrap();
    let key = SecretKey::from(&FileReference::parse(&uploaded.reference.url).unwrap().key);
    world.faults.tamper(Matching::path("/Metadata").method(Method::GET).times(1), move |_, body| {
        let mut answer: Value = serde_json::from_slice(&body).unwrap();
        let sealed = from_base64url(answer["result"]["encryptedProperties"].as_str().unwrap()).unwrap();
        let text = FileMetadataV2::open(&sealed, &key).unwrap().to_text().replace("\"v2\"", "\"v3\"");
        answer["result"]["encryptedProperties"] = to_base64url(&key.encrypt(text.as_bytes()).to_byte_text().0).into();
        answer.to_string().into()
    });
    let refusal = load_file(&bob, &uploaded.reference, None).await.unwrap_err();
    assert_eq!(refusal.code(), "error.transport.files.needsNewerReader");
    assert!(refusal.to_string().contains("update the program"), "{refusal}");
    assert!(load_file(&bob, &uploaded.reference, None).await.is_ok());
}

#[tokio::test]
async fn the_observer_of_chunks_is_told_of_all_of_them() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let seen = Arc::new(Mutex::new(Vec::<Progress>::new()));
    let log = seen.clone();
    let observer: runtime::facade::Observer = Arc::new(move |progress| log.lock().unwrap().push(progress));
    let request = UploadOwnFile { observer: Some(observer.clone()), ..chunked("a", pattern(3 * CHUNK)) };
    let uploaded = alice.files().upload_own_file(request).await.unwrap();
    let download = alice.files().download_file(&uploaded.id, Some(observer)).await.unwrap();
    download.content.into_reader().read_to_end(&mut Vec::new()).await.unwrap();
    let seen = seen.lock().unwrap();
    let of = |phase| seen.iter().filter(move |progress| progress.phase == phase).copied().collect::<Vec<_>>();
    assert_eq!(of(Phase::Sealing).last().unwrap().bytes, 3 * CHUNK_LENGTH);
    assert!(of(Phase::Uploading).last().unwrap().bytes > 3 * CHUNK_LENGTH);
    let last = of(Phase::Downloading).last().copied().unwrap();
    assert_eq!(Some(last.bytes), last.total);
    for phase in [Phase::Sealing, Phase::Uploading, Phase::Downloading] {
        assert!(of(phase).is_sorted_by_key(|progress| progress.bytes), "{phase:?}");
    }
}
