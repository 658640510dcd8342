//! The node's process is killed while its REST API is used.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use enlace_tests::{Process, Rest, World};
use futures_util::future::join_all;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::chance::Chance;
use crate::{content, rounds};

/// Requests in flight.
const WORKERS: usize = 12;

/// What was acknowledged: the answers.
struct Acknowledged {
    number: u64,
    file: Value,
    token: Option<Value>,
}

async fn result(request: RequestBuilder) -> Option<Value> {
    let answer = request.send().await.ok()?.error_for_status().ok()?;
    Some(answer.json::<Value>().await.ok()?["result"].take())
}

async fn upload(rest: &Rest, number: u64) -> Option<Value> {
    result(rest.upload(&format!("file-{number}"), content(number))).await
}

async fn share(rest: &Rest, file: &Value) -> Option<Value> {
    let path = format!("Files/{}/Token", file["id"].as_str()?);
    result(rest.post(&path).json(&json!({"ephemeral": false}))).await
}

async fn download(rest: &Rest, id: &str) -> Vec<u8> {
    let answer = rest.get(&format!("Files/{id}/Download")).send().await.unwrap();
    let status = answer.status();
    let bytes = answer.bytes().await.unwrap();
    assert_eq!(status, 200, "{id}: {}", String::from_utf8_lossy(&bytes));
    bytes.to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_keeps_everything_it_acknowledged() {
    let world = World::new();
    let backbone = world.backbone().await;
    let data = world.directory("node");
    let mut node = start(&data, &backbone.line().url()).await;
    let identity = node.announcement["identity"].clone();
    let mut chance = Chance::new();
    let (next, progress) = (Arc::new(AtomicU64::new(0)), Arc::new(Semaphore::new(0)));
    let mut acknowledged: Vec<Acknowledged> = Vec::new();
    let mut whole = HashSet::new();
    for round in 0..rounds() {
        backbone.line().forget();
        let rest = Rest::of(&node);
        let load: Vec<_> =
            (0..WORKERS).map(|_| tokio::spawn(work(rest.clone(), next.clone(), progress.clone()))).collect();
        chance.right_moment(&progress).await;
        node.kill();
        let mut fresh = Vec::new();
        for worker in load {
            fresh.extend(worker.await.unwrap());
        }
        node = start(&data, &backbone.line().url()).await;
        assert_eq!(node.announcement["identity"], identity, "the same identity after a kill");
        println!("round {round}: {} acknowledged", fresh.len());
        let rest = Rest::of(&node);
        join_all(fresh.iter().chain(chance.some(&acknowledged, 5)).map(|item| is_there(&rest, item))).await;
        whole.extend(fresh.iter().map(|item| item.file["id"].as_str().unwrap().to_owned()));
        acknowledged.extend(fresh);
        nothing_half_written(&rest, &acknowledged, &mut whole).await;
    }
    assert!(!acknowledged.is_empty(), "the load was never acknowledged, so nothing was tested");
}

async fn start(data: &Path, backbone: &str) -> Process {
    let arguments = ["serve", "--json", "--listen", "127.0.0.1:0", "--backbone", backbone];
    let client = ["--client", enlace_tests::OAUTH_CLIENT, "--data-dir", data.to_str().unwrap()];
    Process::start(arguments.into_iter().chain(client)).await.expect("a killed node starts again")
}

/// Uploads and shares until the node is gone.
async fn work(rest: Rest, next: Arc<AtomicU64>, progress: Arc<Semaphore>) -> Vec<Acknowledged> {
    let mut acknowledged = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(file) = upload(&rest, number).await else { return acknowledged };
        let token = share(&rest, &file).await;
        let gone = token.is_none();
        progress.add_permits(1);
        acknowledged.push(Acknowledged { number, file, token });
        if gone {
            return acknowledged;
        }
    }
}

async fn is_there(rest: &Rest, item: &Acknowledged) {
    let id = item.file["id"].as_str().unwrap();
    let file = result(rest.get(&format!("Files/{id}"))).await;
    assert_eq!(file.as_ref(), Some(&item.file), "{id} is lost or changed");
    assert!(download(rest, id).await == content(item.number), "{id} is torn");
    if let Some(token) = &item.token {
        let id = token["id"].as_str().unwrap();
        assert_eq!(result(rest.get(&format!("Tokens/{id}"))).await.as_ref(), Some(token), "{id} is lost");
    }
}

/// Whatever the node lists, acknowledged or not, is whole. What is known to be is not looked at again.
async fn nothing_half_written(rest: &Rest, acknowledged: &[Acknowledged], whole: &mut HashSet<String>) {
    let files = result(rest.get("Files/Own")).await.unwrap();
    let tokens = result(rest.get("Tokens/Own")).await.unwrap();
    let (files, tokens) = (files.as_array().unwrap(), tokens.as_array().unwrap());
    assert!(files.len() >= acknowledged.len() && tokens.len() >= acknowledged.iter().flat_map(|a| &a.token).count());
    for file in files {
        let id = file["id"].as_str().unwrap();
        if whole.insert(id.to_owned()) {
            let number = file["filename"].as_str().unwrap().strip_prefix("file-").unwrap().parse().unwrap();
            assert!(download(rest, id).await == content(number), "{file} is half-written");
        }
    }
    for token in tokens {
        assert_eq!(token["content"]["@type"], "TokenContentFile");
        assert!(token["reference"]["url"].as_str().unwrap().contains("/r/TOK"));
    }
}
