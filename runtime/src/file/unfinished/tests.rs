//! The list of unfinished uploads, without a backbone.

use std::sync::Arc;

use transport::content::{HEADER_LENGTH, Layout, SEALED_CHUNK_LENGTH};
use transport::file::Extent;

use super::*;
use crate::clock::{Clock as _, ManualClock};
use crate::delivery::memory::{self, Holder};
use crate::file::{NewContent, NewFile};
use crate::source::Source;

const START: &str = "2030-01-01T00:00:00.000Z";
const MINUTE: Duration = Duration::from_secs(60);

struct World {
    core: Arc<Core>,
    clock: Arc<ManualClock>,
    holder: Holder,
    directory: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(START.parse().unwrap()));
        let core = memory::node(&directory.path().join("node"), clock.clone());
        Self { core, clock, holder: Holder::default(), directory }
    }

    fn upload(&self, number: u8) -> Unfinished {
        let upload = format!("UPL{number:017}").parse().unwrap();
        let keys = (&SecretKey::generate(), &SecretKey::generate());
        Unfinished::new(&self.core, &source(number), upload, keys, (Timestamp::NEVER, false))
    }

    async fn begin(&self, number: u8) -> Unfinished {
        let upload = self.upload(number);
        assert!(self.holder.scope(upload.begin(&self.core, &[number; 64])).await.unwrap());
        upload
    }

    fn is_listed(&self, number: u8) -> bool {
        find(&self.core, &source(number)).unwrap().is_some()
    }

    /// Values with hashes.
    fn hash_values(&self) -> usize {
        self.core.store.view().value_names(HASHES, HASHES, usize::MAX).unwrap().len()
    }
}

fn source(number: u8) -> SourceIdentity {
    SourceIdentity::from_bytes([number; SourceIdentity::LENGTH])
}

#[tokio::test]
async fn hashes_come_back_in_order_and_go_with_their_upload() {
    let world = World::new();
    let (one, other) = (world.begin(1).await, world.begin(2).await);
    one.keep(&world.core, 2, &[9; 96]).await.unwrap();
    one.keep(&world.core, 5, &[8; 32]).await.unwrap();
    assert_eq!(one.kept(&world.core).unwrap().unwrap(), [&[1; 64][..], &[9; 96], &[8; 32]].concat());
    assert_eq!(other.kept(&world.core).unwrap().unwrap(), [2; 64]);
    assert_eq!(world.hash_values(), 4);
    one.forget(&world.core).await.unwrap();
    assert!(!world.is_listed(1) && world.is_listed(2));
    assert_eq!(world.hash_values(), 1);
    one.forget(&world.core).await.unwrap();
}

#[tokio::test]
async fn hashes_with_a_gap_are_not_relied_on() {
    let world = World::new();
    let upload = world.begin(1).await;
    upload.keep(&world.core, 3, &[9; 32]).await.unwrap();
    assert_eq!(upload.kept(&world.core).unwrap(), None);
}

#[tokio::test]
async fn an_upload_without_hashes_is_not_continued_even_if_nothing_is_said_to_have_arrived() {
    let world = World::new();
    let upload = world.begin(1).await;
    upload.remove_hashes(&world.core).await;
    assert_eq!(upload.kept(&world.core).unwrap(), None);
}

#[tokio::test]
async fn uploads_to_which_the_backbone_gives_the_same_id_keep_their_own_keys() {
    let world = World::new();
    let one = world.begin(1).await;
    let mut other = Unfinished { upload: one.upload.clone(), ..world.upload(2) };
    assert!(world.holder.scope(other.begin(&world.core, &[2; 64])).await.unwrap());
    other.asks_for(&world.core, (START.parse().unwrap(), false)).await.unwrap();
    for (number, upload) in [(1, &one), (2, &other)] {
        assert!(find(&world.core, &source(number)).unwrap().is_some_and(|found| found.hashes() == upload.hashes()));
    }
}

#[tokio::test]
async fn as_many_are_listed_as_there_may_be_and_the_oldest_makes_room() {
    let world = World::new();
    for number in 0..MAX_UNFINISHED as u8 {
        world.begin(number).await;
        world.clock.advance(MINUTE);
    }
    assert!((0..MAX_UNFINISHED as u8).all(|number| world.is_listed(number)));
    // The oldest is going on.
    let going_on = world.core.uploading.hold(source(0)).await;
    world.begin(100).await;
    assert!(world.is_listed(0) && !world.is_listed(1) && world.is_listed(2) && world.is_listed(100));
    drop(going_on);
    world.begin(101).await;
    assert!(!world.is_listed(0) && world.is_listed(2));
    assert_eq!(world.hash_values(), MAX_UNFINISHED);
}

#[tokio::test]
async fn an_upload_is_not_listed_if_all_others_are_going_on() {
    let world = World::new();
    let mut going_on = Vec::new();
    for number in 0..MAX_UNFINISHED as u8 {
        going_on.push(world.core.uploading.hold(source(number)).await);
        world.begin(number).await;
    }
    let one_more = world.upload(100);
    assert!(!world.holder.scope(one_more.begin(&world.core, &[0; 32])).await.unwrap());
    assert!(!world.is_listed(100));
    assert_eq!(world.hash_values(), MAX_UNFINISHED);
}

#[tokio::test]
async fn another_upload_of_the_same_source_takes_its_place() {
    let world = World::new();
    world.begin(1).await;
    let second = Unfinished { upload: "UPLsecondsecondsecon".parse().unwrap(), ..world.upload(1) };
    assert!(world.holder.scope(second.begin(&world.core, &[7; 32])).await.unwrap());
    assert_eq!(find(&world.core, &source(1)).unwrap().unwrap().upload, second.upload);
    assert_eq!(world.hash_values(), 1);
}

#[tokio::test]
async fn an_upload_to_another_backbone_is_not_found() {
    let world = World::new();
    let elsewhere = Unfinished { backbone: "http://elsewhere.example".to_owned(), ..world.upload(1) };
    assert!(world.holder.scope(elsewhere.begin(&world.core, &[7; 32])).await.unwrap());
    assert!(!world.is_listed(1));
}

#[tokio::test]
async fn what_has_expired_and_hashes_of_no_upload_are_removed_at_the_start() {
    let world = World::new();
    let old = world.begin(1).await;
    world.clock.advance(MINUTE);
    world.begin(2).await;
    // The process ended after the upload had left the list.
    let orphan = world.upload(3);
    for first in 0..REMOVED_AT_ONCE as u64 + 1 {
        orphan.keep(&world.core, first, &[3; 32]).await.unwrap();
    }
    world.clock.advance(LIFETIME - MINUTE - Duration::from_millis(1));
    assert!(world.is_listed(1));
    world.clock.advance(Duration::from_millis(1));
    assert!(!world.is_listed(1) && old.is_stale(world.clock.now()));
    clean_up(&world.core).await.unwrap();
    assert!(world.is_listed(2));
    assert_eq!((list(&world.core.store.view()).unwrap().len(), world.hash_values()), (1, 1));
}

#[tokio::test]
async fn a_backbone_that_has_more_than_has_left_is_not_believed() {
    let world = World::new();
    let path = world.directory.path().join("a");
    std::fs::write(&path, vec![7; 3 << 20]).unwrap();
    let source = Source::file(&path).unwrap();
    let layout = Layout::of(source.length()).unwrap();
    let (header, sealed) = (HEADER_LENGTH as u64, SEALED_CHUNK_LENGTH);
    // Hashes that are known, bytes that the backbone says it has, bytes of the content that had arrived.
    for (known, acknowledged, expected) in [
        (1, 0, Some(0)),
        (1, header + sealed, Some(1 << 20)),
        (1, header + sealed + 1, None),
        (2, header + 2 * sealed - 1, Some(1 << 20)),
        (3, header + 3 * sealed + 3 * 32, Some(3 << 20)),
        (3, header + 3 * sealed + 3 * 32 + 1, None),
    ] {
        let upload = Unfinished { source: ByteText(source.identity().as_bytes().to_vec()), ..world.upload(1) };
        let resumed = world.holder.scope(async {
            assert!(upload.begin(&world.core, &vec![5; known * 32]).await.unwrap());
            let has = vec![0; usize::try_from(acknowledged).unwrap()];
            world.holder.held().await.uploads.insert(upload.upload.clone(), has);
            let found = find(&world.core, &source.identity()).unwrap().unwrap();
            let metadata = new_file(&source).metadata_v2(&found.content_key, Extent::Growing { length: None });
            found.take_up(&world.core, layout, metadata, (Timestamp::NEVER, false)).await.unwrap()
        });
        let resumed = resumed.await.map(|resumed| resumed.content_bytes(layout));
        assert_eq!(resumed, expected, "{known} {acknowledged}");
        assert_eq!(find(&world.core, &source.identity()).unwrap().is_some(), expected.is_some());
        assert_eq!(world.holder.held().await.uploads.is_empty(), expected.is_none());
    }
}

fn new_file(source: &Source) -> NewFile {
    NewFile {
        content: NewContent::Source(source.clone()),
        filename: "a".to_owned(),
        mimetype: "text/plain".to_owned(),
        expires_at: Timestamp::NEVER,
        title: None,
        description: None,
        tags: None,
        beside: None,
    }
}
