//! `GET /api/enlace/v1/Tokens`: one list of all tokens, with queries, and what is refused of them.

use axum::Router;
use http::StatusCode;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use runtime::facade::{CreateOwnToken, CreateTokenForFile, LoadPeerToken, UploadOwnFile};
use runtime::{Runtime, Timestamp};
use serde_json::{Value, json};

use crate::node::{Answer, TestNode, get, send};

const TOKENS: &str = "/api/enlace/v1/Tokens";

async fn ask(router: &Router, parameters: &[(&str, String)]) -> Answer {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    send(router, get(&format!("{TOKENS}?{}", pairs.join("&")))).await
}

async fn find(router: &Router, queries: &[Value]) -> Value {
    let parameters: Vec<_> = queries.iter().map(|query| ("queries[]", query.to_string())).collect();
    let answer = ask(router, &parameters).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.json());
    answer.json()["result"].take()
}

fn ids(found: &Value) -> Vec<&str> {
    found["tokens"].as_array().unwrap().iter().map(|token| token["id"].as_str().unwrap()).collect()
}

fn query(method: &str, attribute: &str, values: &[Value]) -> Value {
    json!({ "method": method, "attribute": attribute, "values": values })
}

/// A token with a number as its content, which expires in that year.
async fn token(runtime: &Runtime, year: u32) -> String {
    let expires_at: Timestamp = format!("{year}-01-01").parse().unwrap();
    let request: CreateOwnToken =
        serde_json::from_value(json!({ "content": { "year": year }, "expiresAt": expires_at })).unwrap();
    runtime.tokens().create_own_token(request).await.unwrap().id.to_string()
}

async fn refusal(router: &Router, parameters: &[(&str, String)], words: &str) {
    let answer = ask(router, parameters).await;
    let message = answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{words}: {message}");
    assert_eq!(answer.code(), "error.runtime.validation.invalidPropertyValue");
    assert!(message.contains(words), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn own_and_peers_tokens_are_on_one_list_without_contents_and_references() {
    let (node, peer) = TestNode::pair().await;
    let router = node.router();
    assert_eq!(find(&router, &[]).await, json!({ "total": 0, "tokens": [] }));
    let (late, soon) = (token(&node.runtime, 2090).await, token(&node.runtime, 2080).await);
    let file = UploadOwnFile::new(&b"content"[..], "a.txt".parse().unwrap(), "text/plain".parse().unwrap());
    let file = node.runtime.files().upload_own_file(file).await.unwrap();
    let shared = node.runtime.files().create_token_for_file(&file.id, CreateTokenForFile::default()).await.unwrap();
    let theirs: Timestamp = "2085-01-01".parse().unwrap();
    let request = serde_json::from_value(json!({ "content": { "secret": "planted" }, "expiresAt": theirs })).unwrap();
    let theirs = peer.runtime.tokens().create_own_token(request).await.unwrap();
    let load = LoadPeerToken { reference: theirs.reference.url.clone(), ephemeral: false, password: None };
    node.runtime.tokens().load_peer_token(load).await.unwrap();

    let all = find(&router, &[]).await;
    assert_eq!(all["total"], 4);
    let shown = |id: &str| all["tokens"].as_array().unwrap().iter().find(|token| token["id"] == id).unwrap().clone();
    let of_file = shown(shared.id.as_str());
    assert_eq!(
        of_file,
        json!({
            "id": shared.id, "delivery": "e2e", "status": "active", "isOwn": true, "fileId": file.id,
            "createdAt": shared.created_at, "updatedAt": shared.created_at, "downloads": 0, "hasPassword": false
        }),
        "a token that never expires has no expiry, and nothing is there that was not set"
    );
    assert_eq!(shown(theirs.id.as_str())["isOwn"], false);
    let text = all.to_string();
    let secrets = ["planted", "reference", "secretKey", shared.reference.truncated.as_str(), "content"];
    assert!(secrets.iter().all(|secret| !text.contains(secret)), "{text}");

    let by_expiry = [query("isNotNull", "expiresAt", &[]), query("orderAsc", "expiresAt", &[])];
    assert_eq!(ids(&find(&router, &by_expiry).await), [soon.as_str(), theirs.id.as_str(), late.as_str()]);
    let early = find(&router, &[query("lessThan", "expiresAt", &[json!("2085-01-01T00:00:00+01:00")])]).await;
    assert_eq!((ids(&early), &early["total"]), (vec![soon.as_str()], &json!(1)));
    assert_eq!(ids(&find(&router, &[query("equal", "fileId", &[json!(file.id)])]).await), [shared.id.as_str()]);
    let parameters = [("queries[0]", query("equal", "isOwn", &[json!(true)]).to_string()), ("total", "false".into())];
    let uncounted = ask(&router, &parameters).await.json()["result"].take();
    assert_eq!((&uncounted["total"], ids(&uncounted).len()), (&json!(0), 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_on_behind_a_cursor_and_a_change_is_on_the_next_list() {
    let node = TestNode::start().await;
    let router = node.router();
    let mut expected = Vec::new();
    for year in [2030, 2031, 2032, 2033, 2034] {
        expected.push(token(&node.runtime, year).await);
    }
    let order = query("orderAsc", "expiresAt", &[]);
    let page = |more: Value| [order.clone(), json!({ "method": "limit", "values": [2] }), more];
    let mut found: Vec<String> = Vec::new();
    let mut cursor = json!({ "method": "offset", "values": [0] });
    loop {
        let next = find(&router, &page(cursor)).await;
        let next = ids(&next).into_iter().map(str::to_owned).collect::<Vec<_>>();
        let Some(last) = next.last() else { break };
        cursor = json!({ "method": "cursorAfter", "values": [last] });
        found.extend(next);
    }
    assert_eq!(found, expected);
    let before = json!({ "method": "cursorBefore", "values": [expected[3]] });
    assert_eq!(ids(&find(&router, &page(before)).await), [&expected[1], &expected[2]]);

    node.runtime.tokens().delete_token(&expected[0].parse().unwrap()).await.unwrap();
    node.runtime.tokens().revoke_token(&expected[1].parse().unwrap()).await.unwrap();
    let all = find(&router, &[]).await;
    assert_eq!(all["total"], 4);
    let revoked = find(&router, &[query("equal", "status", &[json!("revoked")])]).await;
    assert_eq!(ids(&revoked), [&expected[1]]);
    assert!(revoked["tokens"][0]["revokedAt"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_and_limits_are_found() {
    let node = TestNode::start().await;
    let router = node.router();
    token(&node.runtime, 2090).await;
    let request = json!({
        "content": {}, "expiresAt": "2090-01-01T00:00:00.000Z", "label": "for Ada", "maxDownloads": 3,
        "notBefore": "2080-01-01T00:00:00.000Z"
    });
    let limited = node.runtime.tokens().create_own_token(serde_json::from_value(request).unwrap()).await.unwrap();
    for found in [
        query("contains", "label", &[json!("Ada")]),
        query("equal", "remaining", &[json!(3)]),
        query("greaterThan", "maxDownloads", &[json!(2)]),
        query("equal", "status", &[json!("notYetValid")]),
        query("isNotNull", "notBefore", &[]),
    ] {
        assert_eq!(ids(&find(&router, std::slice::from_ref(&found)).await), [limited.id.as_str()], "{found}");
    }
    let of_all = find(&router, &[query("orderDesc", "label", &[])]).await;
    assert_eq!(of_all["tokens"][0]["label"], "for Ada");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_the_language_is_refused() {
    let node = TestNode::start().await;
    let router = node.router();
    token(&node.runtime, 2090).await;
    let limit = json!({ "method": "limit", "values": [1] }).to_string();
    let many = |count: usize| vec![("queries[]", limit.clone()); count];
    assert_eq!(ask(&router, &many(100)).await.status, StatusCode::OK);
    refusal(&router, &many(101), "101 queries are too many").await;

    let frame = r#"{"method":"equal","attribute":"label","values":[""]}"#;
    let long = |length: usize| frame.replace("[\"\"]", &format!("[\"{}\"]", "x".repeat(length - frame.len())));
    assert_eq!(ask(&router, &[("queries[]", long(4096))]).await.status, StatusCode::OK);
    refusal(&router, &[("queries[]", long(4097))], "4097 characters are too many").await;

    let leaf = || query("isNull", "label", &[]);
    let nested = |depth: usize| {
        (1..depth).fold(leaf(), |inner, _| json!({ "method": "or", "values": [leaf(), inner] })).to_string()
    };
    assert_eq!(ask(&router, &[("queries[]", nested(16))]).await.status, StatusCode::OK);
    refusal(&router, &[("queries[]", nested(17))], "query 1: ").await;
    refusal(&router, &[("queries[]", "[".repeat(4096))], "it is not JSON").await;

    for (text, words) in [
        (query("elemMatch", "label", &[]), "\"elemMatch\" is not offered"),
        (query("select", "", &[json!("id")]), "\"select\" is not offered"),
        (query("equal", "secretKey", &[json!("x")]), "there is no attribute \"secretKey\""),
        (query("equal", "expiresAt", &[json!("soon")]), "expiresAt"),
        (query("regex", "label", &[json!("(")]), "regular expression"),
        (json!({ "method": "limit", "values": [5001] }), "limit"),
        (json!({ "method": "cursorAfter", "values": ["../x"] }), "cursor"),
        // The id of something that is on another list.
        (json!({ "method": "cursorAfter", "values": ["FIL00000000000000000"] }), "FIL00000000000000000"),
        (json!({ "method": "offset", "values": [10_000] }), "cursorAfter"),
    ] {
        refusal(&router, &[("queries[]", text.to_string())], words).await;
    }
    refusal(&router, &[("isOwn", "true".to_owned())], "queries[]").await;
    refusal(&router, &[("total", "maybe".to_owned())], "total").await;
    for dialect in ["/api/v2", "/api/core/v1"] {
        assert_eq!(send(&router, get(&format!("{dialect}/Tokens"))).await.status, StatusCode::NOT_FOUND);
    }
}
