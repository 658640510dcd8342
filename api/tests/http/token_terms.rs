//! `/api/enlace/v1/Tokens`: terms of own tokens, another expiry, and revocation.

use axum::Router;
use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};

use crate::node::{Answer, TestNode, get, send};

const TOKENS: &str = "/api/enlace/v1/Tokens";
const FIRST: &str = "2031-01-01T00:00:00.000Z";
const LATER: &str = "2032-01-01T00:00:00.000Z";

async fn call(router: &Router, method: Method, path: &str, body: Option<&Value>) -> Answer {
    let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    send(router, request.body(body).unwrap()).await
}

async fn created(router: &Router) -> Value {
    let body = json!({ "content": { "a": 1 }, "expiresAt": FIRST });
    let answer = call(router, Method::POST, &format!("{TOKENS}/Own"), Some(&body)).await;
    assert_eq!(answer.status, StatusCode::CREATED);
    answer.json()["result"].take()
}

async fn load(router: &Router, token: &Value) -> Answer {
    let body = json!({ "reference": token["reference"]["url"], "ephemeral": true });
    call(router, Method::POST, &format!("{TOKENS}/Peer"), Some(&body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_token_is_changed_and_revoked_and_tells_its_terms() {
    let (node, peer) = TestNode::pair().await;
    let (router, peers_router) = (node.router(), peer.router());
    let token = created(&router).await;
    let path = format!("{TOKENS}/{}", token["id"].as_str().unwrap());
    let terms = async || send(&router, get(&format!("{path}/Terms"))).await.json()["result"].take();
    assert_eq!((&terms().await["status"], &terms().await["expiresAt"]), (&json!("active"), &json!(FIRST)));

    let changed = call(&router, Method::PATCH, &path, Some(&json!({ "expiresAt": LATER }))).await;
    assert_eq!(changed.status, StatusCode::OK);
    let changed = changed.json()["result"].take();
    let mut expected = token.clone();
    expected["expiresAt"] = json!(LATER);
    assert_eq!(changed, json!({ "token": expected, "backbone": "changed", "peers": "notOffered" }));
    assert_eq!(load(&peers_router, &token).await.json()["result"]["expiresAt"], json!(LATER));

    let revoked = call(&router, Method::POST, &format!("{path}/Revoke"), None).await;
    assert_eq!(revoked.status, StatusCode::OK);
    let revoked = revoked.json()["result"].take();
    assert_eq!((&revoked["backbone"], &revoked["peers"]), (&json!("revoked"), &json!("notOffered")));
    assert!(revoked["token"]["revokedAt"].is_string());
    assert_eq!(load(&peers_router, &token).await.status, StatusCode::NOT_FOUND);
    assert_eq!(terms().await["status"], json!("revoked"));
    let listed = send(&router, get(&format!("{TOKENS}/Own"))).await.json()["result"].take();
    assert_eq!(listed, json!([revoked["token"]]));
    for dialect in ["/api/v2", "/api/core/v1"] {
        let shown = send(&router, get(&format!("{dialect}/Tokens/{}", token["id"].as_str().unwrap()))).await.json();
        assert_eq!(shown["result"].get("revokedAt"), None, "published clients do not know it");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_changed_is_refused() {
    let (node, peer) = TestNode::pair().await;
    let (router, peers_router) = (node.router(), peer.router());
    let token = created(&router).await;
    let path = format!("{TOKENS}/{}", token["id"].as_str().unwrap());
    for body in
        [json!({}), json!({ "expiresAt": "soon" }), json!({ "expiresAt": null }), json!({ "expiresAt": LATER, "x": 1 })]
    {
        let answer = call(&router, Method::PATCH, &path, Some(&body)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
    }
    let past = call(&router, Method::PATCH, &path, Some(&json!({ "expiresAt": "2001-01-01T00:00:00.000Z" }))).await;
    assert_eq!(past.code(), "error.runtime.validation.invalidPropertyValue");
    let body = json!({ "reference": token["reference"]["url"] });
    call(&peers_router, Method::POST, &format!("{TOKENS}/Peer"), Some(&body)).await;
    let change = json!({ "expiresAt": LATER });
    for (router, path, code) in [
        (&peers_router, path.as_str(), "error.runtime.notSupported"),
        (&router, "/api/enlace/v1/Tokens/TOKunknownunknown123", "error.runtime.recordNotFound"),
    ] {
        assert_eq!(call(router, Method::PATCH, path, Some(&change)).await.code(), code);
        assert_eq!(call(router, Method::POST, &format!("{path}/Revoke"), None).await.code(), code);
        assert_eq!(send(router, get(&format!("{path}/Terms"))).await.code(), code);
    }
}
