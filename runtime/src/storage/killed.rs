//! A process that receives uploads is killed: what it acknowledged is there afterwards. And nothing of it is in the datawallet.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use super::{BucketRequest, Caller, NewBucketFile, PART_LENGTH, PartRange, UploadedFile, parts_of};
use crate::clock::ManualClock;
use crate::delivery::memory::{self, Holder};
use crate::facade::{Node, StorageFacade};
use crate::sync::Synchronizer;

const DIRECTORY: &str = "ENLACE_TEST_STORAGE_DIRECTORY";
const BUCKET: &str = "bucket";
const SIZE: u64 = 3 * PART_LENGTH + 1;

fn node(directory: &Path) -> Arc<Node> {
    let clock = Arc::new(ManualClock::new("2030-01-01T00:00:00.000Z".parse().unwrap()));
    let core = memory::node(directory, clock);
    Arc::new(Node { core, sync: Synchronizer::idle(), server: None })
}

/// Every part has its own byte.
fn content(index: u64) -> Vec<u8> {
    let part = PartRange::parse(&header(index)).unwrap().bytes();
    vec![u8::try_from(index).unwrap(); usize::try_from(part.end - part.start).unwrap()]
}

fn header(index: u64) -> String {
    let start = index * PART_LENGTH;
    format!("bytes {start}-{}/{SIZE}", SIZE.min(start + PART_LENGTH) - 1)
}

async fn send(storage: &StorageFacade, id: &str, index: u64) -> UploadedFile {
    let range = PartRange::parse(&header(index)).ok();
    let new = NewBucketFile {
        bucket_id: BUCKET.to_owned(),
        file_id: id.to_owned(),
        name: "a".to_owned(),
        ..NewBucketFile::default()
    };
    let staged = storage.stage_content(Caller::Key, BUCKET, range, content(index).as_slice()).await.unwrap();
    storage.create_bucket_file(Caller::Key, new, staged).await.unwrap()
}

/// The process that is killed: receives one upload after the other, the last part first.
#[tokio::test]
#[ignore = "the process that another test kills"]
async fn the_process_that_is_killed() {
    let directory = std::env::var_os(DIRECTORY).expect("the other test says where");
    let storage = StorageFacade::new(node(Path::new(&directory)));
    Holder::default()
        .scope(Box::pin(async {
            storage.create_bucket(BUCKET, BucketRequest::named("b")).await.unwrap();
            for number in 0.. {
                for index in (0..parts_of(SIZE)).rev() {
                    let id = format!("f{number}");
                    let answer = send(&storage, &id, index).await;
                    // A line of its own, behind whatever the test runner writes.
                    println!("\npart {id} {}", answer.file.chunks_uploaded);
                    std::io::stdout().flush().unwrap();
                }
            }
        }))
        .await;
}

/// Kills the process when it has acknowledged so many parts, and says how many of which file.
fn kill_after(lines: usize, directory: &Path) -> BTreeMap<String, u64> {
    let mut acknowledged = BTreeMap::new();
    let name = "storage::killed::the_process_that_is_killed";
    crate::killed::kill_after(lines, name, (DIRECTORY, directory), |line| {
        let ["part", id, count] = line.split(' ').collect::<Vec<_>>()[..] else { return false };
        acknowledged.insert(id.to_owned(), count.parse().unwrap());
        true
    });
    acknowledged
}

#[tokio::test]
async fn a_killed_node_has_every_part_that_it_acknowledged_and_goes_on() {
    for lines in [1, 3, 4, 6] {
        let directory = tempfile::tempdir().unwrap();
        let acknowledged = kill_after(lines, directory.path());
        let node = node(directory.path());
        let storage = StorageFacade::new(node.clone());
        super::upload::clean_up(&node.core).await.unwrap();
        let holder = Holder::default();
        // What the process before was given is in use.
        holder.held().await.ids = 1000;
        Box::pin(holder.scope(Box::pin(async {
            for (id, count) in acknowledged {
                let before = storage.bucket_file(Caller::Key, BUCKET, &id).unwrap();
                if before.is_complete() {
                    continue;
                }
                assert!(count < parts_of(SIZE), "a file is complete before it is said to be");
                // All of them are still counted: what is sent again adds nothing.
                for sent in 0..count {
                    let again = send(&storage, &id, parts_of(SIZE) - 1 - sent).await.file.chunks_uploaded;
                    // One more may have been stored, whose answer did not leave.
                    assert!((count..=count + 1).contains(&again), "{again} {count}");
                }
                let mut completed = 0;
                for index in 0..parts_of(SIZE) {
                    let answer = send(&storage, &id, index).await;
                    completed += u32::from(answer.is_new && answer.file.is_complete());
                }
                assert_eq!(completed, 1);
                let after = storage.bucket_file(Caller::Key, BUCKET, &id).unwrap();
                assert_eq!(after.signature, signature().await);
            }
        })))
        .await;
        // The killed process may have begun another file, without an answer that was seen.
        let known = super::records::names_of_parts(&node.core.store).unwrap();
        let parts = super::parts::directory(directory.path());
        assert_eq!(std::fs::read_dir(parts).unwrap().count(), known.len());
    }
}

async fn signature() -> String {
    use tokio::io::AsyncReadExt as _;
    let whole: Vec<u8> = (0..parts_of(SIZE)).flat_map(content).collect();
    let signature = super::signature::Signature::default();
    let mut reader = super::signature::SignedReader { content: whole.as_slice(), signature: signature.clone() };
    reader.read_to_end(&mut Vec::new()).await.unwrap();
    signature.digits()
}

#[tokio::test]
async fn other_devices_learn_of_the_ordinary_file_only() {
    let directory = tempfile::tempdir().unwrap();
    let node = node(directory.path());
    let storage = StorageFacade::new(node.clone());
    let holder = Holder::default();
    holder
        .scope(Box::pin(async {
            storage.create_bucket(BUCKET, BucketRequest::named("b")).await.unwrap();
            for index in 0..parts_of(SIZE) - 1 {
                send(&storage, "a", index).await;
            }
            assert!(node.core.store.unpushed(usize::MAX).unwrap().is_empty());
            send(&storage, "a", parts_of(SIZE) - 1).await;
        }))
        .await;
    let unpushed = node.core.store.unpushed(usize::MAX).unwrap();
    assert!(!unpushed.is_empty());
    assert!(unpushed.iter().all(|(_, change)| change.collection == crate::store::collection::FILES));
}
