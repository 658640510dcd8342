//! Compressed bodies are read as far as uncompressed ones.

use axum::body::Body;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{Request, header};
use std::io::Write as _;

use crate::node::{Answer, TestNode, form, send};

const TOKENS: &str = "/api/core/v1/Tokens/Own";
/// What a body with JSON of the caller's own may have.
const MAX_BODY: usize = 2 * 1024 * 1024;

async fn post(node: &TestNode, encoding: &str, body: Vec<u8>) -> Answer {
    let request = Request::post(TOKENS).header(header::CONTENT_TYPE, "application/json");
    send(&node.router(), request.header(header::CONTENT_ENCODING, encoding).body(Body::from(body)).unwrap()).await
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// A creation of so many bytes; the blanks between its members count.
fn creation(length: usize) -> String {
    let members = r#"{"content":{"a":"compressed"},"expiresAt":"2099-01-31""#;
    format!("{members}{}}}", " ".repeat(length - members.len() - 1))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_body_is_read_up_to_the_limit_of_what_it_becomes() {
    let node = TestNode::start().await;
    let answer = post(&node, "gzip", gzip(&creation(MAX_BODY))).await;
    assert_eq!(answer.status, 201, "{:?}", answer.json());
    assert_eq!(answer.json()["result"]["content"]["a"], "compressed");
    let bomb = gzip(&creation(MAX_BODY + 1));
    assert!(bomb.len() < MAX_BODY / 100, "{}", bomb.len());
    let answer = post(&node, "gzip", bomb).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (413, "error.connector.http.payloadTooLarge".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_inflated_is_refused_with_the_reason() {
    let node = TestNode::start().await;
    let cut = gzip(&creation(200));
    for (encoding, body, expected) in [
        ("gzip", cut[..cut.len() - 1].to_vec(), (400, "error.connector.validation.invalidJsonInPayload")),
        ("gzip", creation(200).into_bytes(), (400, "error.connector.validation.invalidJsonInPayload")),
        ("zstd", creation(200).into_bytes(), (415, "error.connector.http.unsupportedContentEncoding")),
        ("gzip, gzip", cut.clone(), (415, "error.connector.http.unsupportedContentEncoding")),
    ] {
        let answer = post(&node, encoding, body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), expected, "{encoding}");
    }
    let mut upload = form("/api/core/v1/Files/Own", &[(b"name=\"file\"; filename=\"a\"", b"x")]);
    upload.headers_mut().insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
    assert_eq!(send(&node.router(), upload).await.status, 415);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_no_large_body_is_inflated() {
    let node = TestNode::start().await;
    let request = Request::post(TOKENS).header(header::CONTENT_TYPE, "application/json").header("x-api-key", "wrong");
    let body = Body::from(gzip(&creation(64 * 1024 + 1)));
    let answer = send(&node.router(), request.header(header::CONTENT_ENCODING, "gzip").body(body).unwrap()).await;
    assert_eq!(answer.status, 401);
}
