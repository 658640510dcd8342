//! What the interface says of peers and paths.

use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode, header};
use serde_json::{Value, json};

use crate::node::{TestNode, form, get, send};

const PREFIXES: [&str; 3] = ["/api/v2", "/api/core/v1", "/api/enlace/v1"];
const SITE: &str = "https://app.example.org";

fn path(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-enlace-path").map(|value| value.to_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_are_listed_by_the_own_face_alone() {
    let node = TestNode::start().await;
    let router = node.router();
    let answer = send(&router, get("/api/enlace/v1/Peers")).await;
    // This node has none by its settings.
    assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({"result": {"peers": [], "self": Value::Null}})));
    for prefix in &PREFIXES[..2] {
        assert_eq!(send(&router, get(&format!("{prefix}/Peers"))).await.status, StatusCode::NOT_FOUND, "{prefix}");
    }
    let mut request = get("/api/enlace/v1/Peers");
    request.headers_mut().remove("x-api-key");
    request.headers_mut().insert("x-api-key", "wrong".parse().unwrap());
    assert_eq!(send(&router, request).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_says_by_which_path_it_comes_in_every_face() {
    let (node, peer) = TestNode::pair().await;
    let uploaded =
        send(&node.router(), form("/api/v2/Files/Own", &[(b"name=\"file\"; filename=\"a\"", b"hello")])).await;
    let reference = uploaded.json()["result"]["reference"]["truncated"].take();
    let mut config = TestNode::config();
    config.allowed_origins.insert(SITE.to_owned());
    let router = api::router(peer.runtime.clone(), config);
    let load = Request::post("/api/v2/Files/Peer").header(header::CONTENT_TYPE, "application/json");
    let loaded = send(&router, load.body(Body::from(json!({"reference": reference}).to_string())).unwrap()).await;
    assert_eq!(loaded.status, StatusCode::CREATED);
    let id = loaded.json()["result"]["id"].as_str().unwrap().to_owned();
    for prefix in PREFIXES {
        let ask = async |method: Method, name: header::HeaderName, value: &str| {
            let request = Request::builder().method(method).uri(format!("{prefix}/Files/{id}/Download"));
            send(&router, request.header(name, value).body(Body::empty()).unwrap()).await
        };
        let whole = ask(Method::GET, header::ORIGIN, SITE).await;
        assert_eq!((whole.status, path(&whole.headers)), (StatusCode::OK, Some("backbone")), "{prefix}");
        assert_eq!(whole.headers[header::ACCESS_CONTROL_EXPOSE_HEADERS], "x-enlace-path");
        let part = ask(Method::GET, header::RANGE, "bytes=1-2").await;
        assert_eq!((part.status, path(&part.headers)), (StatusCode::PARTIAL_CONTENT, Some("backbone")), "{prefix}");
        assert!(!part.headers.contains_key(header::ACCESS_CONTROL_EXPOSE_HEADERS));
        // Nothing comes.
        let head = ask(Method::HEAD, header::ORIGIN, SITE).await;
        assert_eq!((head.status, path(&head.headers)), (StatusCode::OK, None), "{prefix}");
        let none = ask(Method::GET, header::RANGE, "bytes=9-").await;
        assert_eq!((none.status, path(&none.headers)), (StatusCode::RANGE_NOT_SATISFIABLE, None), "{prefix}");
    }
}
