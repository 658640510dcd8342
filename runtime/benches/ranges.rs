//! A range somewhere in a large file: what it takes must not depend on the length of the file.
//!
//! ```text
//! cargo bench -p enlace-runtime --bench ranges
//! ENLACE_RANGE_MIB=100,10240 cargo bench -p enlace-runtime --bench ranges    # needs 10 GiB in TMPDIR
//! ```
#![allow(clippy::unwrap_used, reason = "a benchmark that fails should stop")]

mod world;

use std::io::SeekFrom;
use std::ops::Range;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use runtime::FileId;
use runtime::facade::{ContentFormat, UploadOwnFile};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use world::World;

/// Bytes of a range.
const RANGE: u64 = 64 * 1024;
/// Lengths of files in MiB, unless `ENLACE_RANGE_MIB` names others.
const LENGTHS: [u64; 2] = [100, 1024];

fn main() {
    divan::main();
}

fn lengths() -> Vec<u64> {
    match std::env::var("ENLACE_RANGE_MIB") {
        Ok(text) => text.split(',').map(|mib| mib.parse().unwrap()).collect(),
        Err(_) => LENGTHS.to_vec(),
    }
}

/// A node with one file of format v2.
struct Large {
    world: World,
    file: FileId,
    length: u64,
}

impl Large {
    fn new(mib: u64) -> Self {
        let (world, length) = (World::start(), mib << 20);
        let (name, kind) = ("large.bin".parse().unwrap(), "application/octet-stream".parse().unwrap());
        let upload = UploadOwnFile::new(tokio::io::repeat(7).take(length), name, kind);
        let upload = UploadOwnFile { format: ContentFormat::V2, ..upload };
        let file = world.executor.block_on(world.node.files().upload_own_file(upload)).unwrap().id;
        Self { world, file, length }
    }

    /// Places that are spread over the file, and the same in each run.
    fn places(&self) -> impl FnMut() -> Range<u64> + use<> {
        let (mut state, last) = (1u64, self.length - RANGE);
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let start = (state >> 16) % (last + 1);
            start..start + RANGE
        }
    }
}

/// Nothing is known of the file but its record.
#[divan::bench(args = lengths(), max_time = 5)]
fn read_range_of_mib(bencher: Bencher, mib: u64) {
    let large = Large::new(mib);
    let (world, mut places) = (&large.world, large.places());
    let mut bytes = Vec::new();
    bencher.counter(BytesCount::new(RANGE)).bench_local(|| {
        world.executor.block_on(async {
            bytes.clear();
            let content = world.node.files().read_range(&large.file, places()).await.unwrap().content;
            content.into_reader().read_to_end(&mut bytes).await.unwrap();
            assert_eq!(black_box(&bytes).len() as u64, RANGE);
        });
    });
}

/// Jumps in an open file, which keeps what it knows of the file's hashes.
#[divan::bench(args = lengths(), max_time = 5)]
fn seek_in_open_file_of_mib(bencher: Bencher, mib: u64) {
    let large = Large::new(mib);
    let (world, mut places) = (&large.world, large.places());
    let mut bytes = vec![0; RANGE as usize];
    let mut reader = world.executor.block_on(world.node.files().open_file(&large.file)).unwrap();
    bencher.counter(BytesCount::new(RANGE)).bench_local(|| {
        world.executor.block_on(async {
            reader.seek(SeekFrom::Start(places().start)).await.unwrap();
            reader.read_exact(&mut bytes).await.unwrap();
            black_box(&bytes);
        });
    });
}
