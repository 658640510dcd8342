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

#[tokio::test(flavor = "multi_thread")]
async fn a_token_gets_settings_in_all_faces_and_shows_them_where_they_were_given() {
    let (node, _peer) = TestNode::pair().await;
    let router = node.router();
    let settings = json!({
        "label": "for Bob", "maxDownloads": 2, "strictUses": true, "notify": "first",
        "notBefore": "2020-01-01T00:00:00.000Z",
    });
    for face in ["/api/v2", "/api/core/v1", "/api/enlace/v1"] {
        let mut body = json!({ "content": {}, "expiresAt": FIRST });
        let plain =
            call(&router, Method::POST, &format!("{face}/Tokens/Own"), Some(&body)).await.json()["result"].take();
        for (name, value) in settings.as_object().unwrap() {
            assert_eq!(plain.get(name), None, "{name} was not asked for");
            body[name] = value.clone();
        }
        let token =
            call(&router, Method::POST, &format!("{face}/Tokens/Own"), Some(&body)).await.json()["result"].take();
        let shown = send(&router, get(&format!("{face}/Tokens/{}", token["id"].as_str().unwrap()))).await.json();
        for (name, value) in settings.as_object().unwrap() {
            assert_eq!((&token[name], &shown["result"][name]), (value, value), "{face} {name}");
        }
        let listed = send(&router, get(&format!("{face}/Tokens/Own"))).await.json()["result"].take();
        let listed = listed.as_array().unwrap().iter().find(|listed| listed["id"] == token["id"]).unwrap();
        assert_eq!((&listed["strictUses"], &listed["maxDownloads"]), (&json!(true), &json!(2)));
        if face == "/api/enlace/v1" {
            let list = send(&router, get(TOKENS)).await.json()["result"]["tokens"].take();
            let strict: Vec<_> =
                list.as_array().unwrap().iter().filter(|listed| listed["strictUses"] == true).collect();
            assert!(strict.iter().any(|listed| listed["id"] == token["id"]), "{list}");
            assert!(strict.iter().all(|listed| listed["maxDownloads"] == 2), "{list}");
            let ephemeral = json!({ "content": {}, "expiresAt": FIRST, "ephemeral": true, "notify": "each" });
            let refused = call(&router, Method::POST, &format!("{face}/Tokens/Own"), Some(&ephemeral)).await;
            assert_eq!(refused.code(), "error.runtime.validation.invalidPropertyValue");
            assert!(refused.json()["error"]["message"].as_str().unwrap().contains("leave out 'notify'"));
            let terms = send(&router, get(&format!("{face}/Tokens/{}/Terms", token["id"].as_str().unwrap()))).await;
            assert_eq!(
                (&terms.json()["result"]["strictUses"], &terms.json()["result"]["maxUses"]),
                (&json!(true), &json!(2))
            );
        }
        for (name, wrong) in [
            ("maxDownloads", json!(0)),
            ("maxDownloads", json!(1_000_001)),
            ("label", json!("x".repeat(129))),
            ("notify", json!("always")),
            ("notBefore", json!(FIRST)),
            ("transports", json!([])),
            ("allow", json!([])),
        ] {
            let mut wrong_body = body.clone();
            wrong_body[name] = wrong;
            let answer = call(&router, Method::POST, &format!("{face}/Tokens/Own"), Some(&wrong_body)).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{face} {name}");
            let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
            assert!(message.trim_start_matches('\'').starts_with(name), "{message}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_changed_and_ended_and_the_token_is_replaced() {
    let (node, peer) = TestNode::pair().await;
    let (router, peers_router) = (node.router(), peer.router());
    let token = created(&router).await;
    let path = format!("{TOKENS}/{}", token["id"].as_str().unwrap());
    let change = async |body: Value| call(&router, Method::PATCH, &path, Some(&body)).await.json()["result"].take();
    let limited = change(json!({ "maxDownloads": 1, "label": "x" })).await;
    assert_eq!((&limited["token"]["maxDownloads"], &limited["token"]["label"]), (&json!(1), &json!("x")));
    assert_eq!(change(json!({ "label": null })).await["backbone"], json!("unchanged"));
    let ended = change(json!({ "maxDownloads": null })).await;
    assert_eq!((ended["token"].get("maxDownloads"), ended["token"].get("label")), (None, None));
    change(json!({ "maxDownloads": 2 })).await;
    assert_eq!(load(&peers_router, &token).await.status, StatusCode::CREATED);
    let rotated = call(&router, Method::POST, &format!("{path}/Rotate"), None).await;
    assert_eq!(rotated.status, StatusCode::CREATED);
    let rotated = rotated.json()["result"].take();
    assert_eq!((&rotated["token"]["maxDownloads"], &rotated["old"]["backbone"]), (&json!(1), &json!("revoked")));
    assert_eq!(load(&peers_router, &token).await.status, StatusCode::NOT_FOUND);
    assert_eq!(load(&peers_router, &rotated["token"]).await.status, StatusCode::CREATED);
    let path = format!("{TOKENS}/{}/Rotate", rotated["token"]["id"].as_str().unwrap());
    let spent = call(&router, Method::POST, &path, None).await;
    assert_eq!(spent.code(), "error.runtime.notSupported");
}
