//! Two nodes on one backbone, and what they answered so far.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use api::{ApiConfig, ApiKey, ApiKeys, Dialect};
use axum::Router;
use backbone_mock::Backbone;
use bytes::Bytes;
use http::HeaderMap;
use runtime::{BackboneConfig, Clock, Config, ManualClock, Runtime, Secret, SystemClock, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::recording::{Body, Entry, Node, Part, Request, Response};
use crate::request;

pub(crate) const UNKNOWN_ADDRESS: &str = "did:e:localhost:dids:0000000000000000000041";
/// A key without the role that the probes need.
pub(crate) const OTHER_KEY: &str = "This_is_the_other_KEY_with_30_chars+";
const KEY: &str = "This_is_a_test_APIKEY_with_30_chars+";

pub(crate) struct World {
    dialect: Dialect,
    now: Arc<ManualClock>,
    backbone_clock: Arc<backbone_mock::ManualClock>,
    backbone: Backbone,
    a: Peer,
    b: Peer,
    answers: HashMap<String, Answer>,
    _dirs: Vec<TempDir>,
}

struct Peer {
    runtime: Runtime,
    router: Router,
    address: String,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

impl World {
    pub(crate) async fn start(dialect: Dialect) -> Self {
        let dirs: Vec<TempDir> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
        let start = SystemClock.now();
        let (now, backbone_clock) =
            (Arc::new(ManualClock::new(start)), Arc::new(backbone_mock::ManualClock::new(start)));
        let config =
            backbone_mock::Config::new(dirs[0].path()).with_client("test", "test").with_clock(backbone_clock.clone());
        let backbone = Backbone::start(config).await.unwrap();
        let a = Peer::start(&dirs[1], &backbone.url(), now.clone()).await;
        let b = Peer::start(&dirs[2], &backbone.url(), now.clone()).await;
        Self { dialect, now, backbone_clock, backbone, a, b, answers: HashMap::new(), _dirs: dirs }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(crate) fn key(&self) -> &'static str {
        KEY
    }

    pub(crate) fn address(&self, node: Node) -> &str {
        &self.peer(node).address
    }

    pub(crate) fn backbone_url(&self) -> String {
        self.backbone.url()
    }

    pub(crate) fn now(&self) -> String {
        self.now.now().to_string()
    }

    /// What the expiry probes set, a moment before they wait for it to pass.
    pub(crate) fn soon(&self) -> String {
        self.now.now().saturating_add(Duration::from_secs(60)).to_string()
    }

    /// The result of an earlier entry.
    pub(crate) fn result(&self, name: &str) -> Value {
        self.answers.get(name).unwrap_or_else(|| panic!("no entry '{name}' before this one")).json()["result"].clone()
    }

    pub(crate) fn last_tag(&self, name: &str) -> String {
        self.answers[name].headers["etag"].to_str().unwrap().to_owned()
    }

    pub(crate) fn remember(&mut self, name: &str, answer: &Answer) {
        let Answer { status, headers, body } = answer;
        self.answers.insert(name.to_owned(), Answer { status: *status, headers: headers.clone(), body: body.clone() });
    }

    pub(crate) async fn send(&self, entry: &Entry) -> Answer {
        let request = request::build(self, entry);
        let response = self.peer(entry.node).router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// Makes what was there before an entry without having been recorded.
    pub(crate) async fn prepare(&mut self, name: &str) {
        match name {
            "file query mimetype equal" => self.upload_for_queries().await,
            "token query all" => self.create_tokens_for_queries().await,
            "load file by token with other content" => {
                let body = json!({"content": {"name": "other"}, "expiresAt": "2099-01-31", "ephemeral": true});
                self.prepared("prepared: token with other content", "Tokens/Own", Body::Json(body)).await;
            }
            "expiry get expired file" => {
                let later = self.now.now().saturating_add(Duration::from_secs(3600));
                self.now.set(later);
                self.backbone_clock.set(later);
            }
            _ => {}
        }
    }

    pub(crate) async fn stop(self) {
        for peer in [self.a, self.b] {
            peer.runtime.shutdown().await.unwrap();
        }
        self.backbone.shutdown().await.unwrap();
    }

    async fn upload_for_queries(&mut self) {
        let fields: [&[(&str, &str)]; 3] = [
            &[
                ("title", "Query Alpha"),
                ("description", "first"),
                ("expiresAt", "2098-01-01"),
                ("tags", "x:q1"),
                ("tags", "x:common"),
            ],
            &[("title", "Query Beta"), ("expiresAt", "2098-06-01"), ("tags", "x:q2"), ("tags", "x:common")],
            &[("title", "12345"), ("description", "true"), ("expiresAt", "2098-08-01")],
        ];
        for (index, fields) in fields.iter().enumerate() {
            let name = format!("q{}.dat", index + 1);
            let text = |(field, value): &(&str, &str)| Part {
                field: (*field).to_owned(),
                value: Some((*value).to_owned()),
                bytes: None,
                filename: None,
                mimetype: None,
            };
            let file = Part {
                field: "file".to_owned(),
                value: None,
                bytes: Some(1),
                filename: Some(name.clone()),
                mimetype: Some("application/x-query".to_owned()),
            };
            let parts = std::iter::once(file).chain(fields.iter().map(text)).collect();
            self.prepared(&format!("prepared: {name}"), "Files/Own", Body::Multipart(parts)).await;
        }
    }

    async fn create_tokens_for_queries(&mut self) {
        for (name, protection) in [
            ("tq-plain", json!({})),
            ("tq-password", json!({"passwordProtection": {"password": "pw", "passwordLocationIndicator": "SMS"}})),
            (
                "tq-pin",
                json!({"passwordProtection": {"password": "4711", "passwordIsPin": true, "passwordLocationIndicator": 77}}),
            ),
        ] {
            let mut body = json!({"content": {"name": name}, "expiresAt": "2097-01-01T00:00:00.000Z"});
            body.as_object_mut().unwrap().extend(protection.as_object().unwrap().clone());
            self.prepared(&format!("prepared: {name}"), "Tokens/Own", Body::Json(body)).await;
        }
    }

    async fn prepared(&mut self, name: &str, path: &str, body: Body) {
        let media = if matches!(body, Body::Json(_)) { "application/json" } else { "multipart/form-data" };
        let headers = [("x-api-key", "<key>"), ("content-type", media)];
        let prefix = match self.dialect {
            Dialect::V2 => "/api/v2",
            Dialect::CoreV1 => "/api/core/v1",
        };
        let request = Request {
            method: "POST".to_owned(),
            path: format!("{prefix}/{path}"),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            body: Some(body),
        };
        let response = Response { status: 201, headers: std::collections::BTreeMap::new(), body: Value::Null };
        let entry = Entry { name: name.to_owned(), node: Node::A, request, response };
        let answer = self.send(&entry).await;
        assert_eq!(answer.status, 201, "{name}: {}", answer.json());
        self.remember(name, &answer);
    }

    fn peer(&self, node: Node) -> &Peer {
        match node {
            Node::A => &self.a,
            Node::B => &self.b,
        }
    }
}

impl Peer {
    async fn start(dir: &TempDir, backbone: &str, clock: Arc<ManualClock>) -> Self {
        let backbone = BackboneConfig::new(backbone, "test", Secret::new("test"));
        // The recorded nodes had no datawallet; what it adds must not be seen.
        let config = Config::new(dir.path().join("node"), backbone);
        let runtime = Runtime::builder(config).clock(clock).start().await.unwrap();
        let address = runtime.account().identity_info().await.unwrap().address.to_string();
        let other =
            ApiKey { scopes: vec!["core:relationships".to_owned()], ..ApiKey::new("other", Secret::new(OTHER_KEY)) };
        let keys = ApiKeys::named(&[ApiKey::new("all", Secret::new(KEY)), other], Timestamp::MIN).unwrap();
        // Both dialects, as the program serves them.
        Self { router: api::router(runtime.clone(), ApiConfig::new(keys)), runtime, address }
    }
}
