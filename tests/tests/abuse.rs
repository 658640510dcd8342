//! One who abuses the backbone does not keep others from using it (T14).
#![allow(clippy::unwrap_used, reason = "a test")]

use std::net::SocketAddr;
use std::time::Duration;

use enlace_tests::{World, http, password};
use runtime::facade::CreateTokenForFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Connections that the abuser holds on to.
const SLOW_CONNECTIONS: usize = 200;
const GUESSES: usize = 300;
/// Longest time the legitimate transfer may take beside the abuse; a hanging one takes for ever.
const TIMEOUT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_succeeds_beside_slow_connections_wrong_passwords_and_floods() {
    let world = World::new();
    let backbone = world.backbone().await;
    let server = backbone.server().local_addr();
    let (alice, bob) = (world.node("alice", &backbone).await, world.node("bob", &backbone).await);
    let bait = alice.upload("bait", b"bait").await.unwrap();
    let terms = CreateTokenForFile { password_protection: password("secret"), ..CreateTokenForFile::default() };
    let bait = alice.share_as(&bait, terms).await.unwrap();

    let mut abuse = JoinSet::new();
    for number in 0..SLOW_CONNECTIONS {
        abuse.spawn(slow(server, number));
    }
    let guessing = format!("http://{server}/api/v2/Tokens/{}", bait.id);
    abuse.spawn(async move {
        let client = http();
        for guess in 0..GUESSES {
            let _ = client.get(&guessing).query(&[("password", format!("{guess:0>42}8="))]).send().await;
        }
    });

    let content: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 241) as u8).collect();
    let transfer = async {
        let file = alice.upload("big", &content).await.unwrap();
        let token = alice.share(&file).await.unwrap();
        bob.fetch(&token.reference.url).await.unwrap()
    };
    let received = tokio::time::timeout(TIMEOUT, transfer).await.expect("the transfer hangs");
    assert!(received == content);
    abuse.shutdown().await;
}

/// Every third one never finishes its headers, its body, or reading its answer.
async fn slow(server: SocketAddr, number: usize) {
    let mut stream = TcpStream::connect(server).await.unwrap();
    let start: &[u8] = match number % 3 {
        0 => b"GET /api/v2/Version HTTP/1.1\r\nhost: localhost\r\nx-slow:",
        1 => b"POST /api/v2/Challenges HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n{",
        _ => b"GET /api/v2/Version HTTP/1.1\r\nhost: localhost\r\n\r\n",
    };
    let _ = stream.write_all(start).await;
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_connection_that_does_not_finish_its_headers_is_closed() {
    let world = World::new();
    let backbone = world
        .backbone_with("backbone", |config| {
            config.limits.header_timeout = Duration::from_millis(200);
            config.limits.body_timeout = Duration::from_millis(200);
        })
        .await;
    let starts: [&[u8]; 2] = [
        b"GET /api/v2/Version HTTP/1.1\r\nhost: localhost\r\nx-slow:",
        b"POST /api/v2/Identities HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{",
    ];
    for start in starts {
        let mut stream = TcpStream::connect(backbone.server().local_addr()).await.unwrap();
        stream.write_all(start).await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "still open: {}", String::from_utf8_lossy(start));
    }
}

#[tokio::test]
async fn oversized_requests_are_refused_and_the_backbone_goes_on() {
    let world = World::new();
    let backbone = world.backbone().await;
    let server = backbone.server().local_addr();
    let mut stream = TcpStream::connect(server).await.unwrap();
    let endless_header = [&b"GET /api/v2/Version HTTP/1.1\r\nx-endless: "[..], &[b'a'; 2_000_000]].concat();
    let _ = stream.write_all(&endless_header).await;
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut answer)).await;
    assert!(ended.is_ok() && !answer.starts_with(b"HTTP/1.1 200"), "an endless header is not waited for");
    let deep = "[".repeat(200_000);
    let url = format!("http://{server}/api/v2/Identities");
    let answer = http().post(url).header("content-type", "application/json").body(deep).send().await.unwrap();
    assert_eq!(answer.status(), 400, "nesting does not exhaust the stack");
    let version = http().get(format!("http://{server}/api/v2/Version")).send().await.unwrap();
    assert_eq!(version.status(), 200);
}
