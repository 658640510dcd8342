//! What a client of `/v1` waits for: a range somewhere in a large file, and a token, over loopback, backbone included.
//!
//! ```text
//! cargo bench -p enlace-api --bench storage
//! ENLACE_RANGE_MIB=100,10240 cargo bench -p enlace-api --bench storage    # needs 20 GiB in TMPDIR
//! ```
#![allow(clippy::unwrap_used, reason = "a bench that fails should stop")]

use api::{ApiConfig, ApiKeys, Server};
use backbone_mock::Backbone;
use bytes::Bytes;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use http::{StatusCode, header};
use reqwest::multipart::{Form, Part};
use reqwest::{Client, RequestBuilder};
use runtime::storage::{PART_LENGTH, parts_of};
use runtime::{BackboneConfig, Config, Runtime, Secret, StorageConfig};
use serde_json::{Value, json};
use tempfile::TempDir;

const KEY: &str = "This_is_a_test_APIKEY_with_30_chars+";
/// Bytes of a range.
const RANGE: u64 = 64 * 1024;
/// Tokens that are created one after the other.
const TOKENS: usize = 50;
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

/// A node with a bucket, at a backbone that it reaches over loopback.
struct Node {
    tokio: tokio::runtime::Runtime,
    client: Client,
    base: String,
    /// The files of the bucket.
    files: String,
    _running: (Backbone, Server, TempDir),
}

impl Node {
    fn new() -> Self {
        let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (client, base, running) = tokio.block_on(Self::start());
        let files = format!("{base}/v1/storage/buckets/bench/files");
        Self { tokio, client, base, files, _running: running }
    }

    async fn start() -> (Client, String, (Backbone, Server, TempDir)) {
        // The client is built without a provider of its own; that another one is installed already is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let config = backbone_mock::Config::new(directory.path().join("backbone")).with_client("bench", "bench");
        let backbone = Backbone::start(config).await.unwrap();
        let at = BackboneConfig::new(backbone.url(), "bench", Secret::new("bench"));
        let storage =
            StorageConfig { max_file_size: 1 << 40, max_unfinished_bytes: 1 << 40, ..StorageConfig::default() };
        let config = Config { storage, ..Config::new(directory.path().join("node"), at) };
        let runtime = Runtime::builder(config).start().await.unwrap();
        let config = ApiConfig::new(ApiKeys::single(&Secret::new(KEY)).unwrap());
        let server = Server::start("127.0.0.1:0".parse().unwrap(), runtime, config).await.unwrap();
        let (client, base) = (Client::new(), server.url());
        let bucket =
            client.post(format!("{base}/v1/storage/buckets")).json(&json!({"bucketId": "bench", "name": "Bench"}));
        with_key(bucket).send().await.unwrap().error_for_status().unwrap();
        (client, base, (backbone, server, directory))
    }

    /// Uploads a file in parts.
    async fn upload(&self, id: &str, length: u64) {
        let part = Bytes::from(vec![7; usize::try_from(PART_LENGTH).unwrap()]);
        for index in 0..parts_of(length) {
            let (start, end) = (index * PART_LENGTH, length.min((index + 1) * PART_LENGTH));
            let content = part.slice(..usize::try_from(end - start).unwrap());
            let file = Part::stream(reqwest::Body::from(content)).file_name("large.bin");
            let form = Form::new().text("fileId", id.to_owned()).part("file", file);
            let range = format!("bytes {start}-{}/{length}", end - 1);
            let request = self.client.post(&self.files).header(header::CONTENT_RANGE, range).multipart(form);
            with_key(request).send().await.unwrap().error_for_status().unwrap();
        }
    }

    async fn range(&self, id: &str, start: u64) -> usize {
        let range = format!("bytes={start}-{}", start + RANGE - 1);
        let request = self.client.get(format!("{}/{id}/view", self.files)).header(header::RANGE, range);
        let answer = with_key(request).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
        answer.bytes().await.unwrap().len()
    }
}

/// With the keys of all faces.
fn with_key(request: RequestBuilder) -> RequestBuilder {
    request.header("x-appwrite-project", "enlace").header("x-appwrite-key", KEY).header("x-api-key", KEY)
}

/// A token of `/v1` is a record of the node; one of a connector is sealed and goes to a backbone.
#[divan::bench(args = ["v1", "connector"], sample_count = 10, sample_size = 1)]
fn create_tokens_by(bencher: Bencher, face: &str) {
    let node = Node::new();
    let url = node.tokio.block_on(async {
        node.upload("small", 1000).await;
        let files = with_key(node.client.get(format!("{}/api/core/v1/Files", node.base))).send().await.unwrap();
        let files: Value = files.json().await.unwrap();
        match face {
            "v1" => format!("{}/v1/tokens/buckets/bench/files/small", node.base),
            _ => format!("{}/api/core/v1/Files/{}/Token", node.base, files["result"][0]["id"].as_str().unwrap()),
        }
    });
    bencher.counter(ItemsCount::new(TOKENS)).bench_local(|| {
        node.tokio.block_on(async {
            for _ in 0..TOKENS {
                let request = with_key(node.client.post(&url).json(&json!({})));
                request.send().await.unwrap().error_for_status().unwrap().bytes().await.unwrap();
            }
        });
    });
}

/// Nothing of the file is kept by the node: each range is fetched from the backbone, verified and opened.
#[divan::bench(args = lengths(), max_time = 5)]
fn view_64_kib_of_a_file_of_mib(bencher: Bencher, mib: u64) {
    let (node, length) = (Node::new(), mib << 20);
    node.tokio.block_on(node.upload("large", length));
    // Places that are spread over the file, and the same in each run.
    let mut state = 1u64;
    bencher.counter(BytesCount::new(RANGE)).bench_local(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let start = (state >> 16) % (length - RANGE + 1);
        assert_eq!(node.tokio.block_on(node.range("large", start)) as u64, RANGE);
    });
}
