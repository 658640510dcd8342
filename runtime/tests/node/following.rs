//! Files that are read while they are uploaded.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use backbone_mock::fault::{Fault, Matching};
use http::{Method, StatusCode};
use runtime::dto::File;
use runtime::facade::{ContentFormat, EarlyShare, Followed, GrowingFile, GrowingReader, LoadFile, StartedUpload};
use runtime::facade::{NewContent, Observer, Progress, UploadOwnFile, VerifiedContent};
use runtime::{Error, Result, Runtime, Timestamp, dto};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use transport::content::{CHUNK_LENGTH, Layout};

use crate::world::{World, bytes_of, chunked, code, load_file, pattern, stored};

const CHUNK: usize = CHUNK_LENGTH as usize;
const GIVEN_UP: &str = "error.transport.files.uploadGivenUp";
const UNFINISHED: &str = "error.transport.files.uploadUnfinished";

/// An upload that goes on until its source ends.
struct Upload {
    source: DuplexStream,
    started: StartedUpload,
    outcome: JoinHandle<Result<File>>,
}

impl Upload {
    async fn begin(node: &Runtime, length: Option<u64>) -> Self {
        let (source, content) = tokio::io::duplex(CHUNK);
        let request = UploadOwnFile { content: NewContent::Stream(Box::pin(content)), ..chunked("a.txt", "") };
        let (told, started) = oneshot::channel();
        let early = EarlyShare { length, ..EarlyShare::new(|started| told.send(started).unwrap()) };
        let files = node.files();
        let outcome = tokio::spawn(async move { files.upload_own_file_early(request, early).await });
        Self { source, started: started.await.unwrap(), outcome }
    }

    async fn share(&self, node: &Runtime) -> dto::Token {
        node.files().create_token_for_started_upload(&self.started, stored()).await.unwrap()
    }

    async fn end(self) -> Result<File> {
        drop(self.source);
        self.outcome.await.unwrap()
    }
}

pub(crate) async fn follow(node: &Runtime, reference: &dto::Reference) -> Result<Followed> {
    let request = LoadFile { reference: reference.url.clone(), password: None };
    node.files().follow_file(request, None).await
}

pub(crate) async fn growing(node: &Runtime, reference: &dto::Reference) -> GrowingFile {
    match follow(node, reference).await.unwrap() {
        Followed::Growing(file) => *file,
        Followed::Complete(_) => panic!("the upload has ended"),
    }
}

pub(crate) async fn rest(content: &mut GrowingReader) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    match content.read_to_end(&mut all).await {
        Ok(_) => Ok(all),
        Err(error) => Err(*error.into_inner().unwrap().downcast::<Error>().unwrap()),
    }
}

#[tokio::test]
async fn readers_come_before_the_first_byte_midway_and_at_the_end() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let (carol, dave) = (world.node("carol").await, world.node("dave").await);
    let content = pattern(11 * CHUNK + 5);
    for length in [None, Some(content.len() as u64)] {
        let mut upload = Upload::begin(&alice, length).await;
        let token = upload.share(&alice).await;
        let mut early = growing(&bob, &token.reference).await;
        assert_eq!((early.filename.as_str(), early.mimetype.as_str()), ("a.txt", "text/plain"));
        assert_eq!((early.length, &early.id, early.expires_at), (length, upload.started.file_id(), Timestamp::NEVER));
        assert_eq!(code(load_file(&bob, &token.reference, None).await), UNFINISHED);
        // Eight chunks are on their way when the ninth is read.
        upload.source.write_all(&content[..10 * CHUNK]).await.unwrap();
        let mut start = vec![0; 3 * CHUNK];
        early.content.read_exact(&mut start).await.unwrap();
        let mut midway = growing(&carol, &token.reference).await;
        upload.source.write_all(&content[10 * CHUNK..]).await.unwrap();
        let ending = tokio::spawn(upload.end());
        let (early_rest, all) = tokio::join!(rest(&mut early.content), rest(&mut midway.content));
        assert!([start, early_rest.unwrap()].concat() == content && all.unwrap() == content);
        let file = ending.await.unwrap().unwrap();
        for (node, growing) in [(&bob, &early), (&carol, &midway)] {
            let followed = node.files().followed(&growing.content).unwrap();
            assert_eq!((&followed.id, followed.filesize, followed.is_own), (&file.id, content.len() as u64, false));
            assert_eq!(node.files().file(&file.id).await.unwrap(), followed);
            assert!(bytes_of(node, &followed).await.unwrap() == content);
        }
        let Followed::Complete(late) = follow(&dave, &token.reference).await.unwrap() else { panic!("it has ended") };
        assert!(bytes_of(&dave, &late).await.unwrap() == content);
    }
}

#[tokio::test]
async fn contents_end_where_a_chunk_ends_or_elsewhere() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 4 * CHUNK, 4 * CHUNK + 1, 8 * CHUNK] {
        for told in [None, Some(length as u64)] {
            let content = pattern(length);
            let mut upload = Upload::begin(&alice, told).await;
            let token = upload.share(&alice).await;
            let last = Arc::new(Mutex::new(None));
            let observer: Observer = {
                let last = last.clone();
                Arc::new(move |progress: Progress| {
                    assert_eq!(progress.resumed, 0);
                    *last.lock().unwrap() = Some((progress.bytes, progress.total));
                })
            };
            let request = LoadFile { reference: token.reference.url, password: None };
            let followed = bob.files().follow_file(request, Some(observer)).await.unwrap();
            let Followed::Growing(mut file) = followed else { panic!("it goes on") };
            let sending = async {
                upload.source.write_all(&content).await.unwrap();
                upload.end().await.unwrap()
            };
            let (sent, received) = tokio::join!(sending, rest(&mut file.content));
            assert!(received.unwrap() == content, "{length}");
            let blob = Layout::of(length as u64).unwrap().blob_length();
            assert_eq!(*last.lock().unwrap(), Some((blob, told.map(|_| blob))));
            assert_eq!(bob.files().followed(&file.content).unwrap().id, sent.id);
        }
    }
}

#[tokio::test]
async fn a_reader_keeps_what_it_has_of_an_upload_that_is_given_up() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let content = pattern(9 * CHUNK);
    let mut upload = Upload::begin(&alice, Some(20 * CHUNK_LENGTH)).await;
    let token = upload.share(&alice).await;
    let mut file = growing(&bob, &token.reference).await;
    upload.source.write_all(&content).await.unwrap();
    let mut start = vec![0; CHUNK];
    file.content.read_exact(&mut start).await.unwrap();
    assert!(start == content[..CHUNK]);
    upload.outcome.abort();
    let mut more = Vec::new();
    let error = file.content.read_to_end(&mut more).await.unwrap_err();
    assert!(content[CHUNK..].starts_with(&more));
    let error = error.into_inner().unwrap().downcast::<Error>().unwrap();
    assert_eq!(error.code(), GIVEN_UP);
    assert_eq!(code(rest(&mut file.content).await), GIVEN_UP, "and again");
    assert_eq!(code(bob.files().followed(&file.content)), UNFINISHED);
    assert_eq!(code(follow(&bob, &token.reference).await), "error.runtime.recordNotFound");
}

#[tokio::test]
async fn an_upload_that_expires_is_given_up() {
    let world = World::with(|config| config.limits.upload_lifetime = Duration::from_secs(60)).await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let upload = Upload::begin(&alice, None).await;
    let token = upload.share(&alice).await;
    let mut file = growing(&bob, &token.reference).await;
    let ending = async {
        world.clock.advance(Duration::from_secs(60));
        world.backbone.admin().sweep().await.unwrap();
    };
    let (outcome, ()) = tokio::join!(rest(&mut file.content), ending);
    assert_eq!(code(outcome), GIVEN_UP);
    upload.outcome.abort();
}

#[tokio::test]
async fn a_content_of_another_length_than_was_told_becomes_no_file() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    for (told, length) in [(10, 9), (10, 11), (CHUNK, CHUNK + 1), (CHUNK + 1, CHUNK)] {
        let mut upload = Upload::begin(&alice, Some(told as u64)).await;
        let token = upload.share(&alice).await;
        let mut file = growing(&bob, &token.reference).await;
        upload.source.write_all(&pattern(length)).await.unwrap();
        assert_eq!(code(upload.end().await), "error.runtime.validation.invalidPropertyValue");
        assert!(rest(&mut file.content).await.is_err(), "{told}, {length}");
    }
}

#[tokio::test]
async fn a_reader_goes_on_after_a_broken_connection() {
    let world = World::with(|config| config.limits.follow_idle = Duration::from_millis(20)).await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let content = pattern(5 * CHUNK);
    for fault in [Fault::DropBefore, Fault::DropAfter, Fault::RefuseBefore(StatusCode::SERVICE_UNAVAILABLE)] {
        for path in ["/Content", "/Preview"] {
            let mut upload = Upload::begin(&alice, None).await;
            let token = upload.share(&alice).await;
            let mut file = growing(&bob, &token.reference).await;
            world.faults.inject(Matching::path(path).method(Method::GET).times(2), fault.clone());
            let sending = async {
                upload.source.write_all(&content).await.unwrap();
                upload.end().await.unwrap()
            };
            let (_, received) = tokio::join!(sending, rest(&mut file.content));
            world.faults.clear();
            assert!(received.unwrap() == content, "{path}");
        }
    }
}

#[tokio::test]
async fn a_backbone_that_shows_nothing_takes_the_file_all_the_same() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    for status in [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED, StatusCode::FORBIDDEN] {
        world.faults.inject(Matching::path("/Preview"), Fault::RefuseBefore(status));
        let early = EarlyShare::new(|_| panic!("nobody is shown anything"));
        let file = alice.files().upload_own_file_early(chunked("a", pattern(100)), early).await.unwrap();
        let loaded = load_file(&bob, &file.reference, None).await.unwrap();
        assert_eq!(bytes_of(&bob, &loaded).await.unwrap(), pattern(100));
        alice.files().delete_file(&file.id).await.unwrap();
        bob.files().delete_file(&file.id).await.unwrap();
        assert_eq!(code(load_file(&bob, &file.reference, None).await), "error.runtime.recordNotFound");
        world.faults.clear();
    }
}

#[tokio::test]
async fn only_chunks_are_shared_early() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let request = UploadOwnFile { format: ContentFormat::V1, ..chunked("a", "a") };
    let early = EarlyShare::new(|_| panic!("nothing is shared"));
    let refused = alice.files().upload_own_file_early(request, early).await;
    assert_eq!(code(refused), "error.runtime.notSupported");
    let file =
        alice.files().upload_own_file(UploadOwnFile { format: ContentFormat::V1, ..chunked("a", "a") }).await.unwrap();
    let Followed::Complete(loaded) = follow(&bob, &file.reference).await.unwrap() else { panic!("it is there") };
    let content: VerifiedContent = bob.files().download_file(&loaded.id, None).await.unwrap().content;
    assert_eq!(content.length(), 1);
}

#[tokio::test]
async fn a_guest_is_told_when_the_file_will_expire() {
    let world = World::of_guests().await;
    let alice = world.node("alice").await;
    let upload = Upload::begin(&alice, None).await;
    let month = world.at(30 * 24 * 60 * 60);
    assert_eq!(upload.started.expires_at(), month);
    assert_eq!(upload.share(&alice).await.expires_at, month);
    assert_eq!(upload.end().await.unwrap().expires_at, month);
}

#[tokio::test]
async fn a_file_that_is_too_large_for_the_reader_is_refused() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let mut config = world.config("bob");
    config.max_received_file_size = 2 * CHUNK_LENGTH;
    let bob = world.start(config).await.unwrap();
    for (length, told) in [(2 * CHUNK, false), (2 * CHUNK, true), (2 * CHUNK + 1, false), (2 * CHUNK + 1, true)] {
        let mut upload = Upload::begin(&alice, told.then_some(length as u64)).await;
        let token = upload.share(&alice).await;
        let receiving = async {
            match follow(&bob, &token.reference).await? {
                Followed::Growing(mut file) => rest(&mut file.content).await,
                Followed::Complete(_) => panic!("it goes on"),
            }
        };
        let sending = async {
            upload.source.write_all(&pattern(length)).await.unwrap();
            upload.end().await.unwrap()
        };
        let (received, _) = tokio::join!(receiving, sending);
        let expected = if length > 2 * CHUNK { "error.transport.files.maxFileSizeExceeded" } else { "no error" };
        assert_eq!(code(received), expected, "{length} {told}");
    }
}
