//! What all operations share: envelope, paging, headers, letter case, limits, event streams.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{NEVER, Upload, World, answer, refusal, text_of};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// C6, C7, C8.
#[tokio::test]
async fn lists_come_in_pages() {
    let world = World::new().await;
    let person = world.person(1).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(text_of(&person.file(b"bytes").await["id"]));
        world.advance(1);
    }
    let body: Value = person.get("/Files").send().await.unwrap().json().await.unwrap();
    assert!(body.get("pagination").is_none());
    for (number, id) in ids.iter().enumerate() {
        let path = format!("/Files?PAGESIZE=1&pagenumber={}", number + 1);
        let body: Value = person.get(&path).send().await.unwrap().json().await.unwrap();
        assert_eq!(body["result"][0]["id"], json!(id));
        let pagination = json!({ "pageNumber": number + 1, "pageSize": 1, "totalPages": 3, "totalRecords": 3 });
        assert_eq!(body["pagination"], pagination);
    }
    assert_eq!(answer(person.get("/Files?pageSize=1&pageNumber=9"), 200).await, json!([]));
    let code = "validation.pagination.invalidPageSize";
    assert_eq!(refusal(person.get("/Files?pageSize=201"), 400).await, code);
    for query in ["pageSize=0", "pageNumber=0", "pageSize=-1"] {
        assert_eq!(refusal(person.get(&format!("/Files?{query}")), 400).await, "validation.invalidPropertyValue");
    }
    assert_eq!(refusal(person.get("/Files?pageNumber=x"), 400).await, "inputCannotBeParsed");
}

/// C36.
#[tokio::test]
async fn paths_queries_and_members_are_read_in_any_case() {
    let world = World::new().await;
    let person = world.person(1).await;
    let body = json!({ "CONTENT": "AAAA", "expiresat": NEVER });
    let created = answer(person.post("/api/V2/tokens", &body), 201).await;
    let id = text_of(&created["id"]);
    let shown = answer(person.get(&format!("/API/v1/TOKENS?IDS={id}")), 200).await;
    assert_eq!(shown[0]["content"], "AAAA");
}

#[tokio::test]
async fn unknown_paths_are_a_404_without_envelope() {
    let world = World::new().await;
    for path in ["/api/v3/Tokens", "/api/v2/Nothing", "/api/v2", "/connect", "/r/with-dash"] {
        let response = world.anonymous(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), 404, "{path}");
        assert!(response.text().await.unwrap().is_empty(), "{path}");
    }
}

#[tokio::test]
async fn version_health_and_landing_page() {
    let world = World::new().await;
    for (path, version) in [("/api/v2/Version", "7"), ("/api/v1/version", "6")] {
        assert_eq!(answer(world.anonymous(Method::GET, path), 200).await, json!({ "majorVersion": version }));
    }
    let health = world.anonymous(Method::GET, "/health").send().await.unwrap();
    assert_eq!((health.status().as_u16(), health.text().await.unwrap().as_str()), (200, "Healthy"));
    let page = world.anonymous(Method::GET, "/r/TOKaaaaaaaaaaaaaaaa1").send().await.unwrap();
    assert_eq!(page.headers()["referrer-policy"], "no-referrer");
    let page = page.text().await.unwrap();
    assert!(page.contains("enlace receive") && !page.contains("<script"), "{page}");
}

/// C34.
#[tokio::test]
async fn tags_are_not_sent_twice() {
    let world = World::new().await;
    let first = world.anonymous(Method::GET, "/Tags").send().await.unwrap();
    let tag = first.headers()["etag"].clone();
    let body: Value = first.json().await.unwrap();
    assert_eq!(body["result"]["supportedLanguages"], json!(["en"]));
    for known in [tag.to_str().unwrap().to_owned(), format!("W/{}", tag.to_str().unwrap())] {
        let again = world.anonymous(Method::GET, "/Tags").header("if-none-match", known).send().await.unwrap();
        assert_eq!((again.status().as_u16(), &again.headers()["etag"]), (304, &tag));
        assert!(again.text().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn answers_carry_the_headers_clients_read() {
    let world = World::new().await;
    let with_id = |id: &str| world.anonymous(Method::GET, "/Version").header("x-correlation-id", id).send();
    let response = with_id(" some-id ").await.unwrap();
    let headers = response.headers();
    assert_eq!(headers["x-correlation-id"], "some-id");
    assert_eq!(headers["x-request-time"], "2030-01-01T12:00:00.000Z");
    assert_eq!(headers["x-response-time"], "2030-01-01T12:00:00.000Z");
    assert!(headers["x-response-duration-ms"].to_str().unwrap().parse::<u64>().is_ok());
    assert!(!headers["x-trace-id"].is_empty());
    assert_eq!(headers["x-frame-options"], "Deny");
    assert_eq!(headers["content-type"], "application/json; charset=utf-8");
    assert!(headers.get("server").is_none() && headers.get("access-control-allow-origin").is_none());
    assert_eq!(with_id(&"x".repeat(300)).await.unwrap().headers()["x-correlation-id"].len(), 100);
    let generated = world.anonymous(Method::GET, "/Version").send().await.unwrap();
    assert!(!generated.headers()["x-correlation-id"].is_empty());
}

#[tokio::test]
async fn a_failure_is_named_like_its_request() {
    let world = World::new().await;
    let response =
        world.anonymous(Method::GET, "/Challenges/x").header("host", "evil.example.org").send().await.unwrap();
    let trace = response.headers()["x-trace-id"].to_str().unwrap().to_owned();
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["error"]["id"], format!("ERR{trace}"));
}

/// C37.
#[tokio::test]
async fn bodies_over_the_limit_are_a_bad_request() {
    let world = World::new().await;
    let person = world.person(1).await;
    let code = "requestBodyTooLarge";
    let content = "A".repeat(21 * 1024 * 1024);
    let body = json!({ "content": content, "expiresAt": NEVER });
    assert_eq!(refusal(person.post("/Tokens", &body), 400).await, code);
    assert_eq!(refusal(person.upload(Upload::new(content.as_bytes())), 400).await, code);
    answer(person.get("/Devices/Self"), 200).await;
}

/// A client that sends a large body before it looks for the answer sees the 401 that tells it to log in again.
#[tokio::test]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let world = World::new().await;
    let form = Upload::new(&vec![0; 14 * 1024 * 1024]).into_form();
    let upload = world.anonymous(Method::POST, "/Files").bearer_auth("expired").multipart(form);
    assert_eq!(upload.send().await.unwrap().status(), 401);
}

/// Reads frames until `count` of them have come.
async fn frames(response: &mut Response, count: usize) -> String {
    let mut text = String::new();
    while text.matches("\n\n").count() < count {
        text.push_str(std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap());
    }
    text
}

/// C35: under both versions; the stream ends when the server stops.
#[tokio::test]
async fn event_streams_deliver_notifications_and_end_with_the_server() {
    let mut world = World::new().await;
    let (owner, stranger) = (world.person_with_datawallet(1).await, world.person(2).await);
    let mut streams = Vec::new();
    for path in ["/api/v1/sse", "/api/v2/sse"] {
        let mut stream = owner.get(path).send().await.unwrap();
        assert_eq!(stream.headers()["content-type"], "text/event-stream");
        assert_eq!(frames(&mut stream, 1).await, "event: ConnectionOpened\ndata: _\n\n");
        streams.push(stream);
    }
    let file = owner.file(b"bytes").await;
    let path = format!("/Files/{}/ClaimOwnership", text_of(&file["id"]));
    refusal(stranger.patch(&path, &json!({ "ownershipToken": "wrong" })), 403).await;
    for stream in &mut streams {
        assert_eq!(frames(stream, 1).await, "event: ExternalEventCreated\ndata: _\n\n");
    }
    // The device that pushes is not told, other devices are.
    let mut other = owner.second_device().await.get("/sse").send().await.unwrap();
    frames(&mut other, 1).await;
    answer(owner.push(0, &["a"]), 201).await;
    assert_eq!(frames(&mut other, 1).await, "event: DatawalletModificationsCreated\ndata: _\n\n");
    world.backbone.take().unwrap().shutdown().await.unwrap();
    for stream in &mut streams {
        assert!(matches!(stream.chunk().await, Ok(None) | Err(_)));
    }
}

/// T14: who does not finish the head of a request loses the connection; who is merely idle does not (C51).
#[tokio::test]
async fn slow_heads_are_cut_off_and_idle_connections_are_kept() {
    let world = World::with(|config| {
        config.limits.header_timeout = Duration::from_millis(50);
        config.limits.idle_timeout = Duration::from_secs(150);
    })
    .await;
    let address = world.backbone().local_addr();
    let mut idle = TcpStream::connect(address).await.unwrap();
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /health HT").await.unwrap();
    let mut rest = Vec::new();
    // The server closes; what it may say before is free.
    let _ = slow.read_to_end(&mut rest).await;
    // By now the idle connection has been silent for longer than a head may take.
    for _ in 0..2 {
        idle.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut head = [0; 15];
        idle.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        let mut buffer = [0; 2048];
        let read = idle.read(&mut buffer).await.unwrap();
        assert!(buffer[..read].ends_with(b"Healthy"));
    }
}

#[tokio::test]
async fn malformed_http_has_the_envelope_of_failures() {
    let world = World::with(|config| config.limits.max_header_bytes = 16 * 1024).await;
    let long = "x".repeat(17 * 1024);
    for (bytes, status) in [
        ("GET /api/v2/Tokens?ids=a b HTTP/1.1\r\nhost: localhost\r\n\r\n", 400),
        ("GET /api/v2/Tokens HTTP/1.1\r\nno colon\r\n\r\n", 400),
        ("GET /api/v2/Tokens HTTP/2.7\r\n\r\n", 400),
        ("POST /api/v2/Tokens HTTP/1.1\r\ncontent-length: one\r\n\r\n", 400),
        (&format!("GET / HTTP/1.1\r\nx: {long}\r\n\r\n"), 431),
    ] {
        let mut stream = TcpStream::connect(world.backbone().local_addr()).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is as good as a close.
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")) && head.contains("\r\nx-trace-id: "), "{answer}");
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["error"]["code"], "error.platform.inputCannotBeParsed", "{answer}");
    }
}

/// T14: who waits for nothing gives way.
#[tokio::test]
async fn a_connection_over_the_limit_takes_the_place_of_an_idle_one() {
    let world = World::with(|config| config.limits.max_connections = 1).await;
    let address = world.backbone().local_addr();
    let request = b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut first = TcpStream::connect(address).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    second.write_all(request).await.unwrap();
    let mut text = String::new();
    second.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert_eq!(first.read(&mut [0]).await.unwrap_or(0), 0, "the idle connection is closed");
}
