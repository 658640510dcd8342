//! What strangers on the port, and web pages that somebody visits, can and cannot do (threats T6, T7, T14).
use std::collections::BTreeSet;

use crate::node::{KEY, TestNode, get, send};
use api::{ApiConfig, ApiKey, ApiKeys};
use axum::body::Body;
use http::{Request, StatusCode};
use runtime::{Secret, Timestamp};

fn request(path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut builder = Request::get(path);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Body::empty()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_but_health_and_documentation_needs_a_key() {
    let node = TestNode::start().await;
    let router = node.router();
    let without = |path: &str| request(path, &[("x-api-key", "")]);
    for path in ["/health", "/docs/json", "/docs/yaml", "/docs/swagger/"] {
        assert_eq!(send(&router, without(path)).await.status, StatusCode::OK, "{path}");
    }
    let document: serde_json::Value = serde_json::from_str(&api::openapi_json()).unwrap();
    let documented: Vec<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    let others = ["/", "/api-docs", "/Monitoring/Version", "/Monitoring/Support", "/unknown"].map(str::to_owned);
    let (guests, documented): (Vec<_>, Vec<_>) = documented.into_iter().partition(|path| path.starts_with("/v1/"));
    // Guests are told what they lack, or that nothing is there for them.
    for template in &guests {
        let names = ["{bucketId}", "{fileId}", "{tokenId}", "{claimId}"];
        let path = names.iter().fold(template.clone(), |path, name| path.replace(name, "x"));
        let answer = send(&router, request(&path, &[("x-api-key", ""), ("x-appwrite-project", "enlace")])).await;
        let is_read = document["paths"][template].get("get").is_some();
        let expected = match (is_read, path.starts_with("/v1/storage/") && path.contains("/files")) {
            (true, true) => 404,
            (true, false) => 401,
            // What can only be changed is not found by reading.
            (false, _) if path == "/v1/tokens/claims" => 401,
            (false, _) => 405,
        };
        assert_eq!(answer.status.as_u16(), expected, "{path}");
        let unnamed = send(&router, without(&path)).await;
        assert_eq!(unnamed.json()["type"], "project_not_found", "{path}");
    }
    for path in documented.iter().chain(&others).filter(|path| *path != "/health") {
        let answer = send(&router, without(&path.replace("{id}", "x"))).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "error.connector.unauthorized"), "{path}");
        assert!(!answer.headers.contains_key("www-authenticate"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebound_name_or_a_foreign_page_gets_nothing_not_even_health() {
    let node = TestNode::start().await;
    let router = node.router();
    for path in ["/health", "/docs/json", "/api/v2/Files"] {
        for headers in [
            [("host", "evil.example.org"), ("accept", "*/*")],
            [("origin", "https://evil.example.org"), ("accept", "*/*")],
            [("origin", "null"), ("accept", "*/*")],
        ] {
            let answer = send(&router, request(path, &headers)).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} {headers:?}");
            assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control")), "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_page_is_let_in_with_a_key_and_told_so() {
    let node = TestNode::start().await;
    let origin = "https://app.example.org";
    let config = ApiConfig { allowed_origins: BTreeSet::from([origin.to_owned()]), ..TestNode::config() };
    let router = api::router(node.runtime.clone(), config);
    let answer = send(&router, request("/api/v2/Account/IdentityInfo", &[("origin", origin)])).await;
    assert_eq!(
        (answer.status, &answer.headers["access-control-allow-origin"]),
        (StatusCode::OK, &origin.parse().unwrap())
    );
    let keyless = send(&router, request("/api/v2/Files", &[("origin", origin), ("x-api-key", "")])).await;
    assert_eq!(keyless.status, StatusCode::UNAUTHORIZED);
    let mut preflight = request("/api/v2/Files", &[("origin", origin), ("access-control-request-method", "POST")]);
    *preflight.method_mut() = http::Method::OPTIONS;
    let answer = send(&router, preflight).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert!(answer.headers["access-control-allow-headers"].to_str().unwrap().contains("X-API-KEY"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_does_what_its_scopes_say() {
    let node = TestNode::start().await;
    let scoped = ApiKey { scopes: vec!["core:files".to_owned()], ..ApiKey::new("files", Secret::new(KEY)) };
    let keys = ApiKeys::named(&[scoped], Timestamp::MIN).unwrap();
    let router = api::router(node.runtime.clone(), ApiConfig::new(keys));
    for (path, status) in [
        ("/api/core/v1/Files", 200),
        ("/api/v2/Files/Own", 200),
        ("/api/core/v1/Tokens/Own", 403),
        ("/api/core/v1/Account/IdentityInfo", 403),
        ("/Monitoring/Support", 403),
        ("/api/core/v1/Unknown", 404),
    ] {
        assert_eq!(send(&router, get(path)).await.status.as_u16(), status, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_star_is_one_segment_and_opens_nothing() {
    let node = TestNode::start().await;
    let scoped = ApiKey { scopes: vec!["*".to_owned()], ..ApiKey::new("star", Secret::new(KEY)) };
    let router = api::router(node.runtime.clone(), ApiConfig::new(ApiKeys::named(&[scoped], Timestamp::MIN).unwrap()));
    for path in ["/api/core/v1/Files", "/api/v2/Files", "/Monitoring/Version"] {
        assert_eq!(send(&router, get(path)).await.status, StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_wrong_keys_is_cut_off() {
    let node = TestNode::start().await;
    let router = node.router();
    let mut refused = 0;
    for attempt in 0..200 {
        let answer = send(&router, request("/api/v2/Files", &[("x-api-key", &format!("guess {attempt}"))])).await;
        assert!(matches!(answer.status.as_u16(), 401 | 429));
        refused += u32::from(answer.status == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(refused > 50, "{refused} of 200 were cut off");
    assert_eq!(send(&router, get("/api/v2/Files")).await.status, StatusCode::OK, "the right key is not locked out");
    let healthy = send(&router, request("/health", &[("x-api-key", "")])).await;
    assert_eq!(healthy.status, StatusCode::OK, "what needs no key goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn support_shows_neither_keys_nor_the_environment() {
    let node = TestNode::start().await;
    let answer = send(&node.router(), get("/Monitoring/Support")).await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    assert!(!text.contains(KEY) && !text.contains("CARGO_MANIFEST_DIR") && !text.contains("PATH"), "{text}");
}
