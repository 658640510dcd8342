//! Limits that keep clients from affecting others (T14, T21).
#![allow(clippy::unwrap_used)]

mod common;

use std::net::Ipv4Addr;
use std::time::Duration;

use common::{NEVER, Person, World, answer, modification, refusal};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const KIBIBYTE: usize = 1024;
const MAX_ENTRIES: usize = 10_000;

/// JSON with blanks behind it, of so many bytes.
fn padded(body: &Value, length: usize) -> String {
    let mut text = body.to_string();
    text.push_str(&" ".repeat(length - text.len()));
    text
}

/// Sends a request in which `sent` bytes of a body of `announced` bytes come, and no more.
async fn unfinished(world: &World, person: Option<&Person>, path: &str, sent: usize, announced: usize) -> TcpStream {
    let mut stream = TcpStream::connect(world.backbone().local_addr()).await.unwrap();
    let login = person.map(|person| format!("authorization: Bearer {}\r\n", person.token)).unwrap_or_default();
    let head = format!("POST /api/v2{path} HTTP/1.1\r\nhost: localhost\r\n{login}content-length: {announced}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; sent]).await.unwrap();
    stream
}

async fn rest_of(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset after the answer is as good as a close.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn only_routes_that_need_megabytes_take_them() {
    let world = World::new().await;
    let person = world.person_with_datawallet(1).await;
    let start = json!({ "type": "ExternalEventSync" });
    let send = |path: &str, body: String| person.request(Method::POST, path).body(body);
    answer(send("/SyncRuns", padded(&start, 64 * KIBIBYTE)), 200).await;
    assert_eq!(refusal(send("/SyncRuns", padded(&start, 64 * KIBIBYTE + 1)), 400).await, "requestBodyTooLarge");
    let token = json!({ "content": "AAAA", "expiresAt": NEVER });
    answer(send("/Tokens", padded(&token, 20 * KIBIBYTE * KIBIBYTE)), 201).await;
    let stranger = world.anonymous(Method::POST, "/Tokens").body(padded(&token, 64 * KIBIBYTE + 1));
    assert_eq!(refusal(stranger, 400).await, "requestBodyTooLarge");
}

#[tokio::test]
async fn a_body_of_nothing_but_values_is_refused() {
    let world = World::new().await;
    let person = world.person(1).await;
    let list = |count: usize| json!({ "content": "AAAA", "expiresAt": NEVER, "other": vec![0; count] });
    // The object, three names, two texts and the list.
    answer(person.post("/Tokens", &list(250_000 - 7)), 201).await;
    assert_eq!(refusal(person.post("/Tokens", &list(250_000 - 6)), 400).await, "inputCannotBeParsed");
}

#[tokio::test]
async fn a_push_has_no_more_entries_than_it_may() {
    let world = World::new().await;
    let person = world.person_with_datawallet(1).await;
    let push = |count: usize| {
        let entries: Vec<Value> = (0..count).map(|number| modification(&number.to_string())).collect();
        person.post("/Datawallet/Modifications", &json!({ "localIndex": 0, "modifications": entries }))
    };
    assert_eq!(refusal(push(MAX_ENTRIES + 1), 400).await, "inputCannotBeParsed");
    let pushed = answer(push(MAX_ENTRIES), 201).await;
    assert_eq!(pushed["newIndex"], MAX_ENTRIES);
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_without_a_login_is_answered_408() {
    let world = World::new().await;
    let started = tokio::time::Instant::now();
    let mut stream = unfinished(&world, None, "/Tokens", 10, 1000).await;
    let answer = rest_of(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("requestBodyTooSlow"), "{answer}");
    assert!(started.elapsed() >= Duration::from_secs(30));
}

/// Authentication comes before the body, so that a login that is over is told at once.
#[tokio::test]
async fn a_missing_login_is_answered_before_the_body_arrives() {
    let world = World::new().await;
    let mut stream = TcpStream::connect(world.backbone().local_addr()).await.unwrap();
    let head =
        b"POST /api/v2/SyncRuns HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let answer = rest_of(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("connection: close"), "{answer}");
}

/// Together they would take 120 MiB.
#[tokio::test(start_paused = true)]
async fn unfinished_bodies_leave_room_for_those_that_are_finished() {
    let world = World::new().await;
    let (greedy, other) = (world.person(1).await, world.person(2).await);
    let mebibyte = KIBIBYTE * KIBIBYTE;
    let mut unfinished_bodies = Vec::new();
    for _ in 0..60 {
        let mut stream = unfinished(&world, Some(&greedy), "/Tokens", 0, 10 * mebibyte).await;
        unfinished_bodies.push(tokio::spawn(async move {
            // What the server does not read yet waits in the sockets.
            let _ = stream.write_all(&vec![b' '; 2 * mebibyte]).await;
            rest_of(&mut stream).await
        }));
    }
    let token = json!({ "content": "A".repeat(8 * mebibyte), "expiresAt": NEVER });
    answer(other.post("/Tokens", &token), 201).await;
    // Small bodies are none of the business of large ones.
    answer(greedy.put("/Devices/Self", &json!({ "communicationLanguage": "de" })), 204).await;
    for body in unfinished_bodies {
        body.abort();
    }
}

#[tokio::test]
async fn a_form_cannot_hide_megabytes_in_the_head_of_a_part() {
    let world = World::new().await;
    let person = world.person(1).await;
    let form = |head: usize| {
        let name = "x".repeat(head);
        let text =
            format!("--frontier\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\nx\r\n--frontier--\r\n");
        let upload =
            person.request(Method::POST, "/Files").header("content-type", "multipart/form-data; boundary=frontier");
        upload.body(text)
    };
    for (head, reason) in [(10 * KIBIBYTE * KIBIBYTE, "head of a part"), (KIBIBYTE, "missing")] {
        let refused = form(head).send().await.unwrap();
        assert_eq!(refused.status(), 400);
        let text = refused.text().await.unwrap();
        assert!(text.contains(reason), "{text}");
    }
}

#[tokio::test]
async fn logins_beyond_the_queue_are_answered_with_a_time_to_retry() {
    let world = World::new().await;
    let fields = [
        ("grant_type", "password"),
        ("client_id", common::CLIENT),
        ("client_secret", common::CLIENT_SECRET),
        ("username", "USRunknown0000000001"),
        ("password", "guess"),
    ];
    let logins = (0..300).map(|_| world.anonymous(Method::POST, "/connect/token").form(&fields).send());
    let answers = futures_util::future::join_all(logins).await;
    let refused: Vec<_> = answers.iter().flatten().filter(|answer| answer.status() == 429).collect();
    assert!(!refused.is_empty());
    assert!(refused.iter().all(|answer| answer.headers()["retry-after"] == "5"));
    assert!(answers.iter().flatten().any(|answer| answer.status() == 400));
}

fn from_page(world: &World, host: &str, origin: Option<&str>) -> reqwest::RequestBuilder {
    let request = world.anonymous(Method::GET, "/Version").header("host", host);
    match origin {
        Some(origin) => request.header("origin", origin),
        None => request,
    }
}

async fn status(request: reqwest::RequestBuilder) -> u16 {
    request.send().await.unwrap().status().as_u16()
}

/// T6: DNS rebinding gives a page's own name as host, and another page's request carries its origin.
#[tokio::test]
async fn web_pages_of_other_sites_do_not_reach_a_backbone_on_loopback() {
    let world = World::new().await;
    for host in ["localhost:4710", "127.0.0.1", "[::1]:4710", "bb.example.org"] {
        assert_eq!(status(from_page(&world, host, None)).await, 200, "{host}");
    }
    assert_eq!(refusal(from_page(&world, "evil.example", None), 403).await, "forbidden");
    assert_eq!(refusal(from_page(&world, "localhost", Some("https://evil.example")), 403).await, "forbidden");
    assert_eq!(refusal(from_page(&world, "localhost", Some("null")), 403).await, "forbidden");
    let rebound = world.anonymous(Method::GET, "/health").header("host", "evil.example");
    assert_eq!(status(rebound).await, 403);
    let landing = world.anonymous(Method::GET, "/r/TOKaaaaaaaaaaaaaaaa1");
    assert_eq!(status(landing).await, 200);
}

#[tokio::test]
async fn a_backbone_for_others_has_any_name() {
    let world = World::with(|config| config.listen = (Ipv4Addr::UNSPECIFIED, 0).into()).await;
    assert_eq!(status(from_page(&world, "any.example", Some("https://any.example"))).await, 200);
}
