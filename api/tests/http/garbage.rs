//! Requests made of scraps: none of them is a fault of ours, and none stops the node.

use api::ServerLimits;
use axum::body::Body;
use http::{Method, Request};
use serde_json::Value;

use crate::node::{TestNode, get, send};
use crate::server::{exchange, server};

const REQUESTS: usize = 1500;
const PATHS: &[&str] = &[
    "/",
    "/health",
    "/docs/swagger/",
    "/Monitoring/",
    "/api/v2",
    "/api/core/v1",
    "/Files",
    "/Own",
    "/Peer",
    "/Tokens",
    "/Token",
    "/Download",
    "/IdentityMetadata",
    "/Challenges",
    "/Validate",
    "/Account/SyncInfo",
    "/FIL00000000000000000",
    "/TOK00000000000000000",
    "/%00",
    "/%ff",
    "/%",
    "//",
    "/..",
    "?",
    "?filename=~(",
    "?tags=",
    "?reference=",
    "&",
    "=",
    "/RklMabc",
    "/http%3A%2F%2Fh%2Fr%2FFIL00000000000000000%23x",
];
const HEADERS: &[(&str, &str)] = &[
    ("content-type", "application/json"),
    ("content-type", "application/x-www-form-urlencoded"),
    ("content-type", "multipart/form-data; boundary=b"),
    ("content-type", "multipart/form-data"),
    ("content-type", "text/plain; charset=\"x"),
    ("accept", "image/png"),
    ("accept", "a/b;q=x, */*;q=0.1"),
    ("if-none-match", "*"),
    ("x-correlation-id", "{}"),
    ("content-encoding", "gzip"),
    ("transfer-encoding", "chunked"),
    ("range", "bytes=0-"),
];
const BODIES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"reference\"",
    ":",
    ",",
    "null",
    "true",
    "1e999",
    "-0",
    "\"\\ud800\"",
    "\"content\"",
    "\"expiresAt\"",
    "\"2099\"",
    "{\"@type\":\"TokenContentFile\"}",
    "\"passwordProtection\"",
    "{\"password\":\"\"}",
    "\"value\"",
    "--b\r\n",
    "Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n",
    "\r\n--b--",
    "a=b&a=c",
    "\u{feff}",
];

/// A small generator with a fixed start: the same requests every time.
struct Scraps(u64);

impl Scraps {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit).unwrap()).unwrap()
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn join(&mut self, from: &[&str], most: usize) -> String {
        (0..self.below(most + 1)).map(|_| self.pick(from)).collect()
    }

    fn request(&mut self) -> Option<Request<Body>> {
        let methods =
            [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD, Method::OPTIONS];
        let method = methods[self.below(methods.len())].clone();
        let prefix = self.pick(&["/api/v2", "/api/core/v1", "/API/V2/Files", ""]);
        let path = format!("{prefix}/{}", self.join(PATHS, 3).trim_start_matches('/'));
        let mut builder = Request::builder().method(method).uri(path);
        for _ in 0..self.below(3) {
            let (name, value) = self.pick(HEADERS);
            builder = builder.header(name, value);
        }
        builder.body(Body::from(self.join(BODIES, 8))).ok()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_a_fault_of_ours() {
    let node = TestNode::start().await;
    let (router, mut scraps) = (node.router(), Scraps(0x9e37_79b9_7f4a_7c15));
    let mut sent = 0;
    while sent < REQUESTS {
        let Some(request) = scraps.request() else { continue };
        let shown = format!("{request:?}");
        let answer = send(&router, request).await;
        assert!(answer.status.as_u16() < 500, "{} {} for {shown}", answer.status, answer.json());
        sent += 1;
    }
    assert_eq!(send(&router, get("/health")).await.status, 200);
}

/// What cannot be read is answered like everything else: each of these bytes gets a failure with code and id, and the
/// connection ends.
#[tokio::test(flavor = "multi_thread")]
async fn malformed_http_has_the_envelope_of_failures() {
    let node = TestNode::start().await;
    let server = server(&node, ServerLimits { max_head_bytes: 16 * 1024, ..ServerLimits::default() }).await;
    let (long, many) = ("x".repeat(17 * 1024), "a: b\r\n".repeat(101));
    for (bytes, status) in [
        ("GET /api/v2/Files?title=a b HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("GET /api/core/v1/Files/Own  HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("GET /health HTTP/1.1\r\nno colon\r\n\r\n", 400),
        ("GET /health HTTP/1.1\r\nHost : localhost\r\n\r\n", 400),
        ("GET /health HTTP/1.1\r\nX: a\r\n b\r\n\r\n", 400),
        ("GET /health HTTP/1.1\r\nX: \u{0}\r\n\r\n", 400),
        ("GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n", 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        ("GET /health\r\n", 400),
        ("G(T /health HTTP/1.1\r\n\r\n", 400),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}", 400),
        ("GET health/x HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("POST /api/v2/Files HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
        ("POST /api/v2/Files HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        ("POST /api/v2/Files HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        (
            "POST /api/v2/Tokens/Peer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            400,
        ),
        (&format!("GET /{long} HTTP/1.1\r\n\r\n"), 431),
        (&format!("GET / HTTP/1.1\r\nX: {long}\r\n\r\n"), 431),
        (&format!("GET / HTTP/1.1\r\n{many}\r\n"), 431),
    ] {
        let answer = exchange(server.local_addr(), bytes.as_bytes()).await;
        let shown = &bytes[..bytes.len().min(80)];
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{shown:?}: {answer:?}"));
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?}: {answer}");
        assert!(
            head.contains("\r\nconnection: close") && head.contains("\r\nx-correlation-id: "),
            "{shown:?}: {answer}"
        );
        let body: Value = serde_json::from_str(body).unwrap_or_else(|_| panic!("{shown:?}: {answer}"));
        assert!(body["error"]["code"].is_string() && body["error"]["id"].is_string(), "{shown:?}: {answer}");
    }
}
