//! Callers that leave, callers without a key, and uploads whose time is over.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{
    BucketRequest, Caller, NewBucketFile, PART_LENGTH, PartRange, StorageError, StorageResult, UPLOAD_LIFETIME,
    UploadedFile, records, upload,
};
use crate::clock::ManualClock;
use crate::delivery::memory::{self, Holder};
use crate::facade::{Node, StorageFacade};
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
