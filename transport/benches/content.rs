//! Throughput of format `v2` beside its cipher and its hash: `cargo bench -p enlace-transport --bench content`.
//!
//! All of one run: to seal and hash takes the time of both, but what counts is how near it comes to the slower one alone.
#![allow(clippy::unwrap_used, missing_docs)] // in a benchmark, a panic is the failure, and there is no public API

use chacha20poly1305::aead::AeadInOut as _;
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use transport::content::manifest::{Entry, EntryKind, Manifest, RelativePath};
use transport::content::{
    CHUNK_LENGTH, ChunkHash, ChunkPlace, ContentKey, Layout, Opener, Sealer, TreeBuilder, Verifier, chunk_buffer,
};
use transport::crypto::SecretKey;

const THREADS: [usize; 2] = [1, 2];
const CHUNKS: u64 = 16;
const LENGTH: u64 = CHUNKS * CHUNK_LENGTH;

fn main() {
    divan::main();
}

fn file_key() -> SecretKey {
    SecretKey::from_bytes([7; 32])
}

/// Calls `work` with the number of each chunk and a buffer per thread, threads taking turns.
fn on_threads(threads: usize, work: impl Fn(u64, &mut Vec<u8>) + Sync) {
    std::thread::scope(|scope| {
        for first in 0..threads as u64 {
            let work = &work;
            scope.spawn(move || {
                let mut buffer = chunk_buffer();
                (first..CHUNKS).step_by(threads).for_each(|index| work(index, &mut buffer));
            });
        }
    });
}

fn fill(buffer: &mut Vec<u8>) {
    buffer.resize(CHUNK_LENGTH as usize, 7);
}

#[divan::bench(args = THREADS)]
fn aead_alone(bencher: Bencher, threads: usize) {
    let cipher = XChaCha20Poly1305::new(&[7; 32].into());
    bencher.counter(BytesCount::new(LENGTH)).bench(|| {
        on_threads(threads, |index, buffer| {
            fill(buffer);
            let mut nonce = [0; 24];
            nonce[..8].copy_from_slice(&index.to_le_bytes());
            black_box(cipher.encrypt_inout_detached(&nonce.into(), &[], buffer.as_mut_slice().into()).unwrap());
        });
    });
}

#[divan::bench(args = THREADS)]
fn blake3_alone(bencher: Bencher, threads: usize) {
    bencher.counter(BytesCount::new(LENGTH)).bench(|| {
        on_threads(threads, |_, buffer| {
            fill(buffer);
            black_box(ChunkHash::of(buffer));
        });
    });
}

#[divan::bench(args = THREADS)]
fn seal_and_hash(bencher: Bencher, threads: usize) {
    let key = ContentKey::new(&file_key());
    bencher.counter(BytesCount::new(LENGTH)).bench(|| {
        on_threads(threads, |index, buffer| {
            fill(buffer);
            black_box(key.seal_chunk(ChunkPlace { index, is_last: false }, buffer).unwrap());
        });
    });
}

/// Includes a copy of each chunk, which stands for receiving it.
#[divan::bench(args = THREADS)]
fn open_and_verify(bencher: Bencher, threads: usize) {
    let (opener, chunks) = sealed();
    bencher.counter(BytesCount::new(LENGTH)).bench(|| {
        on_threads(threads, |index, buffer| {
            buffer.clone_from(&chunks[index as usize]);
            opener.open_chunk(index, buffer).unwrap();
            black_box(buffer);
        });
    });
}

fn sealed() -> (Opener, Vec<Vec<u8>>) {
    let (mut blob, key) = (Vec::new(), file_key());
    let mut sealer = Sealer::new(&key, &mut blob);
    sealer.push(&vec![7; LENGTH as usize], &mut blob).unwrap();
    let tree = sealer.finish(&mut blob).unwrap();
    let part = |range: std::ops::Range<u64>| blob[range.start as usize..range.end as usize].to_vec();
    let layout = *tree.layout();
    let verifier = Verifier::new(tree.root(), layout, &part(0..48), &part(layout.top())).unwrap();
    let chunks = (0..CHUNKS).map(|index| part(layout.sealed_chunk(index).unwrap())).collect();
    (Opener::new(&key, verifier).unwrap(), chunks)
}

/// 64 KiB somewhere in a content, without what is fetched once for it: its chunk and the two nodes above.
#[divan::bench(args = [1, 10, 100])]
fn open_64_kib_of_gib(bencher: Bencher, gib: u64) {
    let layout = Layout::of(gib << 30).unwrap();
    let index = layout.chunk_count() / 2;
    let (key, mut chunk, mut hashes) = (ContentKey::new(&file_key()), chunk_buffer(), TreeBuilder::new());
    fill(&mut chunk);
    let hash = key.seal_chunk(layout.place(index).unwrap(), &mut chunk).unwrap();
    (0..layout.chunk_count())
        .for_each(|at| hashes.push(&if at == index { hash } else { ChunkHash::from_bytes([7; 32]) }));
    let tree = hashes.finish(key.header(), &layout).unwrap();
    let start = layout.tree().start;
    let part =
        |range: &std::ops::Range<u64>| &tree.as_bytes()[(range.start - start) as usize..(range.end - start) as usize];
    bencher.with_inputs(|| chunk.clone()).bench_values(|mut chunk| {
        let verifier = Verifier::new(tree.root(), layout, key.header().as_bytes(), part(&layout.top())).unwrap();
        let mut opener = Opener::new(&file_key(), verifier).unwrap();
        for missing in opener.verifier().missing(&(index..index + 1)).unwrap() {
            opener.verifier_mut().add(&missing, part(&missing.blob)).unwrap();
        }
        opener.open_chunk(index, &mut chunk).unwrap();
        chunk
    });
}

fn manifest() -> Manifest {
    let entry = |index: u64| Entry {
        path: RelativePath::new(format!("folder {:02}/file {index:05}.txt", index % 100)).unwrap(),
        kind: EntryKind::File { size: index },
        mode: Some(0o644),
        modified_at: None,
    };
    Manifest::new((0..100_000).map(entry).collect()).unwrap()
}

#[divan::bench(max_time = 2)]
fn read_manifest_of_100_000(bencher: Bencher) {
    let manifest = manifest();
    let (bytes, length) = (manifest.encode(), manifest.content_length());
    bencher.bench(|| Manifest::decode(black_box(&bytes), length).unwrap());
}
