//! Numbers: what an answer shows to whoever stores a value is what everybody else reads from it.

use axum::Router;
use axum::body::Body;
use http::{Request, header};

use crate::node::{Answer, TestNode, get, send};

/// Digits that no double has, and forms of numbers that ECMAScript writes otherwise.
const GIVEN: &str = r#"{"id":9007199254740993,"rate":1.0,"zero":-0.0,"small":1E-7}"#;
const SEALED: &str = r#"{"id":9007199254740992,"rate":1,"zero":0,"small":1e-7}"#;

async fn json(router: &Router, method: &str, path: &str, body: String) -> Answer {
    let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
    send(router, request.body(Body::from(body)).unwrap()).await
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn creator_and_peer_of_a_token_see_the_digits_that_were_sealed() {
    let (creator, reader) = TestNode::pair().await;
    for prefix in ["/api/v2", "/api/core/v1"] {
        let body = format!(r#"{{"content":{GIVEN},"expiresAt":"2099-01-31"}}"#);
        let created = json(&creator.router(), "POST", &format!("{prefix}/Tokens/Own"), body).await;
        let token = &created.json()["result"];
        let stored = send(&creator.router(), get(&format!("{prefix}/Tokens/{}", token["id"].as_str().unwrap()))).await;
        let listed = send(&creator.router(), get(&format!("{prefix}/Tokens/Own"))).await;
        let body = format!(r#"{{"reference":{}}}"#, token["reference"]["url"]);
        let loaded = json(&reader.router(), "POST", &format!("{prefix}/Tokens/Peer"), body).await;
        for answer in [&created, &stored, &listed, &loaded] {
            assert!(text(answer).contains(&format!(r#""content":{SEALED}"#)), "{}", text(answer));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_metadata_shows_the_digits_that_other_devices_read() {
    let node = TestNode::start().await;
    let router = node.router();
    let address = node.runtime.account().identity_info().await.unwrap().address;
    let body = format!(r#"{{"reference":"{address}","value":{GIVEN}}}"#);
    let stored = json(&router, "PUT", "/api/v2/IdentityMetadata", body).await;
    let found = send(&router, get(&format!("/api/v2/IdentityMetadata?reference={address}"))).await;
    for answer in [&stored, &found] {
        assert!(text(answer).contains(&format!(r#""value":{SEALED}"#)), "{}", text(answer));
    }
}
