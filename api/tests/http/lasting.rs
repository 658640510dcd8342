//! Answers that last: codes, and files that are shared without a backbone. And what a download tells when it has ended.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use futures_util::StreamExt as _;
use http::{HeaderName, Request, StatusCode, header};
use runtime::{PeerConfig, SystemClock, receive_code_at};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::node::{Answer, KEY, TestNode, form, get, send};

const CODES: &str = "/api/enlace/v1/Codes";
const DIRECT: &str = "/api/enlace/v1/Files/Direct";
const FILE: &[u8] = b"name=\"file\"; filename=\"data.bin\"\r\nContent-Type: application/x-data";
/// Codes that a node offers at a time.
const MAX_CODES: usize = 16;
const MEBIBYTE: u64 = 1 << 20;

fn message(answer: &Answer) -> String {
    answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned()
}

fn code_for(reference: &Value) -> Request<Body> {
    let request = Request::post(CODES).header(header::CONTENT_TYPE, "application/json");
    request.body(Body::from(json!({ "reference": reference }).to_string())).unwrap()
}

/// The first line of an answer that lasts, and the rest of it.
async fn lasting(router: &Router, mut request: Request<Body>) -> (Value, BodyDataStream) {
    for (name, value) in [(header::HOST, "localhost"), (HeaderName::from_static("x-api-key"), KEY)] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let response = router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/x-ndjson");
    let mut body = response.into_body().into_data_stream();
    let line = body.next().await.unwrap().unwrap();
    assert_eq!(line.last(), Some(&b'\n'));
    (serde_json::from_slice(&line).unwrap(), body)
}

async fn reference(router: &Router) -> Value {
    let body = json!({ "content": {}, "expiresAt": "2099-01-01T00:00:00.000Z" });
    let request = Request::post("/api/enlace/v1/Tokens/Own").header(header::CONTENT_TYPE, "application/json");
    let answer = send(router, request.body(Body::from(body.to_string())).unwrap()).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", message(&answer));
    answer.json()["result"]["reference"]["url"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_offered_while_its_request_lasts() {
    let node = TestNode::with_peers(MEBIBYTE).await;
    let router = node.router();
    let reference = reference(&router).await;
    let mut offered = Vec::new();
    for _ in 0..MAX_CODES {
        let (first, rest) = lasting(&router, code_for(&reference)).await;
        assert_eq!(first["code"].as_str().unwrap().split('-').count(), 3, "{first}");
        assert!(first["expiresAt"].is_string());
        offered.push(rest);
    }
    let answer = send(&router, code_for(&reference)).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (429, "error.runtime.codes.tooMany"));
    // The client of one has gone.
    offered.pop();
    offered.push(lasting(&router, code_for(&reference)).await.1);
    // All of them end with the node.
    node.runtime.shutdown().await.unwrap();
    for rest in offered {
        let lines: Vec<_> = rest.map(Result::unwrap).collect().await;
        assert_eq!(lines, [&b"{\"end\":\"withdrawn\"}\n"[..]]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_needs_peers_a_reference_and_a_key() {
    let node = TestNode::start().await;
    let router = node.router();
    let reference = reference(&router).await;
    assert_eq!(send(&router, code_for(&reference)).await.code(), "error.runtime.peers.off");
    let answer = send(&router, code_for(&json!("x"))).await;
    assert_eq!(message(&answer), "reference must match pattern reference");
    for request in [code_for(&reference), form(DIRECT, &[(FILE, b"x")])] {
        let mut request = request;
        request.headers_mut().insert("x-api-key", "wrong".parse().unwrap());
        assert_eq!(send(&router, request).await.status, StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_shared_without_a_backbone_while_its_request_lasts() {
    let node = TestNode::with_peers(4 * MEBIBYTE).await;
    let router = node.router();
    let (content, store) = (vec![7; 3 << 20], node.runtime.content_store());
    let terms = json!({ "passwordProtection": { "password": "secret" } }).to_string();
    let parts: [(&[u8], &[u8]); 2] = [(b"name=\"terms\"", terms.as_bytes()), (FILE, &content)];
    let (first, rest) = lasting(&router, form(DIRECT, &parts)).await;
    let token = &first["token"];
    assert!(token["reference"]["url"].as_str().unwrap().contains("/r/TOK"), "{first}");
    assert_eq!(token["passwordProtection"]["password"], "secret");
    assert_eq!(store.usage().await.pinned, 1);
    let listed = send(&router, get("/api/enlace/v1/Files")).await;
    assert_eq!(listed.json()["result"], json!([]));
    // Only the own face says why such a token is on no list.
    for (prefix, status, code) in [
        ("/api/v2", 404, "error.runtime.recordNotFound"),
        ("/api/core/v1", 404, "error.runtime.recordNotFound"),
        ("/api/enlace/v1", 400, "error.runtime.notSupported"),
    ] {
        let shown = send(&router, get(&format!("{prefix}/Tokens/{}", token["id"].as_str().unwrap()))).await;
        assert_eq!((shown.status.as_u16(), shown.code().as_str()), (status, code), "{prefix}");
    }
    // There is no room for a second one, and nothing is left of the attempt.
    let answer = send(&router, form(DIRECT, &parts)).await;
    assert!(message(&answer).contains("enlace.contentStore.maxSize"), "{}", message(&answer));
    assert_eq!(store.usage().await.pinned, 1);
    drop(rest);
    let ended = async { while store.usage().await.contents > 0 {} };
    tokio::time::timeout(std::time::Duration::from_secs(60), ended).await.expect("the share ends");
}

/// Loads a file by a reference, at a node that is at another backbone.
async fn received(node: &TestNode, reference: &Value) -> Result<Vec<u8>, String> {
    let router = node.router();
    let load = Request::post("/api/enlace/v1/Files/Peer").header(header::CONTENT_TYPE, "application/json");
    let loaded = send(&router, load.body(Body::from(json!({ "reference": reference }).to_string())).unwrap()).await;
    let Some(id) = loaded.json()["result"]["id"].as_str().map(str::to_owned) else { return Err(loaded.code()) };
    Ok(send(&router, get(&format!("/api/enlace/v1/Files/{id}/Download"))).await.body.to_vec())
}

/// The reference that whoever is told the code gets.
async fn told(node: &TestNode, code: &Value) -> Value {
    let peers = node.runtime.peers();
    let id = peers.connectivity().unwrap().id;
    let addresses: Vec<_> = peers.dial_addresses().iter().map(|address| format!("{address}/p2p/{id}")).collect();
    let config = PeerConfig { listen: Vec::new(), ..PeerConfig::on_this_machine() };
    let (reference, _) =
        receive_code_at(config, code.as_str().unwrap(), &addresses, Arc::new(SystemClock)).await.unwrap();
    reference.as_str().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_receives_a_direct_share_by_the_answered_reference_and_by_a_code_for_any_form() {
    let (node, receiver) = (TestNode::with_peers(4 * MEBIBYTE).await, TestNode::with_peers(MEBIBYTE).await);
    let router = node.router();
    let (first, _share) = lasting(&router, form(DIRECT, &[(FILE, b"hello")])).await;
    assert!(received(&receiver, &first["token"]["reference"]["url"]).await.is_err());
    assert_eq!(received(&receiver, &first["reference"]).await.unwrap(), b"hello");
    let forms = [&first["token"]["reference"]["truncated"], &first["token"]["reference"]["url"], &first["reference"]];
    for reference in forms {
        let (offered, _offer) = lasting(&router, code_for(reference)).await;
        assert_eq!(told(&node, &offered["code"]).await, first["reference"], "{reference}");
    }
    // A code for what this node does not have passes on what it was made with.
    let foreign = reference(&receiver.router()).await;
    let (offered, _offer) = lasting(&router, code_for(&foreign)).await;
    assert_eq!(told(&node, &offered["code"]).await, foreign);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_the_own_face_have_the_reference_that_other_machines_need() {
    let (node, receiver) = (TestNode::with_peers(MEBIBYTE).await, TestNode::with_peers(MEBIBYTE).await);
    let router = node.router();
    let file = send(&router, form("/api/v2/Files/Own", &[(FILE, b"hello")])).await.json()["result"]["id"].take();
    let post = async |path: String, body: Value| {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        send(&router, request.body(Body::from(body.to_string())).unwrap()).await.json()["result"].take()
    };
    let create =
        async |prefix: &str, more: Value| post(format!("{prefix}/Files/{}/Token", file.as_str().unwrap()), more).await;
    let token = create("/api/enlace/v1", json!({ "ephemeral": false })).await;
    assert!(received(&receiver, &token["reference"]["url"]).await.is_err());
    assert_eq!(received(&receiver, &token["directReference"]).await.unwrap(), b"hello");
    let at = |prefix: &str| get(&format!("{prefix}/Tokens/{}", token["id"].as_str().unwrap()));
    let shown = send(&router, at("/api/enlace/v1")).await.json()["result"].take();
    assert_eq!(shown["directReference"], token["directReference"]);
    let rotate = format!("/api/enlace/v1/Tokens/{}/Rotate", token["id"].as_str().unwrap());
    let rotated = post(rotate, json!({})).await;
    assert_eq!(received(&receiver, &rotated["token"]["directReference"]).await.unwrap(), b"hello");
    // The published dialects have their own form, and nobody loads directly what must not be.
    for prefix in ["/api/v2", "/api/core/v1"] {
        assert_eq!(create(prefix, json!({})).await["directReference"], Value::Null, "{prefix}");
        assert_eq!(send(&router, at(prefix)).await.json()["result"]["directReference"], Value::Null, "{prefix}");
    }
    let stored = create("/api/enlace/v1", json!({ "transports": ["store"] })).await;
    assert_eq!((&stored["directReference"], stored["id"].is_string()), (&Value::Null, true), "{stored}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_direct_share_is_said_before_the_file_is_read() {
    let node = TestNode::with_peers(MEBIBYTE).await;
    let router = node.router();
    for (terms, expected) in [
        ("x", "terms must be JSON"),
        (r#"{"forIdentity":"x"}"#, "forIdentity must match pattern"),
        (r#"{"expiresAt":"2000-01-01"}"#, "'expiresAt' must be in the future"),
    ] {
        let answer = send(&router, form(DIRECT, &[(b"name=\"terms\"", terms.as_bytes()), (FILE, b"x")])).await;
        assert_eq!(answer.status.as_u16(), 400, "{terms}");
        assert!(message(&answer).starts_with(expected), "{terms}: {}", message(&answer));
    }
    let answer = send(&router, form(DIRECT, &[(b"name=\"terms\"", b"{}")])).await;
    assert_eq!(message(&answer), "must have required property 'file'");
    assert_eq!(node.runtime.content_store().usage().await.contents, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_tells_its_paths_by_the_id_of_its_request() {
    let (node, peer) = TestNode::pair().await;
    let uploaded = send(&node.router(), form("/api/v2/Files/Own", &[(FILE, b"hello")])).await;
    let reference = uploaded.json()["result"]["reference"]["truncated"].take();
    let router = peer.router();
    let load = Request::post("/api/v2/Files/Peer").header(header::CONTENT_TYPE, "application/json");
    let loaded = send(&router, load.body(Body::from(json!({ "reference": reference }).to_string())).unwrap()).await;
    let id = loaded.json()["result"]["id"].as_str().unwrap().to_owned();
    let downloaded = send(&router, get(&format!("/api/enlace/v1/Files/{id}/Download"))).await;
    let request = downloaded.headers["x-correlation-id"].to_str().unwrap();
    let told = send(&router, get(&format!("/api/enlace/v1/Downloads/{request}"))).await;
    let bytes = &told.json()["result"]["paths"][0]["bytes"];
    assert!(bytes.as_u64().unwrap() > 5, "{bytes}");
    assert_eq!(told.json()["result"], json!({ "path": "backbone", "paths": [{ "path": "backbone", "bytes": bytes }] }));
    let unknown = send(&router, get("/api/enlace/v1/Downloads/another")).await;
    assert_eq!((unknown.status.as_u16(), unknown.code().as_str()), (404, "error.runtime.recordNotFound"));
}
