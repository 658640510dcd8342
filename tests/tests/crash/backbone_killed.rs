//! The backbone's process is killed while nodes upload and share.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use enlace_tests::{Line, Node, Process, World, http};
use futures_util::future::join_all;
use runtime::dto::{File, Token};
use runtime::facade::CreateTokenForFile;
use runtime::{BackboneConfig, Config, Secret};
use serde_json::Value;
use tokio::sync::Semaphore;
use transport::crypto::hash::sha512;
use transport::wire::bytes::to_base64url;

use crate::chance::Chance;
use crate::{content, rounds};

/// Requests in flight.
const WORKERS: usize = 12;

struct Shared {
    number: u64,
    file: File,
    token: Option<Token>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_backbone_keeps_everything_it_acknowledged() {
    let world = World::new();
    let data = world.directory("backbone");
    let line = Line::new().await;
    let mut server = start(&line, &data, "127.0.0.1:0").await;
    let address = line.far_end().unwrap().to_string();
    let config = |name| {
        let backbone = BackboneConfig::new(line.url(), "test", Secret::new("a-secret-for-tests"));
        Config::new(world.directory(name), backbone)
    };
    let alice = Arc::new(Node::start(config("alice"), world.clock().clone()).await.unwrap());
    let bob = Node::start(config("bob"), world.clock().clone()).await.unwrap();
    let mut chance = Chance::new();
    let (next, progress) = (Arc::new(AtomicU64::new(0)), Arc::new(Semaphore::new(0)));
    let mut acknowledged: Vec<Shared> = Vec::new();
    let mut whole = HashSet::new();
    for round in 0..rounds() {
        line.forget();
        let load: Vec<_> =
            (0..WORKERS).map(|_| tokio::spawn(work(alice.clone(), next.clone(), progress.clone()))).collect();
        chance.right_moment(&progress).await;
        server.kill();
        let mut fresh = Vec::new();
        for worker in load {
            fresh.extend(worker.await.unwrap());
        }
        server = start(&line, &data, &address).await;
        println!("round {round}: {} acknowledged", fresh.len());
        let checks = fresh.iter().chain(chance.some(&acknowledged, 5)).map(|shared| is_there(&bob, shared));
        join_all(checks).await;
        whole.extend(fresh.iter().map(|shared| shared.file.id.to_string()));
        nothing_half_written(&line, &alice, &mut whole).await;
        acknowledged.extend(fresh);
    }
    assert!(!acknowledged.is_empty(), "the load was never acknowledged, so nothing was tested");
    server.kill();
}

async fn start(line: &Line, data: &Path, listen: &str) -> Process {
    let arguments = ["backbone", "--json", "--listen", listen, "--did-domain-name", "localhost"];
    let client = ["--client", "test:a-secret-for-tests", "--data-dir", data.to_str().unwrap()];
    let process = Process::start(arguments.into_iter().chain(client)).await.expect("a killed backbone starts again");
    let url = process.announcement["url"].as_str().expect("its URL");
    let port = url.rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap();
    line.lead_to(([127, 0, 0, 1], port).into());
    process
}

/// Uploads and shares until the backbone is gone.
async fn work(alice: Arc<Node>, next: Arc<AtomicU64>, progress: Arc<Semaphore>) -> Vec<Shared> {
    let mut acknowledged = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Ok(file) = alice.upload(&format!("file-{number}"), &content(number)).await else { return acknowledged };
        let ephemeral = CreateTokenForFile { ephemeral: true, ..CreateTokenForFile::default() };
        let token = alice.share_as(&file, ephemeral).await.ok();
        let gone = token.is_none();
        progress.add_permits(1);
        acknowledged.push(Shared { number, file, token });
        if gone {
            return acknowledged;
        }
    }
}

async fn is_there(bob: &Node, shared: &Shared) {
    let reference = shared.token.as_ref().map_or(&shared.file.reference.url, |token| &token.reference.url);
    let file = bob.receive(reference).await.unwrap_or_else(|error| panic!("{} is lost: {error}", shared.file.filename));
    assert_eq!((&file.id, &file.filename), (&shared.file.id, &shared.file.filename));
    assert!(bob.download(&file.id).await.unwrap() == content(shared.number), "{} is torn", file.filename);
}

/// Whatever the backbone lists, acknowledged or not, is whole. What is known to be is not looked at again.
async fn nothing_half_written(line: &Line, alice: &Node, whole: &mut HashSet<String>) {
    // A call of alice's own shows a login that is good after the restart.
    alice.runtime().account().sync_datawallet().await.unwrap();
    let login = line.recording().into_iter().rev().find_map(|e| e.headers.get("authorization").cloned()).unwrap();
    let client = http();
    let get = |path: String| client.get(line.url() + &path).header("authorization", login.clone()).send();
    for page in 1.. {
        let list = get(format!("/api/v2/Files?pageSize=200&pageNumber={page}")).await.unwrap();
        let list: Value = list.json().await.unwrap();
        for record in list["result"].as_array().unwrap() {
            let id = record["id"].as_str().unwrap();
            if whole.insert(id.to_owned()) {
                let answer = get(format!("/api/v2/Files/{id}")).await.unwrap();
                assert_eq!(answer.status(), 200, "{id} is listed but has no bytes");
                let bytes = answer.bytes().await.unwrap();
                assert_eq!(record["cipherSize"], bytes.len(), "{id} has another length than its record says");
                assert_eq!(record["cipherHash"], to_base64url(&sha512(&bytes)), "{id} has other bytes");
            }
        }
        if page >= list["pagination"]["totalPages"].as_u64().unwrap_or(1) {
            return;
        }
    }
}
