use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const MAX_HEAD: usize = 8 * 1024;
const NEXT: &str = "GET /> HTTP/1.1\r\n\r\n";

/// What the library reads instead of these bytes, and what is wrong with which request.
fn read(bytes: &[u8]) -> (Vec<u8>, Option<(u64, Malformed)>) {
    let (mut scanner, mut out) = (Scanner::new(MAX_HEAD), Vec::new());
    scanner.read(bytes, &mut out);
    (out, scanner.verdict.0.get().copied())
}

fn text(bytes: &str) -> String {
    let (out, verdict) = read(bytes.as_bytes());
    assert_eq!(verdict, None, "{bytes:?}");
    String::from_utf8(out).unwrap()
}

#[test]
fn targets_are_encoded_and_nothing_else_is() {
    let sent = "GET /a<b\"?c=>1&d=\u{e9}`{|}^#\u{7f}\t HTTP/1.1\r\nx: <\">\r\n\r\n\
                POST /<?> HTTP/1.1\r\nContent-Length: 12\r\n\r\nGET /<> HTTPGET /> HTTP/1.1\n\n\r\nPUT /> HTTP/1.1\r\n\r\n";
    let expected = "GET /a%3Cb%22?c=%3E1&d=%C3%A9%60{|}^#%7F%09 HTTP/1.1\r\nx: <\">\r\n\r\n\
                POST /%3C?%3E HTTP/1.1\r\nContent-Length: 12\r\n\r\nGET /<> HTTPGET /%3E HTTP/1.1\n\nPUT /%3E HTTP/1.1\r\n\r\n";
    assert_eq!(text(sent), expected);
}

#[test]
fn the_head_behind_a_body_in_chunks_is_read_too() {
    let chunked =
        "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n1A\r\nGET /> HTTP/1.1\r\n\r\nabcdefg\r\n0\r\n\r\n";
    assert_eq!(text(&format!("{chunked}{NEXT}")), format!("{chunked}{}", NEXT.replace('>', "%3E")));
}

#[test]
fn where_the_next_head_begins_is_not_guessed() {
    for body in
        ["1;a=b\r\nx\r\n0\r\n\r\n", "0\r\na: b\r\n\r\n", "1\nx\n0\n\n", "x\r\n", "11111111111111111\r\n", "\r\n"]
    {
        let sent = format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{body}{NEXT}");
        assert_eq!(text(&sent), sent);
    }
}

#[test]
fn empty_lines_before_a_head_are_skipped_up_to_their_bound() {
    let sent = |empty: usize| format!("{}{NEXT}{}{NEXT}", "\n".repeat(empty), "\r\n".repeat(MAX_EMPTY / 2));
    assert_eq!(text(&sent(MAX_EMPTY)), NEXT.replace('>', "%3E").repeat(2));
    assert_eq!(read(sent(MAX_EMPTY + 1).as_bytes()).1, Some((0, Malformed::TooLarge)));
}

#[test]
fn no_buffer_is_kept_between_heads() {
    let (mut scanner, mut out) = (Scanner::new(MAX_HEAD), Vec::new());
    scanner.read(format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(MAX_HEAD / 2)).as_bytes(), &mut out);
    assert_eq!(scanner.head.capacity(), 0);
}

#[test]
fn a_malformed_head_becomes_a_request_that_ends_the_connection() {
    let long_target = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(MAX_HEAD));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a:b\r\n".repeat(MAX_HEADERS + 1));
    for (bytes, method, path, why) in [
        ("GET /a b HTTP/1.1\r\n", "GET", "/a", Malformed::Blank),
        ("HEAD /a?b=c d HTTP/1.1\r\n", "HEAD", "/a", Malformed::Blank),
        ("GET /a HTTP/3.0\r\n", "GET", "/a", Malformed::Version),
        ("GET /a http/1.1\r\n", "GET", "/a", Malformed::Version),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET", "/", Malformed::Version),
        ("GET /a\r\n", "GET", "/a", Malformed::RequestLine),
        ("GET\r\n", "GET", "/", Malformed::RequestLine),
        (" /a HTTP/1.1\r\n", "GET", "/", Malformed::RequestLine),
        ("\x16\x03\x01", "GET", "/", Malformed::RequestLine),
        ("G\u{e4}T / HTTP/1.1\r\n\r\n", "GET", "/", Malformed::RequestLine),
        ("GET a/b HTTP/1.1\r\n\r\n", "GET", "/", Malformed::Target),
        ("GET /a HTTP/1.1\r\nno colon\r\n\r\n", "GET", "/a", Malformed::Header),
        ("GET /a HTTP/1.1\r\na : b\r\n\r\n", "GET", "/a", Malformed::Header),
        ("GET /a HTTP/1.1\r\na: b\r\n c\r\n\r\n", "GET", "/a", Malformed::Header),
        ("GET /a HTTP/1.1\r\na: \x01\r\n\r\n", "GET", "/a", Malformed::Header),
        ("POST /a HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "GET", "/a", Malformed::Length),
        ("POST /a HTTP/1.1\r\ncontent-length: +1\r\n\r\n", "GET", "/a", Malformed::Length),
        ("POST /a HTTP/1.1\r\ncontent-length: 18446744073709551614\r\n\r\n", "GET", "/a", Malformed::Length),
        ("POST /a HTTP/1.1\r\ntransfer-encoding: gzip\r\n\r\n", "GET", "/a", Malformed::Length),
        ("POST /a HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n", "GET", "/a", Malformed::Length),
        (&long_target, "GET", "/", Malformed::TooLarge),
        (&many, "GET", "/", Malformed::TooLarge),
    ] {
        let expected = format!("GET /0 HTTP/1.1\r\n\r\n{method} {path} HTTP/1.1\r\nconnection: close\r\n\r\n");
        let (out, verdict) = read(format!("GET /0 HTTP/1.1\r\n\r\n{bytes}{NEXT}").as_bytes());
        assert_eq!((String::from_utf8(out).unwrap(), verdict), (expected, Some((1, why))), "{bytes:?}");
    }
}

#[test]
fn a_head_may_have_exactly_as_many_bytes_and_lines_as_are_allowed() {
    let head = |size: usize| format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(size - 23));
    assert_eq!(text(&head(MAX_HEAD)).len(), MAX_HEAD);
    assert_eq!(read(head(MAX_HEAD + 1).as_bytes()).1, Some((0, Malformed::TooLarge)));
    text(&format!("GET / HTTP/1.1\r\n{}\r\n", "a:b\r\n".repeat(MAX_HEADERS)));
    let target = |size: usize| {
        let mut scanner = Scanner::new(2 * MAX_TARGET);
        scanner.read(format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(size - 1)).as_bytes(), &mut Vec::new());
        scanner.verdict.on(0)
    };
    assert_eq!((target(MAX_TARGET), target(MAX_TARGET + 1)), (None, Some(Malformed::TargetTooLong)));
    let length = |length: u64| read(format!("POST / HTTP/1.1\r\ncontent-length: {length}\r\n\r\n").as_bytes()).1;
    assert_eq!((length(MAX_LENGTH), length(MAX_LENGTH + 1)), (None, Some((0, Malformed::Length))));
}

#[tokio::test]
async fn reading_stops_after_a_refusal() {
    let (mut client, server) = tokio::io::duplex(1024);
    let (mut heads, verdict) = ReadableHeads::new(server, MAX_HEAD);
    client.write_all(b"GET /a b HTTP/1.1\r\n").await.unwrap();
    let mut buffer = [0; 100];
    let count = heads.read(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..count], b"GET /a HTTP/1.1\r\nconnection: close\r\n\r\n");
    assert_eq!((verdict.on(0), verdict.on(1)), (Some(Malformed::Blank), None));
    client.write_all(b"more").await.unwrap();
    assert!(futures_util::poll!(std::pin::pin!(heads.read(&mut buffer))).is_pending());
    heads.shutdown().await.unwrap();
}

proptest! {
    #[test]
    fn how_the_bytes_come_makes_no_difference(
        bytes in r"((GET|POST) [/<>?a ]{0,8} HTTP/1.1\r?\n((content-length: [0-9]|transfer-encoding: chunked)\r\n|a: <\r\n)*\r\n(1\r\na\r\n0\r\n\r\n|[<a]{0,9})){1,4}",
        size in 1_usize..20,
    ) {
        let mut parts = Vec::new();
        let mut scanner = Scanner::new(MAX_HEAD);
        for part in bytes.as_bytes().chunks(size) {
            if !matches!(scanner.place, Place::Refused) {
                scanner.read(part, &mut parts);
            }
        }
        prop_assert_eq!(read(bytes.as_bytes()), (parts, scanner.verdict.0.get().copied()));
    }

    /// The library answers none of these by itself: what it reads instead of them is a head that it takes.
    #[test]
    fn the_library_refuses_no_head(
        line in r"(GET|POST|HEAD|P[!-~]|CONNECT|OPTIONS) ([ -~]{0,10}|[/*?:a%\[\]@#]{0,9}|\PC{0,5})( HTTP/[0-2][.][01])?",
        headers in proptest::collection::vec(r"(content-length|transfer-encoding|connection|upgrade|expect|[!-~]{1,3})[ ]?:[ ]?(chunked|[0-9]|close|[ -~]{0,5}|\PC{0,3})", 0..5),
    ) {
        let bytes = format!("{line}\r\n{}\r\n", headers.iter().map(|line| format!("{line}\r\n")).collect::<String>());
        let answer = answer(bytes.as_bytes());
        prop_assert!(answer.contains("\r\nanswered: yes\r\n"), "{bytes:?}: {answer}");
    }
}

/// What the library, with a service that marks its answers, says to these bytes.
fn answer(bytes: &[u8]) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(64 * 1024);
        let (heads, _) = ReadableHeads::new(server, MAX_HEAD);
        let service = hyper::service::service_fn(|_| async {
            let answer = http::Response::builder().header("answered", "yes").header("connection", "close");
            Ok::<_, std::convert::Infallible>(answer.body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap())
        });
        client.write_all(bytes).await.unwrap();
        let serving =
            hyper::server::conn::http1::Builder::new().serve_connection(hyper_util::rt::TokioIo::new(heads), service);
        let mut answer = Vec::new();
        let reading = async {
            let mut buffer = [0; 4096];
            let count = client.read(&mut buffer).await.unwrap();
            answer.extend(&buffer[..count]);
            drop(client);
        };
        let _ = tokio::join!(serving, reading);
        String::from_utf8(answer).unwrap()
    })
}
