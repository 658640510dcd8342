//! The content store on a disk that fails, fills up and loses power.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use durable::disk::{Disk, RealDisk};
use durable::simulation::{Chance, SimulatedDisk};
use proptest::prelude::*;
use tempfile::TempDir;
use transport::content::{ChunkHash, SEALED_CHUNK_LENGTH, Sealer, Tree};
use transport::crypto::SecretKey;

use super::state::{Kind, Part, Segment, State};
use super::writer::NODES_OF_SEGMENT;
use super::*;
use crate::chunk_buffers::ChunkBuffers;
use crate::clock::ManualClock;
use crate::source::Source;
use crate::store::{Batch, Object, Properties, StoreKeySource, collection};

const START: &str = "2030-01-01T00:00:00.000Z";
const MIB: usize = 1 << 20;

/// A content with all its parts.
#[derive(Clone)]
struct Sealed {
    known: KnownContent,
    key: SecretKey,
    plain: Vec<u8>,
    blob: Vec<u8>,
    tree: Tree,
}

impl Sealed {
    fn new(number: u8, length: usize) -> Self {
        let key = SecretKey::from_bytes([number; 32]);
        let plain: Vec<u8> = (0..length).map(|place| (place * 7 % 251) as u8 ^ number).collect();
        let mut blob = Vec::new();
        let mut sealer = Sealer::new(&key, &mut blob);
        sealer.push(&plain, &mut blob).unwrap();
        let tree = sealer.finish(&mut blob).unwrap();
        let (root, layout) = (*tree.root(), *tree.layout());
        let known = KnownContent { file: file_id(number), root, layout, expires_at: Timestamp::NEVER };
        Self { known, key, plain, blob, tree }
    }

    fn chunk(&self, index: u64) -> &[u8] {
        let place = self.known.layout.sealed_chunk(index).unwrap();
        &self.blob[place.start as usize..place.end as usize]
    }

    /// Bytes of everything but the header.
    fn size(&self) -> u64 {
        self.blob.len() as u64 - 48
    }

    fn uploaded(&self, source: Option<Source>) -> UploadedContent {
        UploadedContent { content: self.known.clone(), key: self.key.clone(), tree: self.tree.clone(), source }
    }
}

fn file_id(number: u8) -> FileId {
    format!("FIL{number:017}").parse().unwrap()
}

/// A node's store and clock, with files of all contents that tests use.
struct World {
    store: Arc<Store>,
    clock: Arc<ManualClock>,
    directory: TempDir,
}

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = StoreKeySource::File(directory.path().join("store.key"));
        let store = Arc::new(Store::open_in(directory.path(), &key, false).unwrap());
        let mut batch = Batch::new();
        for number in 0..=20 {
            let mut properties = Properties::new();
            properties.insert("expiresAt".to_owned(), Timestamp::NEVER.to_string().into());
            batch.put_object(Object::new(collection::FILES, file_id(number).as_str(), properties));
        }
        store.commit(batch).await.unwrap();
        Self { store, clock: Arc::new(ManualClock::new(START.parse().unwrap())), directory }
    }

    async fn open(&self, disk: &(impl Disk + Clone + 'static), max_size: u64) -> ContentStore {
        let config = ContentStoreConfig::new(max_size);
        let clock = self.clock.clone();
        ContentStore::open_in_test(Arc::new(disk.clone()), config, &self.store, clock).await
    }

    /// A directory of the real disk.
    fn real(&self) -> Real {
        let path = self.directory.path().join("content");
        fs::create_dir_all(&path).unwrap();
        Real(path)
    }
}

#[derive(Clone)]
struct Real(std::path::PathBuf);

impl Real {
    fn disk(&self) -> SharedDisk {
        SharedDisk(Arc::new(RealDisk::new(self.0.clone())))
    }

    fn files(&self) -> Vec<std::path::PathBuf> {
        fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    /// The only file with so many bytes.
    fn file_of(&self, length: usize) -> std::path::PathBuf {
        let mut files = self.files();
        files.retain(|path| path.metadata().unwrap().len() == length as u64);
        assert_eq!(files.len(), 1);
        files.remove(0)
    }
}

/// The real disk, in a form that tests can pass on.
#[derive(Clone, Debug)]
struct SharedDisk(Arc<RealDisk>);

impl Disk for SharedDisk {
    fn create(&self, name: &str) -> std::io::Result<Box<dyn durable::disk::DiskFile>> {
        self.0.create(name)
    }
    fn open(&self, name: &str) -> std::io::Result<Box<dyn durable::disk::DiskFile>> {
        self.0.open(name)
    }
    fn names(&self) -> std::io::Result<Vec<String>> {
        self.0.names()
    }
    fn remove(&self, name: &str) -> std::io::Result<()> {
        self.0.remove(name)
    }
    fn sync_names(&self) -> std::io::Result<()> {
        self.0.sync_names()
    }
    fn free_bytes(&self) -> Option<u64> {
        self.0.free_bytes()
    }
    fn path(&self) -> &Path {
        self.0.path()
    }
}

fn simulated() -> SimulatedDisk {
    SimulatedDisk::new(1, usize::MAX)
}

/// Bytes of all files.
fn bytes_on(disk: &dyn Disk) -> u64 {
    disk.names().unwrap().iter().map(|name| disk.open(name).unwrap().size().unwrap()).sum()
}

/// Puts chunks as a download does.
fn put(store: &ContentStore, content: &Sealed, chunks: Range<u64>) {
    let keeping = store.keep_download(content.known.clone()).unwrap();
    let top = content.known.layout.top();
    keeping.try_tree(None, &content.blob[top.start as usize..top.end as usize]);
    for index in chunks {
        if let Some(slot) = keeping.slot() {
            slot.take(index, content.chunk(index).to_vec(), &ChunkHash::of(content.chunk(index)));
        }
    }
}

/// The same, and waits until all of it is on the disk.
async fn put_and_wait(store: &ContentStore, content: &Sealed) {
    put(store, content, 0..content.known.layout.chunk_count());
    store.usage().await;
}

async fn is_stored(store: &ContentStore, content: &Sealed) -> bool {
    let found = store.chunk(&content.known.root, 0, &ChunkBuffers::default()).await;
    assert!(found.as_deref().is_none_or(|found| found == content.chunk(0)));
    found.is_some()
}

#[tokio::test]
async fn what_was_used_least_recently_goes_first_and_the_bound_is_exact() {
    let (world, disk) = (World::new().await, simulated());
    let contents: Vec<_> = (1..=3).map(|number| Sealed::new(number, 1000)).collect();
    let size = contents[0].size();
    let store = world.open(&disk, 2 * size).await;
    for content in &contents[..2] {
        put_and_wait(&store, content).await;
    }
    assert_eq!(store.usage().await.bytes, 2 * size);
    assert!(is_stored(&store, &contents[0]).await);
    put_and_wait(&store, &contents[2]).await;
    assert_eq!((store.usage().await.bytes, bytes_on(&disk)), (2 * size, 2 * size));
    let mut stored = Vec::new();
    for content in &contents {
        stored.push(is_stored(&store, content).await);
    }
    assert_eq!(stored, [true, false, true]);
    store.close().await;

    // One byte less than one chunk takes.
    let (world, disk) = (World::new().await, simulated());
    let chunk = contents[0].chunk(0).len() as u64;
    for (bound, fits) in [(chunk - 1, false), (chunk, true)] {
        let store = world.open(&disk, bound).await;
        put_and_wait(&store, &contents[0]).await;
        assert_eq!(is_stored(&store, &contents[0]).await, fits);
        assert!(bytes_on(&disk) <= bound);
        store.close().await;
    }
}

#[tokio::test]
async fn the_order_of_use_survives_a_restart() {
    let (world, disk) = (World::new().await, simulated());
    let contents: Vec<_> = (1..=4).map(|number| Sealed::new(number, 1000)).collect();
    let store = world.open(&disk, 3 * contents[0].size()).await;
    for content in &contents[..3] {
        put_and_wait(&store, content).await;
    }
    // Later by more than what is stored exactly.
    world.clock.advance(Duration::from_secs(7200));
    assert!(is_stored(&store, &contents[0]).await && is_stored(&store, &contents[2]).await);
    store.close().await;
    let store = world.open(&disk, 3 * contents[0].size()).await;
    put_and_wait(&store, &contents[3]).await;
    assert!(!is_stored(&store, &contents[1]).await);
    for kept in [0, 2, 3] {
        assert!(is_stored(&store, &contents[kept]).await, "{kept}");
    }
}

#[tokio::test]
async fn what_is_pinned_stays_and_not_more_than_fits_is_pinned() {
    let (world, disk) = (World::new().await, simulated());
    let contents: Vec<_> = (1..=4).map(|number| Sealed::new(number, 1000)).collect();
    let store = world.open(&disk, 2 * contents[0].size()).await;
    store.pin(contents[0].known.clone()).await.unwrap();
    for content in &contents {
        put_and_wait(&store, content).await;
    }
    assert!(is_stored(&store, &contents[0]).await && is_stored(&store, &contents[3]).await);
    store.pin(contents[3].known.clone()).await.unwrap();
    put_and_wait(&store, &contents[1]).await;
    assert!(!is_stored(&store, &contents[1]).await);
    let refusal = store.pin(contents[1].known.clone()).await.unwrap_err().to_string();
    assert!(refusal.contains("the pinned files need") && refusal.contains("enlace.contentStore.maxSize"), "{refusal}");
    assert_eq!((store.usage().await.pinned, store.usage().await.contents), (2, 2));
    store.unpin(&contents[0].known.root).await;
    put_and_wait(&store, &contents[1]).await;
    assert!(!is_stored(&store, &contents[0]).await && is_stored(&store, &contents[1]).await);
}

#[tokio::test]
async fn a_chunk_with_another_hash_is_not_stored() {
    let (world, disk) = (World::new().await, simulated());
    let store = world.open(&disk, u64::MAX).await;
    let content = Sealed::new(1, 1000);
    let keeping = store.keep_download(content.known.clone()).unwrap();
    keeping.slot().unwrap().take(0, content.chunk(0).to_vec(), &ChunkHash::of(b"another"));
    assert_eq!((store.usage().await.contents, bytes_on(&disk)), (0, 0));
}

#[tokio::test]
async fn no_more_chunks_wait_than_may() {
    let (world, disk) = (World::new().await, simulated());
    let store = world.open(&disk, u64::MAX).await;
    let keeping = store.keep_download(Sealed::new(1, 1000).known).unwrap();
    let mut slots: Vec<_> = (0..MAX_WAITING_CHUNKS).map(|_| keeping.slot().unwrap()).collect();
    assert!(keeping.slot().is_none());
    slots.pop();
    assert!(keeping.slot().is_some());
}

#[tokio::test]
async fn a_flipped_bit_is_a_miss_and_what_has_it_is_dropped() {
    let (world, disk) = (World::new().await, simulated());
    let content = Sealed::new(1, 1000);
    let store = world.open(&disk, u64::MAX).await;
    put_and_wait(&store, &content).await;
    let top = content.known.layout.top();
    for (length, bit) in [(1016, 1016 * 8 - 1), (32, 0)] {
        let names = disk.names().unwrap();
        let name = names.into_iter().find(|name| disk.open(name).unwrap().size().unwrap() == length).unwrap();
        disk.flip(&name, bit);
        match length {
            32 => assert_eq!(store.tree(&content.known.root, top.clone()).await, None),
            _ => assert!(!is_stored(&store, &content).await),
        }
        store.usage().await;
        assert!(!disk.names().unwrap().contains(&name));
    }
    assert_eq!(store.usage().await.contents, 0);
    put_and_wait(&store, &content).await;
    assert!(is_stored(&store, &content).await);
}

#[tokio::test]
async fn a_truncated_or_missing_segment_is_a_miss_while_it_runs() {
    let world = World::new().await;
    let (real, content) = (world.real(), Sealed::new(1, 1000));
    let store = world.open(&real.disk(), u64::MAX).await;
    let damages: [fn(&Path); 2] = [
        |path| fs::File::options().write(true).open(path).unwrap().set_len(500).unwrap(),
        |path| fs::remove_file(path).unwrap(),
    ];
    for damage in damages {
        put_and_wait(&store, &content).await;
        damage(&real.file_of(1016));
        assert!(!is_stored(&store, &content).await);
        assert_eq!(store.usage().await.bytes, 32);
    }
}

#[tokio::test]
async fn what_does_not_fit_together_at_a_start_is_removed() {
    let world = World::new().await;
    let (real, content) = (world.real(), Sealed::new(1, 1000));
    let damages: [fn(&Path); 4] = [
        // The record is ahead of the file.
        |path| fs::File::options().write(true).open(path).unwrap().set_len(1015).unwrap(),
        |path| fs::remove_file(path).unwrap(),
        // The file is ahead of the record.
        |path| fs::File::options().write(true).open(path).unwrap().set_len(1017).unwrap(),
        |path| fs::rename(path, path.with_file_name("other")).unwrap(),
    ];
    for damage in damages {
        let store = world.open(&real.disk(), u64::MAX).await;
        put_and_wait(&store, &content).await;
        store.close().await;
        fs::write(real.0.join("nobodys"), "x").unwrap();
        damage(&real.file_of(1016));
        let store = world.open(&real.disk(), u64::MAX).await;
        assert!(!is_stored(&store, &content).await);
        assert_eq!((store.usage().await.bytes, real.files().len()), (32, 1));
        store.close().await;
    }
}

#[tokio::test]
async fn segments_have_so_many_parts_and_no_more() {
    let (world, disk) = (World::new().await, simulated());
    let store = world.open(&disk, u64::MAX).await;
    let content = Sealed::new(1, (CHUNKS_OF_SEGMENT + 1) * MIB);
    for index in 0..=CHUNKS_OF_SEGMENT as u64 {
        put(&store, &content, index..index + 1);
        if index % 4 == 3 {
            // The writer keeps up; nothing is flushed by that.
            while store.running.as_ref().unwrap().waiting.available_permits() < MAX_WAITING_CHUNKS {
                tokio::task::yield_now().await;
            }
        }
    }
    store.usage().await;
    let mut sizes: Vec<_> = disk.names().unwrap().iter().map(|name| disk.open(name).unwrap().size().unwrap()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [17 * 32, SEALED_CHUNK_LENGTH, CHUNKS_OF_SEGMENT as u64 * SEALED_CHUNK_LENGTH]);

    let layout = Layout::of((NODES_OF_SEGMENT as u64 + 1) * 256 * MIB as u64).unwrap();
    let known = KnownContent { layout, root: Root::from_bytes([9; 32]), ..content.known };
    let (world, disk) = (World::new().await, simulated());
    let store = world.open(&disk, u64::MAX).await;
    let keeping = store.keep_download(known).unwrap();
    let missing: Vec<_> = layout.tree_nodes().collect();
    assert_eq!(missing.len(), NODES_OF_SEGMENT + 1 + 2 + 1);
    let level = vec![7; (NODES_OF_SEGMENT + 1) * 8192];
    keeping.running.send(Message::Tree {
        content: keeping.known().unwrap(),
        start: layout.tree().start,
        bytes: level,
        _permit: keeping.running.waiting.clone().try_acquire_owned().unwrap(),
    });
    store.usage().await;
    let mut sizes: Vec<_> = disk.names().unwrap().iter().map(|name| disk.open(name).unwrap().size().unwrap()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [8192, NODES_OF_SEGMENT as u64 * 8192]);
}

#[test]
fn not_more_contents_are_known_than_may() {
    let mut state = State::new(u64::MAX);
    let now: Timestamp = START.parse().unwrap();
    let content = Sealed::new(1, 10).known;
    let known = |number: u64| {
        let mut root = [0; 32];
        root[..8].copy_from_slice(&number.to_le_bytes());
        KnownContent { root: Root::from_bytes(root), ..content.clone() }
    };
    for number in 0..=MAX_CONTENTS as u64 {
        let removed = state.begin(number, Some(known(number)), now).unwrap();
        assert_eq!(removed.contents.len(), usize::from(number == MAX_CONTENTS as u64));
    }
    assert_eq!(state.usage().contents, MAX_CONTENTS);
    assert!(!state.contains(0) && state.contains(1));
    for number in 1..=MAX_CONTENTS as u64 {
        state.pin(number).unwrap();
    }
    assert!(state.begin(0, Some(known(0)), now).is_none());
}

#[test]
fn what_is_on_its_way_makes_room_too() {
    let mut state = State::new(100);
    let now: Timestamp = START.parse().unwrap();
    state.begin(1, None, now).unwrap();
    for (segment, start) in [(10, 0), (11, 60)] {
        let removed = state.reserve(60, Some(1), None).unwrap();
        assert_eq!(removed.segments.len(), usize::from(start == 60));
        state.add_segment(segment, Segment::new(1, Kind::Chunks, Vec::new()));
        state.add_part(segment, Part::new(start, 60, &ChunkHash::of(b"")));
    }
    assert_eq!(state.usage().bytes, 60);
    // The segment that is written to does not go for its own next part.
    assert!(state.reserve(60, Some(1), Some(11)).is_none());
    assert!(state.reserve(101, Some(1), None).is_none());
    assert_eq!(state.usage().bytes, 60);
}

#[tokio::test]
async fn a_full_disk_stops_storing_until_there_is_room() {
    let (world, disk) = (World::new().await, SimulatedDisk::new(1, 500));
    let store = world.open(&disk, u64::MAX).await;
    let contents: Vec<_> = (1..=2).map(|number| Sealed::new(number, 1000)).collect();
    put_and_wait(&store, &contents[0]).await;
    assert!(!is_stored(&store, &contents[0]).await);
    disk.set_capacity(1 << 20);
    put_and_wait(&store, &contents[0]).await;
    assert!(is_stored(&store, &contents[0]).await);
    assert_eq!(store.usage().await.bytes, bytes_on(&disk));
}

#[tokio::test]
async fn a_disk_that_fails_anywhere_never_gives_wrong_bytes_or_too_many() {
    let contents: Vec<_> = (1..=3).map(|number| Sealed::new(number, 1000)).collect();
    let bound = 2 * contents[0].size();
    for failing in 0..24 {
        let (world, disk) = (World::new().await, SimulatedDisk::new(failing.into(), usize::MAX));
        let store = world.open(&disk, bound).await;
        disk.fail_in(failing);
        for content in &contents {
            put_and_wait(&store, content).await;
            assert!(bytes_on_failing(&disk) <= bound, "{failing}");
            is_stored(&store, content).await;
        }
        store.close().await;
        disk.heal();
        let store = world.open(&disk, bound).await;
        for content in &contents {
            is_stored(&store, content).await;
        }
        assert_eq!(store.usage().await.bytes, bytes_on(&disk), "{failing}");
        // After a start it takes everything again.
        put_and_wait(&store, &contents[0]).await;
        assert!(is_stored(&store, &contents[0]).await, "{failing}");
    }
}

/// As [`bytes_on`], while an operation may fail.
fn bytes_on_failing(disk: &SimulatedDisk) -> u64 {
    let names = disk.names().unwrap();
    names.iter().filter_map(|name| disk.open(name).ok()?.size().ok()).sum()
}

/// Random transfers, removals and pins, in the middle of which the power fails.
#[tokio::test]
async fn after_any_power_cut_what_is_answered_is_right_and_nothing_is_left_over() {
    let contents: Vec<_> = (1..=6).map(|number| Sealed::new(number, 300 * usize::from(number))).collect();
    let bound = 3000;
    let world = World::new().await;
    let (mut disk, mut chance) = (SimulatedDisk::new(7, usize::MAX), Chance::new(11));
    for round in 0..60 {
        let store = world.open(&disk, bound).await;
        // Every answer now is one from before the cut.
        for content in &contents {
            is_stored(&store, content).await;
        }
        let usage = store.usage().await;
        assert!(usage.bytes <= bound && usage.bytes == bytes_on(&disk), "{round}: {usage:?}");
        for _ in 0..chance.below(12) {
            let content = &contents[chance.below(6) as usize];
            match chance.below(8) {
                0 => store.remove(&content.known.root).await,
                1 => drop(store.pin(content.known.clone()).await),
                2 => store.unpin(&content.known.root).await,
                3 => drop(store.usage().await),
                _ => put(&store, content, 0..1),
            }
            if chance.below(3) == 0 {
                tokio::task::yield_now().await;
            }
        }
        disk = disk.cut();
        store.close().await;
    }
}

#[tokio::test]
async fn a_removed_content_does_not_come_back() {
    let (world, disk) = (World::new().await, simulated());
    let content = Sealed::new(1, 1000);
    let store = world.open(&disk, u64::MAX).await;
    put_and_wait(&store, &content).await;
    store.remove(&content.known.root).await;
    // The names of the files may come back, the records do not.
    let disk = disk.cut();
    store.close().await;
    let store = world.open(&disk, u64::MAX).await;
    assert!(!is_stored(&store, &content).await);
    assert_eq!(bytes_on(&disk), 0);
}

#[tokio::test]
async fn contents_of_files_that_are_gone_or_have_expired_are_removed() {
    let (world, disk) = (World::new().await, simulated());
    let store = world.open(&disk, u64::MAX).await;
    let mut contents: Vec<_> = (1..=3).map(|number| Sealed::new(number, 1000)).collect();
    contents[2].known.expires_at = world.clock.now().saturating_add(Duration::from_secs(60));
    for content in &contents {
        put_and_wait(&store, content).await;
    }
    let mut batch = Batch::new();
    batch.delete_object(collection::FILES, file_id(1).as_str());
    world.store.commit(batch).await.unwrap();
    world.clock.advance(Duration::from_secs(61));
    assert!(!is_stored(&store, &contents[2]).await, "expired, and not yet swept");
    store.sweep();
    assert_eq!((store.usage().await.contents, bytes_on(&disk)), (1, contents[1].size()));
    // A transfer that still goes on.
    put_and_wait(&store, &contents[0]).await;
    assert_eq!(store.usage().await.contents, 1);
    assert!(is_stored(&store, &contents[1]).await);
}

#[tokio::test(start_paused = true)]
async fn segments_are_flushed_and_contents_swept_without_being_asked() {
    let (world, disk) = (World::new().await, simulated());
    let store = world.open(&disk, u64::MAX).await;
    let mut content = Sealed::new(1, 1000);
    content.known.expires_at = world.clock.now().saturating_add(Duration::from_secs(60));
    put(&store, &content, 0..1);
    let is_committed = || records::segments(&world.store).unwrap().len() == 2;
    while !is_committed() {
        tokio::time::advance(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
    }
    world.clock.advance(Duration::from_secs(61));
    while !disk.names().unwrap().is_empty() {
        tokio::time::advance(Duration::from_secs(60)).await;
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_source_gives_the_chunks_that_were_sealed_and_the_tree() {
    let (world, disk) = (World::new().await, simulated());
    let content = Sealed::new(1, 2 * MIB + 5);
    let path = world.directory.path().join("source");
    fs::write(&path, &content.plain).unwrap();
    let mut store = world.open(&disk, u64::MAX).await;
    store.uploaded(content.uploaded(Some(Source::file(&path).unwrap())), None);
    for _ in 0..2 {
        assert_eq!(store.usage().await.bytes, 3 * 32);
        for index in [2, 0, 1] {
            assert!(
                store.chunk(&content.known.root, index, &ChunkBuffers::default()).await.unwrap()
                    == content.chunk(index),
                "{index}"
            );
        }
        assert_eq!(store.chunk(&content.known.root, 3, &ChunkBuffers::default()).await, None);
        let tree = content.known.layout.tree();
        assert_eq!(store.tree(&content.known.root, tree).await.as_deref(), Some(content.tree.as_bytes()));
        assert_eq!(store.tree(&content.known.root, 48..64).await, None);
        store.close().await;
        store = world.open(&disk, u64::MAX).await;
    }
    // A tree for which there is no room.
    store.close().await;
    let (world, disk) = (World::new().await, simulated());
    let store = world.open(&disk, 3 * 32 - 1).await;
    store.uploaded(content.uploaded(Some(Source::file(&path).unwrap())), None);
    assert_eq!(store.usage().await.contents, 0);
}

#[derive(Debug, Clone)]
enum Operation {
    Put(usize),
    Read(usize),
    Remove(usize),
    Pin(usize),
    Unpin(usize),
    Restart,
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let content = || 0..6usize;
    let operation = prop_oneof![
        4 => content().prop_map(Operation::Put),
        3 => content().prop_map(Operation::Read),
        1 => content().prop_map(Operation::Remove),
        1 => content().prop_map(Operation::Pin),
        1 => content().prop_map(Operation::Unpin),
        1 => Just(Operation::Restart),
    ];
    proptest::collection::vec(operation, 1..25)
}

/// What must be true of a content, whatever made room for what.
#[derive(Default, Clone, Copy)]
struct Expected {
    may_be_stored: bool,
    is_pinned: bool,
    /// Stored since it was pinned.
    must_be_stored: bool,
}

async fn check(operations: Vec<Operation>) {
    let contents: Vec<_> = (1..=6).map(|number| Sealed::new(number, 300 * usize::from(number))).collect();
    let (world, disk, bound) = (World::new().await, simulated(), 3000);
    let mut store = world.open(&disk, bound).await;
    let mut expected: HashMap<usize, Expected> = HashMap::new();
    for operation in operations {
        match operation {
            Operation::Put(number) => {
                put_and_wait(&store, &contents[number]).await;
                let content = expected.entry(number).or_default();
                content.may_be_stored = true;
                content.must_be_stored |= content.is_pinned && is_stored(&store, &contents[number]).await;
            }
            Operation::Read(number) => {
                let content = expected.entry(number).or_default();
                let is_stored = is_stored(&store, &contents[number]).await;
                assert!(content.may_be_stored || !is_stored);
                assert!(is_stored || !content.must_be_stored);
            }
            Operation::Remove(number) => {
                store.remove(&contents[number].known.root).await;
                expected.remove(&number);
            }
            Operation::Pin(number) => {
                let needed = contents.iter().enumerate().filter(|(other, _)| {
                    *other == number || expected.get(other).is_some_and(|content| content.is_pinned)
                });
                let fits = needed.map(|(_, content)| content.size()).sum::<u64>() <= bound;
                assert_eq!(store.pin(contents[number].known.clone()).await.is_ok(), fits);
                let content = expected.entry(number).or_default();
                content.is_pinned |= fits;
                content.must_be_stored = content.is_pinned && is_stored(&store, &contents[number]).await;
            }
            Operation::Unpin(number) => {
                store.unpin(&contents[number].known.root).await;
                let content = expected.entry(number).or_default();
                (content.is_pinned, content.must_be_stored) = (false, false);
            }
            Operation::Restart => {
                store.close().await;
                store = world.open(&disk, bound).await;
            }
        }
        let usage = store.usage().await;
        assert!(usage.bytes <= bound && usage.bytes == bytes_on(&disk));
        assert_eq!(usage.pinned, expected.values().filter(|content| content.is_pinned).count());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn random_operations_keep_what_a_model_says(operations in operations()) {
        tokio::runtime::Runtime::new().unwrap().block_on(check(operations));
    }
}
