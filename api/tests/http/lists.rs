//! Lists that do not fit into one page: complete, in order, in chunks.

use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use runtime::facade::Ownership;
use runtime::testing::remember_tokens;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tower_http::decompression::Decompression;

use crate::node::{KEY, TestNode, get, send};

const OWN: &str = "/api/core/v1/Tokens/Own";
const MANY: usize = 2000;

async fn node_with(count: usize) -> TestNode {
    let node = TestNode::start().await;
    let expiry = node.runtime.clock().now().saturating_add(Duration::from_secs(3600));
    let tokens = (0..count).map(|number| (json!({ "number": number }), expiry));
    remember_tokens(&node.runtime, tokens).await.unwrap();
    node
}

fn numbers(answer: &Value) -> Vec<usize> {
    let tokens = answer["result"].as_array().unwrap();
    tokens.iter().map(|token| usize::try_from(token["content"]["number"].as_u64().unwrap()).unwrap()).collect()
}

fn request(path: &str) -> Request<Body> {
    let builder = Request::get(path).header(header::HOST, "localhost").header("x-api-key", KEY);
    builder.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_short_list_has_a_length_and_a_tag_and_a_long_one_has_neither() {
    let answer = send(&node_with(3).await.router(), get(OWN)).await;
    assert_eq!(answer.headers[header::CONTENT_LENGTH], answer.body.len().to_string().as_str());
    assert!(answer.headers.contains_key(header::ETAG));
    let node = node_with(MANY).await;
    let answer = send(&node.router(), get(OWN)).await;
    assert!(!answer.headers.contains_key(header::CONTENT_LENGTH) && !answer.headers.contains_key(header::ETAG));
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json; charset=utf-8");
    assert_eq!(numbers(&answer.json()), (0..MANY).collect::<Vec<_>>());
}

#[tokio::test]
async fn both_dialects_show_what_the_node_knows() {
    let node = node_with(MANY).await;
    let known = node.runtime.tokens().tokens(Ownership::Own, &[]).unwrap().collect().await.unwrap();
    let mut answer = send(&node.router(), get(OWN)).await.json();
    assert_eq!(answer["result"], json!(known));
    let older = send(&node.router(), get("/api/v2/Tokens/Own")).await.json();
    for token in answer["result"].as_array_mut().unwrap() {
        token["truncatedReference"] = token["reference"]["truncated"].clone();
    }
    assert_eq!(older, answer);
}

#[tokio::test]
async fn a_refused_filter_is_an_ordinary_failure() {
    let node = node_with(MANY).await;
    for query in ["unknown=1", "createdAt=~("] {
        let answer = send(&node.router(), get(&format!("{OWN}?{query}"))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
        assert!(answer.code().starts_with("error.runtime."), "{query}");
    }
}

#[tokio::test]
async fn a_filter_without_a_match_over_many_pages_is_an_empty_list() {
    let node = node_with(MANY).await;
    let answer = send(&node.router(), get(&format!("{OWN}?createdBy=nobody"))).await;
    assert_eq!((answer.status, answer.body), (StatusCode::OK, "{\"result\":[]}".into()));
}

#[tokio::test]
async fn the_first_chunk_comes_before_the_last_page_is_read() {
    let node = node_with(MANY).await;
    let mut body = node.router().oneshot(request(OWN)).await.unwrap().into_body();
    let mut text = body.frame().await.unwrap().unwrap().into_data().unwrap().to_vec();
    assert!(text.starts_with(b"{\"result\":[{\"id\":") && text.len() < 256 * 1024, "{} bytes", text.len());
    // Its id, because tokens that were put there by the test are numbered by it.
    let last = format!("TOK{:017}", MANY - 1).parse().unwrap();
    node.runtime.tokens().delete_token(&last).await.unwrap();
    text.extend(body.collect().await.unwrap().to_bytes());
    assert_eq!(numbers(&serde_json::from_slice(&text).unwrap()), (0..MANY - 1).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_compressed_list_is_the_same_and_comes_in_pieces() {
    let node = node_with(MANY).await;
    let mut compressed = request(OWN);
    compressed.headers_mut().insert(header::ACCEPT_ENCODING, "br".parse().unwrap());
    let response = node.router().oneshot(compressed).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_ENCODING], "br");
    let unpacked = Decompression::new(node.router()).oneshot(request(OWN)).await.unwrap();
    let unpacked = unpacked.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(numbers(&serde_json::from_slice(&unpacked).unwrap()), (0..MANY).collect::<Vec<_>>());
    let mut body = response.into_body();
    let mut pieces = 0;
    while let Some(frame) = body.frame().await {
        frame.unwrap();
        pieces += 1;
    }
    assert!(pieces > 1);
}

#[tokio::test]
async fn head_of_a_long_list_tells_no_length() {
    let node = node_with(MANY).await;
    let mut head = get(OWN);
    *head.method_mut() = http::Method::HEAD;
    let answer = send(&node.router(), head).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, 0));
    assert!(!answer.headers.contains_key(header::CONTENT_LENGTH));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_all_the_time_is_listed_once_whatever_happens_beside_it() {
    const COUNT: usize = 5000;
    let node = node_with(COUNT).await;
    let router = node.router();
    let tokens = node.runtime.tokens();
    let mut body = router.clone().oneshot(request(OWN)).await.unwrap().into_body();
    let mut text = body.frame().await.unwrap().unwrap().into_data().unwrap().to_vec();
    let removed = [0, 1, COUNT / 2, COUNT - 2];
    for number in removed {
        tokens.delete_token(&format!("TOK{number:017}").parse().unwrap()).await.unwrap();
        let expires_at = node.runtime.clock().now().saturating_add(Duration::from_secs(60));
        let added = runtime::facade::CreateOwnToken::new(json!({ "number": COUNT }), expires_at);
        tokens.create_own_token(added).await.unwrap();
        if let Some(frame) = body.frame().await {
            text.extend(frame.unwrap().into_data().unwrap());
        }
    }
    text.extend(body.collect().await.unwrap().to_bytes());
    let listed = numbers(&serde_json::from_slice(&text).unwrap());
    assert!(listed.is_sorted() && listed.windows(2).all(|pair| pair[0] != pair[1]), "in order, and none twice");
    assert!((0..COUNT).all(|number| removed.contains(&number) || listed.contains(&number)));
    assert!(!listed.contains(&COUNT) && !listed.contains(&(COUNT - 2)));
    let later = numbers(&send(&router, get(OWN)).await.json());
    assert_eq!(later.len(), COUNT, "four are gone, four are new");
}
