//! Speed of a node against a backbone in the same process, and of lists.
//!
//! ```text
//! cargo bench -p enlace-runtime
//! ```
#![allow(clippy::unwrap_used, reason = "a benchmark that fails should stop")]

use std::path::Path;
use std::time::Duration;

use backbone_mock::Backbone;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use futures_util::future::join_all;
use runtime::facade::{ContentFormat, CreateTokenForFile, Ownership, UploadOwnFile};
use runtime::source::Source;
use runtime::testing::remember_tokens;
use runtime::{BackboneConfig, Config, ContentStoreConfig, FileId, Runtime, Secret};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;

/// Bytes of a chunk of format `v2`.
const CHUNK: u64 = 1 << 20;
/// Chunks of the file from which one is read.
const CHUNKS: u64 = 16;
/// Tokens in the store that is listed.
const LISTED: u64 = 100_000;

fn main() {
    divan::main();
}

/// A node with one file, and all it needs.
struct World {
    executor: tokio::runtime::Runtime,
    node: Runtime,
    file: FileId,
    _backbone: Backbone,
    _directory: TempDir,
}

impl World {
    fn new() -> Self {
        Self::with(None, |_| upload())
    }

    /// Uploads what `upload` makes in a directory.
    fn with(store: Option<ContentStoreConfig>, upload: impl FnOnce(&Path) -> UploadOwnFile) -> Self {
        let executor = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (backbone, node, file) = executor.block_on(async {
            let settings = backbone_mock::Config::new(directory.path().join("backbone")).with_client("bench", "secret");
            let backbone = Backbone::start(settings).await.unwrap();
            let settings = BackboneConfig::new(backbone.url(), "bench", Secret::new("secret"));
            let mut config = Config::new(directory.path().join("node"), settings);
            config.datawallet_enabled = false;
            config.content_store = store;
            let node = Runtime::builder(config).start().await.unwrap();
            let file = node.files().upload_own_file(upload(directory.path())).await.unwrap().id;
            node.content_store().usage().await;
            (backbone, node, file)
        });
        Self { executor, node, file, _backbone: backbone, _directory: directory }
    }

    async fn create_token(&self, ephemeral: bool) {
        let request = CreateTokenForFile { ephemeral, ..CreateTokenForFile::default() };
        black_box(self.node.files().create_token_for_file(&self.file, request).await.unwrap());
    }
}

/// Where the chunk comes from that a benchmark reads.
#[derive(Debug, Clone, Copy)]
enum From {
    Backbone,
    Store,
    /// A file of this machine, sealed again.
    Source,
}

impl From {
    fn world(self) -> World {
        let store = match self {
            Self::Backbone => None,
            Self::Store | Self::Source => Some(ContentStoreConfig::default()),
        };
        World::with(store, |directory| {
            let content = vec![7; (CHUNKS * CHUNK) as usize];
            let (name, kind) = ("bench.bin".parse().unwrap(), "text/plain".parse().unwrap());
            let upload = match self {
                Self::Source => {
                    let path = directory.join("shared");
                    std::fs::write(&path, content).unwrap();
                    UploadOwnFile::from_source(Source::file(path).unwrap(), name, kind)
                }
                Self::Backbone | Self::Store => UploadOwnFile::new(std::io::Cursor::new(content), name, kind),
            };
            UploadOwnFile { format: ContentFormat::V2, ..upload }
        })
    }
}

/// One chunk, verified and opened.
#[divan::bench(args = [From::Backbone, From::Store, From::Source], max_time = 3)]
fn read_a_chunk(bencher: Bencher, from: From) {
    let world = from.world();
    let mut next = 0;
    bencher.counter(BytesCount::new(CHUNK)).bench_local(|| {
        let start = next % CHUNKS * CHUNK;
        next += 1;
        world.executor.block_on(async {
            let part = world.node.files().read_range(&world.file, start..start + CHUNK).await.unwrap();
            let mut bytes = Vec::with_capacity(CHUNK as usize);
            part.content.into_reader().read_to_end(&mut bytes).await.unwrap();
            black_box(bytes)
        });
    });
}

fn upload() -> UploadOwnFile {
    UploadOwnFile::new(&b"content"[..], "bench.txt".parse().unwrap(), "text/plain".parse().unwrap())
}

#[divan::bench(args = [1, 16], max_time = 5)]
fn create_token_through_the_backbone(bencher: Bencher, simultaneous: usize) {
    let world = World::new();
    bencher.counter(ItemsCount::new(simultaneous)).bench_local(|| {
        world.executor.block_on(join_all((0..simultaneous).map(|_| world.create_token(false))));
    });
}

#[divan::bench(args = [1, 16], max_time = 5)]
fn create_ephemeral_token_through_the_backbone(bencher: Bencher, simultaneous: usize) {
    let world = World::new();
    bencher.counter(ItemsCount::new(simultaneous)).bench_local(|| {
        world.executor.block_on(join_all((0..simultaneous).map(|_| world.create_token(true))));
    });
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn list_with_a_filter_over_100_000_tokens(bencher: Bencher) {
    let world = World::new();
    let now = world.node.clock().now();
    let tokens = world.node.tokens();
    let remembered = (0..LISTED).map(|number| {
        let expires_at = now.saturating_add(Duration::from_secs(1000 + number));
        (json!({"name": format!("token {number}")}), expires_at)
    });
    world.executor.block_on(remember_tokens(&world.node, remembered)).unwrap();
    let soon = now.saturating_add(Duration::from_secs(1100));
    let filter = [("expiresAt".to_owned(), format!("<{soon}"))];
    bencher.bench_local(|| {
        let list = tokens.tokens(Ownership::Own, &filter).unwrap();
        let found = world.executor.block_on(list.collect()).unwrap();
        assert_eq!(found.len(), 100);
    });
}
