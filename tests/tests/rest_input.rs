//! Whatever is thrown at the REST interface gets an answer with a reason, and never one that says that we failed.
#![allow(clippy::unwrap_used, reason = "a test")]

use api::{ApiConfig, ApiKeys, Server};
use enlace_tests::{Backbone, Node, World, http};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reqwest::{Client, Method};
use runtime::Secret;
use runtime::dto::File;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const KEY: &str = "This_is_a_test_APIKEY_with_30_chars+";

struct Scene {
    _world: World,
    backbone: Backbone,
    node: Node,
    server: Server,
    client: Client,
    file: File,
}

async fn scene() -> Scene {
    let world = World::new();
    let backbone = world.backbone().await;
    let node = world.node("alice", &backbone).await;
    let file = node.upload("a", b"content").await.unwrap();
    let keys = ApiKeys::single(&Secret::new(KEY)).unwrap();
    let listen = "127.0.0.1:0".parse().unwrap();
    let server = Server::start(listen, node.runtime().clone(), ApiConfig::new(keys)).await.unwrap();
    Scene { _world: world, backbone, node, server, client: http(), file }
}

impl Scene {
    /// Status and code of the answer.
    async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> (u16, String) {
        let request = self.client.request(method, format!("{}/api/v2/{path}", self.server.url()));
        let request = request.header("x-api-key", KEY).header("content-type", content_type).body(body);
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap_or_default();
        (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, String) {
        self.send(Method::POST, path, "application/json", body.to_string()).await
    }

    fn posts(&self) -> Vec<String> {
        let token = format!("Files/{}/Token", self.file.id);
        [&token, "Files/Peer", "Tokens/Own", "Tokens/Peer", "Challenges", "Challenges/Validate"]
            .map(str::to_owned)
            .into()
    }
}

#[tokio::test]
async fn malformed_json_is_a_client_error_everywhere() {
    let scene = scene().await;
    for path in scene.posts() {
        for body in ["{", "[1,", "\"text\"", "7", "null", "{\"a\":}", "{\"a\":1,}", "\u{feff}{", "{'a':1}", "nan"] {
            let (status, code) = scene.send(Method::POST, &path, "application/json", body).await;
            assert_eq!(
                (status, code.as_str()),
                (400, "error.connector.validation.invalidJsonInPayload"),
                "{path} {body}"
            );
        }
        let deep = "[".repeat(50_000);
        assert_eq!(scene.send(Method::POST, &path, "application/json", deep).await.0, 400, "{path}: too deep");
        let invalid_utf8 = b"{\"a\":\"\xff\xfe\"}".to_vec();
        let (status, _) = scene.send(Method::POST, &path, "application/json", invalid_utf8).await;
        assert!(status == 400 || status == 201, "{path}: {status}");
    }
    assert!(scene.node.tokens().await.is_empty());
}

#[tokio::test]
async fn wrong_types_and_unknown_members_are_refused_and_nothing_is_made() {
    let scene = scene().await;
    let token = format!("Files/{}/Token", scene.file.id);
    let cases = [
        (token.as_str(), json!({"expiresAt": 1})),
        (&token, json!({"expiresAt": "soon"})),
        (&token, json!({"ephemeral": "yes"})),
        (&token, json!({"forIdentity": "me"})),
        (&token, json!({"passwordProtection": "secret"})),
        (&token, json!({"passwordProtection": {}})),
        (&token, json!({"passwordProtection": {"password": ""}})),
        (&token, json!({"passwordProtection": {"password": "x", "more": 1}})),
        (&token, json!({"passwordProtection": {"password": "abc", "passwordIsPin": true}})),
        ("Files/Peer", json!({})),
        ("Files/Peer", json!({"reference": 7})),
        ("Files/Peer", json!({"reference": scene.file.reference.url, "unknown": 1})),
        ("Tokens/Own", json!({"content": {}, "ephemeral": false})),
        ("Tokens/Own", json!({"content": {}, "expiresAt": "9999-12-31", "ephemeral": false, "x": 1})),
        ("Tokens/Peer", json!({"reference": scene.file.reference.url})),
    ];
    for (path, body) in cases {
        let (status, code) = scene.post(path, &body).await;
        assert_eq!((status, code.as_str()), (400, "error.runtime.validation.invalidPropertyValue"), "{path} {body}");
    }
    assert!(scene.node.tokens().await.is_empty());
}

#[tokio::test]
async fn ids_of_the_wrong_kind_or_shape_are_refused() {
    let scene = scene().await;
    let backwards: String = scene.file.id.as_str().chars().rev().collect();
    let unknown = "FILaaaaaaaaaaaaaaaaa";
    for id in ["TOKaaaaaaaaaaaaaaaaa", "FILshort", &backwards, "%00", "..%2f..%2fetc%2fpasswd", "%f0%9f%98%80"] {
        let (status, _) = scene.post(&format!("Files/{id}/Token"), &json!({})).await;
        assert!(matches!(status, 400 | 404), "{id}: {status}");
        let (status, _) = scene.send(Method::GET, &format!("Files/{id}/Download"), "text/plain", "").await;
        assert!(matches!(status, 400 | 404), "{id}: {status}");
        let (status, _) = scene.send(Method::GET, &format!("Tokens/FIL{id}"), "text/plain", "").await;
        assert!(matches!(status, 400 | 404), "{id}: {status}");
    }
    let (status, code) = scene.post(&format!("Files/{unknown}/Token"), &json!({})).await;
    assert_eq!((status, code.as_str()), (404, "error.runtime.recordNotFound"));
    let past = json!({"expiresAt": "2020-01-01T00:00:00.000Z"});
    let (status, code) = scene.post(&format!("Files/{}/Token", scene.file.id), &past).await;
    assert_eq!((status, code.as_str()), (400, "error.runtime.validation.invalidPropertyValue"));
    assert_eq!(scene.backbone.line().count(&Method::POST, "/api/v2/Tokens"), 0, "the backbone never heard of it");
}

#[tokio::test]
async fn an_upload_that_is_refused_before_its_end_announces_the_end_of_its_connection() {
    let scene = scene().await;
    let address = scene.server.local_addr();
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The field has the wrong name, which is known long before the last byte.
    let request = format!(
        "POST /api/v2/Files/Own HTTP/1.1\r\nhost: {address}\r\nx-api-key: {KEY}\r\ncontent-length: 100000\r\n\
         content-type: multipart/form-data; boundary=b\r\n\r\n\
         --b\r\ncontent-disposition: form-data; name=\"document\"; filename=\"a\"\r\n\r\nsome of it"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.to_lowercase().contains("connection: close"), "{answer}");
}

/// Any JSON, with the members that routes look for more likely than others.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
        Just(json!("9999-12-31T00:00:00.000Z")),
        Just(json!("VE9L")),
        Just(json!("TokenContentFile")),
    ];
    let name = prop_oneof![
        Just("reference"),
        Just("content"),
        Just("expiresAt"),
        Just("ephemeral"),
        Just("forIdentity"),
        Just("password"),
        Just("passwordProtection"),
        Just("passwordIsPin"),
        Just("passwordLocationIndicator"),
        Just("@type"),
        Just("challengeType"),
        Just("challengeString"),
        Just("signature"),
        Just("relationship"),
        Just("unknown"),
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..6)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

#[test]
fn no_json_makes_the_node_fail() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let scene = runtime.block_on(scene());
    let posts = scene.posts();
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(0..posts.len(), any_json()), |(route, body)| {
        let (status, code) = runtime.block_on(scene.post(&posts[route], &body));
        prop_assert!((200..500).contains(&status), "{} {}: {} {}", posts[route], body, status, code);
        Ok(())
    });
    outcome.unwrap();
}
