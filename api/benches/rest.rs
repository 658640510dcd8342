//! What a client of the REST interface waits for: tokens, lists, uploads and downloads over loopback, backbone included.
//!
//! `cargo bench -p enlace-api --bench rest`
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench; the macros make items of their own")]

use std::sync::OnceLock;

use api::{ApiConfig, ApiKeys, Server};
use backbone_mock::Backbone;
use divan::{Bencher, counter::BytesCount, counter::ItemsCount};
use reqwest::multipart::{Form, Part};
use runtime::testing::remember_tokens;
use runtime::{BackboneConfig, Config, Runtime, Secret, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

const KEY: &str = "This_is_a_test_APIKEY_with_30_chars+";
const MEBIBYTE: usize = 1024 * 1024;
/// Tokens that one client creates in one round.
const TOKENS: usize = 50;

fn main() {
    divan::main();
}

/// One backbone and one node for all benches; they live as long as the process.
struct Node {
    tokio: tokio::runtime::Runtime,
    client: reqwest::Client,
    base: String,
    file: String,
    _running: (Backbone, Server, TempDir, TempDir),
}

impl Node {
    fn get() -> &'static Self {
        static NODE: OnceLock<Node> = OnceLock::new();
        NODE.get_or_init(|| {
            let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            let (client, base, file, running, _) = tokio.block_on(Self::start());
            Self { tokio, client, base, file, _running: running }
        })
    }

    /// A node of its own that remembers this many tokens.
    fn with_tokens(count: usize) -> Self {
        let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (client, base, file, running, runtime) = tokio.block_on(Self::start());
        let expires_at = Timestamp::NEVER;
        let tokens = (0..count).map(|number| (json!({ "name": format!("token {number}") }), expires_at));
        tokio.block_on(remember_tokens(&runtime, tokens)).unwrap();
        Self { tokio, client, base, file, _running: running }
    }

    async fn start() -> (reqwest::Client, String, String, (Backbone, Server, TempDir, TempDir), Runtime) {
        // The client is built without a provider of its own; that another one is installed already is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (backbone_dir, data_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let config = backbone_mock::Config::new(backbone_dir.path()).with_client("bench", "bench");
        let backbone = Backbone::start(config).await.unwrap();
        let config = Config::new(
            data_dir.path().join("node"),
            BackboneConfig::new(backbone.url(), "bench", Secret::new("bench")),
        );
        let runtime = Runtime::builder(config).start().await.unwrap();
        let config = ApiConfig::new(ApiKeys::single(&Secret::new(KEY)).unwrap());
        let server = Server::start("127.0.0.1:0".parse().unwrap(), runtime.clone(), config).await.unwrap();
        let (client, base) = (reqwest::Client::new(), format!("{}/api/core/v1", server.url()));
        let file = upload(&client, &base, 1000).await;
        (client, base, file, (backbone, server, backbone_dir, data_dir), runtime)
    }

    fn file_of(&self, length: usize) -> String {
        self.tokio.block_on(upload(&self.client, &self.base, length))
    }
}

async fn upload(client: &reqwest::Client, base: &str, length: usize) -> String {
    let form = Form::new().part("file", Part::bytes(vec![7; length]).file_name("data.bin"));
    let request = client.post(format!("{base}/Files/Own")).header("x-api-key", KEY).multipart(form);
    let answer: Value = request.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
    answer["result"]["id"].as_str().unwrap().to_owned()
}

async fn create_tokens(node: &'static Node, count: usize) {
    let url = format!("{}/Files/{}/Token", node.base, node.file);
    for _ in 0..count {
        let request = node.client.post(&url).header("x-api-key", KEY).json(&json!({}));
        request.send().await.unwrap().error_for_status().unwrap().bytes().await.unwrap();
    }
}

#[divan::bench(args = [1, 16], sample_count = 10, sample_size = 1)]
fn create_token_for_file(bencher: Bencher, clients: usize) {
    let node = Node::get();
    bencher.counter(ItemsCount::new(clients * TOKENS)).bench(|| {
        node.tokio.block_on(async {
            let tasks: Vec<_> = (0..clients).map(|_| tokio::spawn(create_tokens(node, TOKENS))).collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    });
}

/// Bytes of the answer until it ends, or until its first chunk if `only_first`.
async fn list(node: &Node, query: &str, only_first: bool) -> usize {
    let request = node.client.get(format!("{}/Tokens/Own{query}", node.base)).header("x-api-key", KEY);
    let mut answer = request.send().await.unwrap().error_for_status().unwrap();
    let mut bytes = 0;
    while let Some(chunk) = answer.chunk().await.unwrap() {
        bytes += chunk.len();
        if only_first {
            break;
        }
    }
    bytes
}

#[divan::bench(args = [1000, 10_000, 100_000], sample_count = 20, sample_size = 1)]
fn list_tokens(bencher: Bencher, count: usize) {
    let node = Node::with_tokens(count);
    bencher.counter(ItemsCount::new(count)).bench_local(|| node.tokio.block_on(list(&node, "", false)));
}

#[divan::bench(args = [100_000], sample_count = 20, sample_size = 1)]
fn first_chunk_of_a_list(bencher: Bencher, count: usize) {
    let node = Node::with_tokens(count);
    bencher.bench_local(|| node.tokio.block_on(list(&node, "", true)));
}

#[divan::bench(args = [100_000], sample_count = 20, sample_size = 1)]
fn list_without_a_match(bencher: Bencher, count: usize) {
    let node = Node::with_tokens(count);
    bencher.bench_local(|| node.tokio.block_on(list(&node, "?createdBy=nobody", false)));
}

#[divan::bench(args = [MEBIBYTE, 10 * MEBIBYTE], sample_count = 10, sample_size = 1)]
fn upload_file(bencher: Bencher, length: usize) {
    let node = Node::get();
    bencher.counter(BytesCount::new(length)).bench(|| node.file_of(length));
}

#[divan::bench(args = [MEBIBYTE, 10 * MEBIBYTE], sample_count = 10, sample_size = 1)]
fn download_file(bencher: Bencher, length: usize) {
    let node = Node::get();
    let url = format!("{}/Files/{}/Download", node.base, node.file_of(length));
    bencher.counter(BytesCount::new(length)).bench(|| {
        node.tokio.block_on(async {
            let answer = node.client.get(&url).header("x-api-key", KEY).send().await.unwrap();
            assert_eq!(answer.error_for_status().unwrap().bytes().await.unwrap().len(), length);
        });
    });
}
