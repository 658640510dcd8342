//! Uploads that others follow, were interrupted, and go on in another run.

use std::path::Path;

use backbone_mock::fault::{Fault, Gate};
use runtime::dto::{File, Token};
use runtime::facade::{ContentFormat, EarlyShare, Followed, StartedUpload, UploadOwnFile};
use runtime::source::{RelativePath, Source, SourceEntry};
use runtime::{Result, Runtime};
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use transport::content::CHUNK_LENGTH;

use crate::following::{follow, growing, rest};
use crate::resumed::{answers, appends, finishes, flip, own_files, restart, write};
use crate::world::{World, bytes_of, code, load_file, pattern, stored};

const CHUNK: usize = CHUNK_LENGTH as usize;
const GIVEN_UP: &str = "error.transport.files.uploadGivenUp";
const INVALID: &str = "error.runtime.validation.invalidPropertyValue";

fn request(source: Source) -> UploadOwnFile {
    UploadOwnFile {
        format: ContentFormat::V2,
        ..UploadOwnFile::from_source(source, "a.txt".parse().unwrap(), "text/plain".parse().unwrap())
    }
}

fn file(path: &Path) -> UploadOwnFile {
    request(Source::file(path).unwrap())
}

/// Uploads it. Returns what was told when the upload was shown, too.
async fn upload(node: &Runtime, request: UploadOwnFile) -> (Result<File>, Option<StartedUpload>) {
    let (told, mut started) = oneshot::channel();
    let early = EarlyShare::new(|started| told.send(started).unwrap());
    let outcome = node.files().upload_own_file_early(request, early).await;
    (outcome, started.try_recv().ok())
}

/// Shares an upload, and interrupts it after so many answers.
async fn interrupt(
    node: &Runtime,
    request: UploadOwnFile,
    answers: &mut UnboundedReceiver<()>,
    count: usize,
) -> (StartedUpload, Token) {
    let (told, started) = oneshot::channel();
    let (files, early) = (node.files(), EarlyShare::new(|started| told.send(started).unwrap()));
    let sharing = async {
        let started = started.await.unwrap();
        let token = node.files().create_token_for_started_upload(&started, stored()).await.unwrap();
        for _ in 0..count {
            answers.recv().await.unwrap();
        }
        (started, token)
    };
    tokio::select! {
        outcome = files.upload_own_file_early(request, early) => panic!("not interrupted: {:?}", outcome.err()),
        shared = sharing => shared,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_stays_right_when_the_upload_goes_on() {
    let world = World::new().await;
    let (mut alice, bob) = (world.node("alice").await, world.node("bob").await);
    let content = pattern(11 * CHUNK + 5);
    for (number, (count, is_early)) in [(1, true), (2, true), (1, false)].into_iter().enumerate() {
        let path = write(&world, &number.to_string(), &content);
        let mut appended = answers(&world, appends());
        let (first, token) = interrupt(&alice, file(&path), &mut appended, count).await;
        world.faults.clear();
        // Reads on while nobody sends, and when the upload goes on.
        let mut reading = growing(&bob, &token.reference).await;
        assert_eq!(reading.length, Some(content.len() as u64), "the length of a file is told");
        let mut start = vec![0; 2 * CHUNK];
        reading.content.read_exact(&mut start).await.unwrap();
        let following = tokio::spawn(async move { rest(&mut reading.content).await });
        alice = restart(alice, &world).await;
        let uploaded = match is_early {
            true => {
                let (uploaded, second) = upload(&alice, file(&path)).await;
                assert_eq!(second.unwrap().file_id(), first.file_id());
                uploaded.unwrap()
            }
            false => alice.files().upload_own_file(file(&path)).await.unwrap(),
        };
        assert_eq!(&uploaded.id, first.file_id());
        assert!([start, following.await.unwrap().unwrap()].concat() == content);
        let loaded = load_file(&bob, &token.reference, None).await.unwrap();
        assert_eq!(loaded.reference.truncated, uploaded.reference.truncated);
        assert!(bytes_of(&bob, &loaded).await.unwrap() == content);
    }
}

#[tokio::test]
async fn a_file_for_which_a_token_was_given_out_is_not_deleted() {
    let world = World::new().await;
    let (mut alice, bob) = (world.node("alice").await, world.node("bob").await);
    let content = pattern(5 * CHUNK);
    let path = write(&world, "a", &content);
    let (mut finished, gate) = (answers(&world, finishes()), Gate::new());
    world.faults.inject(finishes(), Fault::HoldAfter(gate.clone()));
    // The backbone has made a file of it, and the answer is lost.
    let (first, token) = interrupt(&alice, file(&path), &mut finished, 1).await;
    gate.open();
    world.faults.clear();
    alice = restart(alice, &world).await;
    let other = UploadOwnFile { title: Some("other".to_owned()), ..file(&path) };
    let uploaded = upload(&alice, other).await.0.unwrap();
    assert_ne!(&uploaded.id, first.file_id());
    let loaded = load_file(&bob, &token.reference, None).await.unwrap();
    assert_eq!((&loaded.id, &loaded.title), (first.file_id(), &None));
    assert!(bytes_of(&bob, &loaded).await.unwrap() == content);
    // The sender knows it and can delete it.
    assert_eq!(own_files(&alice).await.len(), 2);
    alice.files().delete_file(first.file_id()).await.unwrap();
}

#[tokio::test]
async fn a_changed_file_that_others_follow_is_not_replaced_without_a_word() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let path = write(&world, "a", &pattern(9 * CHUNK));
    let mut appended = answers(&world, appends());
    let (_, token) = interrupt(&alice, file(&path), &mut appended, 1).await;
    world.faults.clear();
    let mut reading = growing(&bob, &token.reference).await;
    flip(&path, CHUNK as u64 + 7);
    let (refused, started) = upload(&alice, file(&path)).await;
    assert_eq!((code(refused), started.is_some()), (INVALID.to_owned(), true));
    assert_eq!(code(rest(&mut reading.content).await), GIVEN_UP);
    // What was wrong is forgotten.
    let (uploaded, _) = upload(&alice, file(&path)).await;
    assert!(bytes_of(&alice, &uploaded.unwrap()).await.unwrap() == std::fs::read(&path).unwrap());
    assert_eq!(own_files(&alice).await.len(), 1);
}

#[tokio::test]
async fn several_files_that_are_uploaded_say_how_long_their_list_is() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let entry = |name: &str, content: &[u8]| SourceEntry {
        path: RelativePath::new(name).unwrap(),
        local: write(&world, name, content),
    };
    let several = Source::tree(vec![entry("one", &pattern(5 * CHUNK)), entry("two", b"2")]).unwrap();
    let mut appended = answers(&world, appends());
    let (_, token) = interrupt(&alice, request(several.clone()), &mut appended, 1).await;
    world.faults.clear();
    let reading = growing(&bob, &token.reference).await;
    let told = several.manifest().unwrap().length();
    assert_eq!((reading.length, reading.manifest_length), (Some(several.length()), Some(told)));
    drop(reading);
    upload(&alice, request(several)).await.0.unwrap();
    let Followed::Complete(all) = follow(&bob, &token.reference).await.unwrap() else { panic!("it has ended") };
    assert_eq!(bob.files().manifest(&all.id).await.unwrap().unwrap().entries().len(), 2);
}

#[tokio::test]
async fn a_length_that_is_not_that_of_the_file_is_refused_before_the_upload() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let path = write(&world, "a", b"abc");
    for (length, expected) in [(3, "no error"), (4, INVALID)] {
        let early = EarlyShare { length: Some(length), ..EarlyShare::new(|_| ()) };
        assert_eq!(code(alice.files().upload_own_file_early(file(&path), early).await), expected, "{length}");
    }
}
