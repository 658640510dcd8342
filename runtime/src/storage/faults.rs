//! Callers that leave, callers without a key, and uploads whose time is over.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{
    BucketRequest, Caller, MAX_STAGED, MAX_STAGED_OF_GUESTS, MAX_UPLOADS, NewBucketFile, PART_LENGTH, PartRange,
    SEEKABLE_ABOVE, StagedContent, StorageError, StorageResult, UPLOAD_IDLE, UPLOAD_LIFETIME, UploadedFile, records,
    upload,
};
use crate::clock::ManualClock;
use crate::delivery::memory::{self, Holder};
use crate::dto::FileFormat;
use crate::facade::{FilesFacade, Node, StorageFacade};
use crate::sync::Synchronizer;

const BUCKET: &str = "bucket";
/// The last part has one byte.
const SIZE: u64 = PART_LENGTH + 1;

struct World {
    clock: Arc<ManualClock>,
    node: Arc<Node>,
    storage: StorageFacade,
}

async fn world(directory: &Path, permissions: &[&str]) -> World {
    let clock = Arc::new(ManualClock::new("2030-01-01T00:00:00.000Z".parse().unwrap()));
    let core = memory::node(directory, clock.clone());
    let node = Arc::new(Node { core, sync: Synchronizer::idle(), server: None });
    let storage = StorageFacade::new(node.clone());
    let permissions = permissions.iter().map(|text| (*text).to_owned()).collect();
    let request = BucketRequest { permissions: Some(permissions), ..BucketRequest::named("b") };
    storage.create_bucket(BUCKET, request).await.unwrap();
    World { clock, node, storage }
}

fn new(id: &str) -> NewBucketFile {
    NewBucketFile {
        bucket_id: BUCKET.to_owned(),
        file_id: id.to_owned(),
        name: "a".to_owned(),
        ..NewBucketFile::default()
    }
}

async fn part(storage: &StorageFacade, caller: Caller, id: &str, index: u64) -> StorageResult<UploadedFile> {
    let (first, last) = (index * PART_LENGTH, SIZE.min((index + 1) * PART_LENGTH) - 1);
    let range = PartRange::parse(&format!("bytes {first}-{last}/{SIZE}")).unwrap();
    let content = vec![7; usize::try_from(last + 1 - first).unwrap()];
    let staged = storage.stage_content(caller, BUCKET, Some(range), content.as_slice()).await?;
    storage.create_bucket_file(caller, new(id), staged).await
}

#[tokio::test]
async fn a_content_whose_caller_leaves_becomes_a_file_or_a_part() {
    let directory = tempfile::tempdir().unwrap();
    let World { node, storage, .. } = world(directory.path(), &[]).await;
    let range = PartRange::parse(&format!("bytes {PART_LENGTH}-{PART_LENGTH}/{SIZE}")).unwrap();
    let holder = Holder::default();
    Box::pin(holder.scope(Box::pin(async {
        for (id, range) in [("whole", None), ("part", Some(range))] {
            let staged = storage.stage_content(Caller::Key, BUCKET, range, &b"a"[..]).await.unwrap();
            let mut creating = Box::pin(storage.create_bucket_file(Caller::Key, new(id), staged));
            assert!(futures_util::poll!(&mut creating).is_pending());
        }
        node.core.background.idle().await;
        assert!(storage.bucket_file(Caller::Key, BUCKET, "whole").unwrap().is_complete());
        let begun = part(&storage, Caller::Key, "part", 1).await.unwrap().file;
        assert_eq!((begun.is_complete(), begun.chunks_uploaded), (false, 1), "it is here already");
        let complete = part(&storage, Caller::Key, "part", 0).await.unwrap().file;
        assert!(complete.is_complete());
    })))
    .await;
    assert_eq!(holder.held().await.files.len(), 2);
}

#[tokio::test]
async fn guests_add_nothing_to_uploads_begun_with_a_key_and_see_no_file_that_they_may_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let World { storage, .. } = world(directory.path(), &["create(\"any\")"]).await;
    Box::pin(Holder::default().scope(Box::pin(async {
        part(&storage, Caller::Key, "key", 0).await.unwrap();
        for index in [0, 1] {
            let refused = part(&storage, Caller::Guest, "key", index).await;
            assert!(matches!(refused, Err(StorageError::FileExists)));
        }
        part(&storage, Caller::Guest, "guest", 0).await.unwrap();
        assert!(part(&storage, Caller::Guest, "guest", 1).await.unwrap().file.is_complete(), "it finished the file");
        for id in ["key", "guest"] {
            assert!(part(&storage, Caller::Key, id, 1).await.unwrap().file.is_complete());
            let hidden = part(&storage, Caller::Guest, id, 1).await;
            assert!(matches!(hidden, Err(StorageError::FileExists)));
        }
    })))
    .await;
}

#[tokio::test]
async fn uploads_whose_time_is_over_go_without_a_request() {
    let directory = tempfile::tempdir().unwrap();
    let World { clock, node, storage } = world(directory.path(), &[]).await;
    part(&storage, Caller::Key, "one", 0).await.unwrap();
    clock.advance(UPLOAD_LIFETIME - Duration::from_secs(1));
    upload::give_up_expired(&node.core).await.unwrap();
    assert_eq!(records::uploads(&node.core.store.view()).unwrap().len(), 1);
    clock.advance(Duration::from_secs(1));
    upload::give_up_expired(&node.core).await.unwrap();
    assert!(records::uploads(&node.core.store.view()).unwrap().is_empty());
}

#[tokio::test]
async fn guests_leave_places_and_room_for_those_with_a_key() {
    let directory = tempfile::tempdir().unwrap();
    let World { clock, node, storage } = world(directory.path(), &["create(\"any\")"]).await;
    let begin = |caller, id: String| {
        let storage = storage.clone();
        async move { part(&storage, caller, &id, 1).await }
    };
    for number in 0..MAX_UPLOADS {
        begin(Caller::Guest, format!("g{number}")).await.unwrap();
    }
    assert!(matches!(begin(Caller::Guest, "more".to_owned()).await, Err(StorageError::LimitReached(_))));
    for number in 0..MAX_UPLOADS {
        begin(Caller::Key, format!("k{number}")).await.unwrap();
    }
    let uploads = records::uploads(&node.core.store.view()).unwrap();
    assert!(uploads.len() as u64 == MAX_UPLOADS && uploads.iter().all(|(_, upload)| upload.begun_by == Caller::Key));
    clock.advance(UPLOAD_IDLE);
    assert!(matches!(begin(Caller::Guest, "more".to_owned()).await, Err(StorageError::LimitReached(_))));
    begin(Caller::Key, "more".to_owned()).await.unwrap();
}

#[tokio::test]
async fn a_content_waits_for_a_place_until_its_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let World { storage, .. } = world(directory.path(), &["create(\"any\")"]).await;
    tokio::time::pause();
    let stage = |caller| storage.stage_content(caller, BUCKET, None, &b"a"[..]);
    let mut staged: Vec<StagedContent> = Vec::new();
    for _ in 0..MAX_STAGED_OF_GUESTS {
        staged.push(stage(Caller::Guest).await.unwrap());
    }
    assert!(matches!(stage(Caller::Guest).await, Err(StorageError::Busy)));
    for _ in MAX_STAGED_OF_GUESTS..MAX_STAGED {
        staged.push(stage(Caller::Key).await.unwrap());
    }
    assert!(matches!(stage(Caller::Key).await, Err(StorageError::Busy)));
    let (waiting, ()) = tokio::join!(stage(Caller::Guest), async { drop(staged.remove(0)) });
    waiting.unwrap();
}

#[tokio::test]
async fn contents_above_one_chunk_are_stored_in_chunks() {
    let directory = tempfile::tempdir().unwrap();
    let World { node, storage, .. } = world(directory.path(), &[]).await;
    Box::pin(Holder::default().scope(Box::pin(async {
        for (id, length, format) in
            [("at", SEEKABLE_ABOVE, FileFormat::V1), ("above", SEEKABLE_ABOVE + 1, FileFormat::V2)]
        {
            let content = vec![7; usize::try_from(length).unwrap()];
            let staged = storage.stage_content(Caller::Key, BUCKET, None, content.as_slice()).await.unwrap();
            let file = storage.create_bucket_file(Caller::Key, new(id), staged).await.unwrap().file.file.unwrap();
            let files = FilesFacade::new(node.clone());
            assert_eq!(files.file(&file).await.unwrap().format, format, "{id}");
        }
    })))
    .await;
}
