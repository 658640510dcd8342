//! One node on its own backbone, and requests to it.

use std::sync::Arc;

use api::{ApiConfig, ApiKeys};
use axum::Router;
use axum::body::Body;
use backbone_mock::Backbone;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use runtime::{
    BackboneConfig, Clock, Config, ContentStoreConfig, ManualClock, PeerConfig, Runtime, Secret, StorageConfig,
    SystemClock,
};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

/// The key that may do everything.
pub(crate) const KEY: &str = "This_is_a_test_APIKEY_with_30_chars+";

/// A node that forgets everything when it is dropped.
pub(crate) struct TestNode {
    pub(crate) runtime: Runtime,
    backbone: Arc<Backbone>,
    pub(crate) data_dir: TempDir,
    backbone_dir: Arc<TempDir>,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The code of a failure.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl TestNode {
    pub(crate) async fn start() -> Self {
        let backbone_dir = Arc::new(tempfile::tempdir().unwrap());
        let config = backbone_mock::Config::new(backbone_dir.path()).with_client("test", "test");
        let backbone = Arc::new(Backbone::start(config).await.unwrap());
        Self::start_at(backbone, backbone_dir).await
    }

    /// A node that peers of this machine reach, with a content store of this many bytes.
    pub(crate) async fn with_peers(max_size: u64) -> Self {
        let backbone_dir = Arc::new(tempfile::tempdir().unwrap());
        let config = backbone_mock::Config::new(backbone_dir.path()).with_client("test", "test");
        let backbone = Arc::new(Backbone::start(config).await.unwrap());
        let peers = PeerConfig::on_this_machine();
        let content_store = Some(ContentStoreConfig::new(max_size));
        let change = |config| Config { peers: Some(peers), content_store, ..config };
        Self::start_with(backbone, backbone_dir, change, Arc::new(SystemClock)).await
    }

    /// A node whose clock begins with the current time, and is told when to advance.
    pub(crate) async fn with_clock() -> (Self, Arc<ManualClock>) {
        let backbone_dir = Arc::new(tempfile::tempdir().unwrap());
        let config = backbone_mock::Config::new(backbone_dir.path()).with_client("test", "test");
        let backbone = Arc::new(Backbone::start(config).await.unwrap());
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        (Self::start_with(backbone, backbone_dir, |config| config, clock.clone()).await, clock)
    }

    /// A node whose lists count so many matches at most.
    pub(crate) async fn counting_to(max_total: u64) -> Self {
        let backbone_dir = Arc::new(tempfile::tempdir().unwrap());
        let config = backbone_mock::Config::new(backbone_dir.path()).with_client("test", "test");
        let backbone = Arc::new(Backbone::start(config).await.unwrap());
        let storage = StorageConfig { max_total, ..StorageConfig::default() };
        let change = |config| Config { storage, ..config };
        Self::start_with(backbone, backbone_dir, change, Arc::new(SystemClock)).await
    }

    /// Two nodes on one backbone.
    pub(crate) async fn pair() -> (Self, Self) {
        let first = Self::start().await;
        let second = Self::start_at(first.backbone.clone(), first.backbone_dir.clone()).await;
        (first, second)
    }

    async fn start_at(backbone: Arc<Backbone>, backbone_dir: Arc<TempDir>) -> Self {
        Self::start_with(backbone, backbone_dir, |config| config, Arc::new(SystemClock)).await
    }

    async fn start_with(
        backbone: Arc<Backbone>,
        backbone_dir: Arc<TempDir>,
        change: impl FnOnce(Config) -> Config,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        let config =
            Config::new(data_dir.path().join("node"), BackboneConfig::new(backbone.url(), "test", Secret::new("test")));
        let runtime = Runtime::builder(change(config)).clock(clock).start().await.unwrap();
        Self { runtime, backbone, data_dir, backbone_dir }
    }

    pub(crate) fn config() -> ApiConfig {
        ApiConfig::new(ApiKeys::single(&Secret::new(KEY)).unwrap())
    }

    pub(crate) fn router(&self) -> Router {
        api::router(self.runtime.clone(), Self::config())
    }
}

/// Sends a request with the right key and host, unless the request has others.
pub(crate) async fn send(router: &Router, mut request: Request<Body>) -> Answer {
    for (name, value) in [(header::HOST, "localhost"), (http::HeaderName::from_static("x-api-key"), KEY)] {
        request.headers_mut().entry(name).or_insert(value.parse().unwrap());
    }
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// A request without a body.
pub(crate) fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

/// A multipart form of raw parts: headers without `Content-Disposition: form-data; `, and bytes.
pub(crate) fn form(path: &str, parts: &[(&[u8], &[u8])]) -> Request<Body> {
    let mut body = Vec::new();
    for (headers, content) in parts {
        body.extend(b"--frontier\r\nContent-Disposition: form-data; ");
        body.extend(*headers);
        body.extend(b"\r\n\r\n");
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(b"--frontier--\r\n");
    let builder = Request::post(path).header(header::CONTENT_TYPE, "multipart/form-data; boundary=frontier");
    builder.body(Body::from(body)).unwrap()
}
