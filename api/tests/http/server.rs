//! The listener: addresses, limits, shutdown (threat T14).
use std::net::SocketAddr;
use std::time::Duration;

use crate::node::{KEY, TestNode};
use api::{Server, ServerLimits};
use listener::admission::Places;
use listener::pace::PaceLimits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) const FREE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Sends bytes and reads until the other end closes.
pub(crate) async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is as good as a close.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) async fn server(node: &TestNode, limits: ServerLimits) -> Server {
    Server::start_with_limits(FREE, node.runtime.clone(), TestNode::config(), limits).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_free_port_is_found_and_a_taken_one_is_named() {
    let node = TestNode::start().await;
    let first = Server::start(FREE, node.runtime.clone(), TestNode::config()).await.unwrap();
    assert_ne!(first.local_addr().port(), 0);
    assert!(exchange(first.local_addr(), HEALTH).await.starts_with("HTTP/1.1 200"));
    let error = Server::start(first.local_addr(), node.runtime.clone(), TestNode::config()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&first.local_addr().to_string()) && text.contains("port 0"), "{text}");
    first.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_never_ends_is_closed_while_others_are_answered() {
    let node = TestNode::start().await;
    let limits = ServerLimits { head_timeout: Duration::from_millis(100), ..ServerLimits::default() };
    let server = server(&node, limits).await;
    let address = server.local_addr();
    let slow = tokio::spawn(exchange_slowly(address));
    assert!(exchange(address, HEALTH).await.starts_with("HTTP/1.1 200"));
    let answer = slow.await.unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}

/// The first half of a request, and no more.
async fn exchange_slowly(address: SocketAddr) -> String {
    exchange(address, b"GET /health HTTP/1.1\r\nHost: local").await
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_are_read_as_command_lines_send_them() {
    let node = TestNode::start().await;
    let server = server(&node, ServerLimits::default()).await;
    for (target, status) in [
        ("Files/Own?createdAt=>2026-01-01", 200),
        ("Files/Own?createdAt=<2026-01-01&title=\"x\"", 200),
        ("Files/Own?title=a`{|}[]\\^", 200),
        ("Files/Own?title=\u{1f600}\t\u{7f}", 200),
        ("Files/Own?no\"such<field", 400),
        ("Files/<FIL>", 400),
        ("\"Files\"", 404),
    ] {
        let head = format!("GET /api/core/v1/{target} HTTP/1.1\r\nHost: localhost\r\nX-API-KEY: {KEY}\r\n");
        let answer = exchange(server.local_addr(), format!("{head}Connection: close\r\n\r\n").as_bytes()).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{target}: {answer}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert!(body["result"].is_array() || body["error"]["code"].is_string(), "{target}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn huge_headers_are_refused() {
    let node = TestNode::start().await;
    let server = server(&node, ServerLimits { max_head_bytes: 16 * 1024, ..ServerLimits::default() }).await;
    let huge = format!("GET /health HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024));
    let answer = exchange(server.local_addr(), huge.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upload_is_taken_in_so_that_its_sender_sees_the_refusal() {
    let node = TestNode::start().await;
    let server = server(&node, ServerLimits::default()).await;
    let length = 8 * 1024 * 1024;
    let mut request = format!(
        "POST /api/v2/Files/Own HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\
         Content-Type: multipart/form-data; boundary=frontier\r\n\r\n"
    )
    .into_bytes();
    request.resize(request.len() + length, b'x');
    let answer = exchange(server.local_addr(), &request).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_is_given_up() {
    let node = TestNode::start().await;
    let limits =
        ServerLimits { places: Places::of(1), stall_timeout: Duration::from_millis(200), ..ServerLimits::default() };
    let server = server(&node, limits).await;
    let mut silent = TcpStream::connect(server.local_addr()).await.unwrap();
    let page = b"GET /docs/swagger/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(20);
    silent.write_all(&page).await.unwrap();
    // The only place is free again once the first client was given up; until then nobody else gets in.
    let answered = async { while !exchange(server.local_addr(), HEALTH).await.starts_with("HTTP/1.1 200") {} };
    tokio::time::timeout(Duration::from_secs(30), answered).await.expect("the place is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_over_the_limit_takes_the_place_of_an_idle_one() {
    let node = TestNode::start().await;
    let server = server(&node, ServerLimits { places: Places::of(1), ..ServerLimits::default() }).await;
    let mut idle = TcpStream::connect(server.local_addr()).await.unwrap();
    assert!(exchange(server.local_addr(), HEALTH).await.starts_with("HTTP/1.1 200"));
    assert_eq!(idle.read(&mut [0]).await.unwrap_or(0), 0, "the idle connection is closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_drips_is_answered_408() {
    let node = TestNode::start().await;
    let pace = PaceLimits { anonymous: Duration::from_millis(100), ..PaceLimits::default() };
    let server = server(&node, ServerLimits { pace, ..ServerLimits::default() }).await;
    let start = b"POST /api/v2/Tokens/Peer HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                  Content-Length: 1000\r\n\r\n{";
    let answer = exchange(server.local_addr(), start).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("connection: close"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_ends_idle_connections_and_frees_the_port() {
    let node = TestNode::start().await;
    let server = server(&node, ServerLimits::default()).await;
    let address = server.local_addr();
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut first = [0_u8; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    server.shutdown().await;
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    let again = Server::start(address, node.runtime.clone(), TestNode::config()).await;
    assert!(again.is_ok(), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_server_closes_its_connections() {
    let node = TestNode::start().await;
    let server = server(&node, ServerLimits::default()).await;
    let mut idle = TcpStream::connect(server.local_addr()).await.unwrap();
    idle.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut first = [0_u8; 12];
    idle.read_exact(&mut first).await.unwrap();
    drop(server);
    // Would wait for the idle connection's own time-out otherwise.
    let closed = tokio::time::timeout(Duration::from_secs(10), idle.read_to_end(&mut Vec::new())).await;
    assert!(closed.is_ok(), "the connection is still open");
}
