//! A node's memory is bounded, whatever a backbone, a peer or a caller of its REST interface makes it read (T14, T21).
//!
//! Each attack hits a node in a process of its own, whose peak of resident memory is read afterwards.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test")]

use enlace_tests::{Backbone, Fate, OAUTH_CLIENT, Process, Rest, World};
use reqwest::{Method, StatusCode};
use runtime::dto::Token;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use transport::crypto::{CryptoObject as _, SecretKey};
use transport::wire::TokenReference;
use transport::wire::bytes::to_base64url;

/// Most memory a node may ever have taken. It takes half of that after a start in a debug build.
const CEILING: u64 = 256 << 20;
const TOKEN: &str = "/api/enlace/v1/Tokens/*";
const METADATA: &str = "/api/v2/Files/*/Metadata";

/// A node in a process of its own, behind a line to an honest backbone.
struct Scene {
    world: World,
    backbone: Backbone,
    node: Process,
    rest: Rest,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new();
        let backbone = world.backbone().await;
        let (url, data) = (backbone.line().url(), world.directory("node"));
        let arguments = ["serve", "--json", "--listen", "127.0.0.1:0", "--backbone", &url, "--client", OAUTH_CLIENT];
        let node = Process::start(arguments.into_iter().chain(["--data-dir", data.to_str().unwrap()])).await.unwrap();
        let rest = Rest::of(&node);
        Self { world, backbone, node, rest }
    }

    /// A token that a peer made.
    async fn token_of_a_peer(&self) -> Token {
        let alice = self.world.node("alice", &self.backbone).await;
        let file = alice.upload("a", b"a").await.unwrap();
        alice.share(&file).await.unwrap()
    }

    /// Puts other bytes in the place of what is sealed in every token.
    fn exchange_content(&self, sealed: &[u8]) {
        let content = to_base64url(sealed);
        let fate = Fate::changed(move |answer| {
            let mut body = answer.json();
            body["result"]["content"] = content.clone().into();
            answer.with_json(&body)
        });
        self.backbone.line().behave();
        self.backbone.line().always(Method::GET, TOKEN, fate);
    }

    async fn load(&self, token: &Token) -> (StatusCode, Value) {
        let body = json!({ "reference": token.reference.truncated });
        answered(self.rest.post("Tokens/Peer").json(&body)).await
    }

    /// The node works, and never took too much.
    async fn assert_modest(&self, attack: &str) {
        let (status, _) = answered(self.rest.get("Tokens/Peer")).await;
        assert_eq!(status, StatusCode::OK, "{attack}");
        let peak = self.node.peak_memory();
        eprintln!("{attack}: {} MiB", peak >> 20);
        assert!(peak < CEILING, "{attack}: {} MiB", peak >> 20);
    }
}

async fn answered(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let answer = request.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap_or_default())
}

/// A JSON list of about so many bytes: as many values as fit.
fn zeros(bytes: usize) -> String {
    format!("[{}0]", "0,".repeat(bytes / 2))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_token_of_a_peer_is_refused_in_little_memory() {
    let scene = Scene::new().await;
    let token = scene.token_of_a_peer().await;
    let key = SecretKey::from(&TokenReference::parse(&token.reference.truncated).unwrap().key);
    let content = format!("{{\"a\":{}}}", zeros(7 << 20));
    scene.exchange_content(&key.encrypt(content.as_bytes()).to_byte_text().0);
    let (status, answer) = scene.load(&token).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{}", answer["error"]);
    assert_eq!(answer["error"]["code"], "error.transport.tokens.invalidTokenContent", "{}", answer["error"]);
    scene.assert_modest("a token of 7 MiB").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cipher_of_many_values_is_refused_in_little_memory() {
    let scene = Scene::new().await;
    let token = scene.token_of_a_peer().await;
    for bytes in [256 << 10, 9 << 20] {
        scene.exchange_content(format!("{{\"cph\":{}}}", zeros(bytes)).as_bytes());
        let (status, answer) = scene.load(&token).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{}", answer["error"]);
    }
    scene.assert_modest("a cipher of many values").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_answers_of_the_backbone_are_refused_in_little_memory() {
    let scene = Scene::new().await;
    let token = scene.token_of_a_peer().await;
    let body = format!("{{\"result\":{}}}", zeros(31 << 20));
    let fate = Fate::changed(move |mut answer| {
        answer.body = body.clone().into();
        answer
    });
    for (method, path) in [
        (Method::GET, TOKEN),
        (Method::GET, "/api/v2/SyncRuns/*/ExternalEvents"),
        (Method::GET, "/api/v2/Datawallet/Modifications"),
        (Method::POST, "/api/v2/SyncRuns"),
        (Method::POST, "/api/v2/Challenges"),
    ] {
        scene.backbone.line().always(method, path, fate.clone());
    }
    let (status, answer) = scene.load(&token).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{}", answer["error"]);
    let (status, answer) = answered(scene.rest.post("Account/Sync").json(&json!({}))).await;
    assert!(!status.is_success(), "{}", answer["error"]);
    let (status, answer) = answered(scene.rest.post("Challenges").json(&json!({ "challengeType": "Identity" }))).await;
    assert!(!status.is_success(), "{}", answer["error"]);
    scene.assert_modest("answers of 62 MiB").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_and_modifications_of_many_values_are_refused_in_little_memory() {
    refuses_events("an event of 31 MiB", 1, &zeros(31 << 20)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_of_many_values_on_many_pages_are_refused_in_little_memory() {
    refuses_events("events on 128 pages", 128, &format!("[{}[0]]", "[0],".repeat(32_000))).await;
}

/// Lists an event with this payload on every page.
async fn refuses_events(attack: &str, pages: u32, payload: &str) {
    let scene = Scene::new().await;
    let event = json!({
        "id": "SYIabcdefghijklmno12", "type": "TokenLocked", "index": 0, "createdAt": "2026-01-01T00:00:00.000Z",
        "syncErrorCount": 0, "payload": "here"
    });
    let pagination = json!({ "pageNumber": 1, "pageSize": 1, "totalPages": pages, "totalRecords": pages });
    let body = json!({ "result": [event], "pagination": pagination }).to_string().replace("\"here\"", payload);
    let fate = Fate::changed(move |mut answer| {
        answer.body = body.clone().into();
        answer.status = StatusCode::OK;
        answer
    });
    scene.backbone.line().always(Method::GET, "/api/v2/SyncRuns/*/ExternalEvents", fate.clone());
    let started = json!({ "result": { "status": "Created", "syncRun": {
        "id": "SYRabcdefghijklmno12", "type": "ExternalEventSync", "expiresAt": "2099-01-01T00:00:00.000Z", "index": 0,
        "createdAt": "2026-01-01T00:00:00.000Z", "createdBy": "did:e:localhost:dids:c5b454f4a8133c3d2cf2ef",
        "createdByDevice": "DVCabcdefghijklmno12", "eventCount": 1
    }}});
    let start = Fate::Answered(StatusCode::CREATED, started.to_string());
    scene.backbone.line().always(Method::POST, "/api/v2/SyncRuns", start);
    let (status, answer) = answered(scene.rest.post("Account/Sync").json(&json!({}))).await;
    assert!(!status.is_success(), "{}", answer["error"]);
    scene.assert_modest(attack).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_bodies_at_once_wait_for_one_another() {
    let scene = Scene::new().await;
    let mut requests = JoinSet::new();
    for number in 0..50 {
        // Values, or one long text, as many bytes as a body may have.
        let size = (2 << 20) - 200;
        let content = if number % 2 == 0 { zeros(size) } else { format!("\"{}\"", "x".repeat(size)) };
        let body = format!("{{\"content\":{{\"a\":{content}}},\"expiresAt\":\"2099-01-01T00:00:00.000Z\"}}");
        let request = scene.rest.post("Tokens/Own").header("content-type", "application/json").body(body);
        requests.spawn(async move { answered(request).await });
    }
    while let Some(outcome) = requests.join_next().await {
        let (status, answer) = outcome.unwrap();
        // Too many values or too large a content; on a very slow machine some are told to come again.
        let is_refused = status.is_client_error() || status == StatusCode::SERVICE_UNAVAILABLE;
        assert!(is_refused, "{status} {}", answer["error"]);
    }
    scene.assert_modest("50 bodies of 2 MiB at once").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_of_many_values_are_refused_in_little_memory() {
    let scene = Scene::new().await;
    let token = scene.token_of_a_peer().await;
    let properties = to_base64url(format!("{{\"cph\":{}}}", zeros(15 << 20)).as_bytes());
    let fate = Fate::changed(move |answer| {
        let mut body = answer.json();
        body["result"]["encryptedProperties"] = properties.clone().into();
        answer.with_json(&body)
    });
    scene.backbone.line().always(Method::GET, METADATA, fate);
    let body = json!({ "reference": token.reference.truncated });
    let (status, answer) = answered(scene.rest.post("Files/Peer").json(&body)).await;
    assert!(status.is_client_error(), "{status} {}", answer["error"]);
    scene.assert_modest("metadata of 20 MiB").await;
}
