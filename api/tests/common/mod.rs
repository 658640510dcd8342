//! One node on its own backbone, and requests to it.

use api::{ApiConfig, ApiKeys};
use axum::Router;
use axum::body::Body;
use backbone_mock::Backbone;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use runtime::{BackboneConfig, Config, Runtime, Secret};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

/// The key that may do everything.
pub const KEY: &str = "This_is_a_test_APIKEY_with_30_chars+";

/// A node that forgets everything when it is dropped.
pub struct TestNode {
    pub runtime: Runtime,
    pub backbone: Backbone,
    pub data_dir: TempDir,
    _backbone_dir: TempDir,
}

/// What was answered.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The code of a failure.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl TestNode {
    pub async fn start() -> Self {
        let (data_dir, backbone_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let config = backbone_mock::Config::new(backbone_dir.path()).with_client("test", "test");
        let backbone = Backbone::start(config).await.unwrap();
        let config = Config::new(data_dir.path(), BackboneConfig::new(backbone.url(), "test", Secret::new("test")));
        let runtime = Runtime::builder(config).start().await.unwrap();
        Self { runtime, backbone, data_dir, _backbone_dir: backbone_dir }
    }

    pub fn config() -> ApiConfig {
        ApiConfig::new(ApiKeys::single(&Secret::new(KEY)).unwrap())
    }

    pub fn router(&self) -> Router {
        api::router(self.runtime.clone(), Self::config())
    }
}

/// Sends a request with the right key and host, unless the request has others.
pub async fn send(router: &Router, mut request: Request<Body>) -> Answer {
    for (name, value) in [(header::HOST, "localhost"), (http::HeaderName::from_static("x-api-key"), KEY)] {
        request.headers_mut().entry(name).or_insert(value.parse().unwrap());
    }
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// A request without a body.
pub fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

/// A request with a JSON body.
pub fn post(path: &str, body: &Value) -> Request<Body> {
    let builder = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    builder.body(Body::from(body.to_string())).unwrap()
}

/// A multipart form of raw parts: headers without `Content-Disposition: form-data; `, and bytes.
pub fn form(path: &str, parts: &[(&[u8], &[u8])]) -> Request<Body> {
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
