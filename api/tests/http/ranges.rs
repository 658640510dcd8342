//! Parts of files, conditions and `HEAD` (RFC 9110, sections 13 and 14).

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, HeaderName, Method, Request, StatusCode, header};
use serde_json::json;

use crate::node::{Answer, TestNode, form, get, send};
use crate::server::{exchange, server};

/// A file on a node.
struct Stored {
    router: Router,
    id: String,
}

impl Stored {
    async fn new(node: &TestNode, mimetype: &str, content: &[u8]) -> Self {
        let router = node.router();
        let header = format!("name=\"file\"; filename=\"data.bin\"\r\nContent-Type: {mimetype}").into_bytes();
        let uploaded = send(&router, form("/api/v2/Files/Own", &[(&header, content)])).await;
        assert_eq!(uploaded.status, StatusCode::CREATED);
        Self { router, id: uploaded.json()["result"]["id"].as_str().unwrap().to_owned() }
    }

    async fn ask(&self, method: Method, headers: &[(HeaderName, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("/api/v2/Files/{}/Download", self.id));
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        send(&self.router, request.body(Body::empty()).unwrap()).await
    }

    async fn get(&self, headers: &[(HeaderName, &str)]) -> Answer {
        self.ask(Method::GET, headers).await
    }

    async fn etag(&self) -> String {
        text(&self.get(&[]).await.headers, header::ETAG)
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> String {
    headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_form_of_a_range_gets_its_bytes_with_exact_headers() {
    let node = TestNode::start().await;
    let file = Stored::new(&node, "application/pdf", b"0123456789").await;
    let etag = file.etag().await;
    for (range, expected) in [
        ("bytes=0-", Some((206, "bytes 0-9/10", "0123456789"))),
        ("bytes=0-0", Some((206, "bytes 0-0/10", "0"))),
        ("bytes=9-", Some((206, "bytes 9-9/10", "9"))),
        ("bytes=2-5", Some((206, "bytes 2-5/10", "2345"))),
        ("bytes=2-99999999999999999999999", Some((206, "bytes 2-9/10", "23456789"))),
        ("bytes=-3", Some((206, "bytes 7-9/10", "789"))),
        ("bytes=-11", Some((206, "bytes 0-9/10", "0123456789"))),
        ("bytes=10-, 3-4", Some((206, "bytes 3-4/10", "34"))),
        ("bytes=10-", None),
        ("bytes=10-20,-0", None),
        ("bytes=-0", None),
        ("bytes=0-1,3-4", Some((200, "", "0123456789"))),
        ("bytes=5-2", Some((200, "", "0123456789"))),
        ("items=0-1", Some((200, "", "0123456789"))),
        ("nonsense", Some((200, "", "0123456789"))),
    ] {
        let answer = file.get(&[(header::RANGE, range)]).await;
        assert_eq!(text(&answer.headers, header::ACCEPT_RANGES), "bytes", "{range}");
        assert_eq!(text(&answer.headers, header::ETAG), etag, "{range}");
        let content_range = text(&answer.headers, header::CONTENT_RANGE);
        let Some((status, expected_range, body)) = expected else {
            assert_eq!((answer.status.as_u16(), content_range.as_str()), (416, "bytes */10"), "{range}");
            assert_eq!(answer.code(), "error.connector.http.rangeNotSatisfiable", "{range}");
            continue;
        };
        assert_eq!((answer.status.as_u16(), content_range.as_str()), (status, expected_range), "{range}");
        assert_eq!(answer.body, body, "{range}");
        assert_eq!(text(&answer.headers, header::CONTENT_LENGTH), body.len().to_string(), "{range}");
        assert_eq!(text(&answer.headers, header::CONTENT_TYPE), "application/pdf", "{range}");
        assert_eq!(text(&answer.headers, header::CONTENT_DISPOSITION), "attachment;filename=data.bin", "{range}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_has_no_part() {
    let node = TestNode::start().await;
    let file = Stored::new(&node, "text/plain", b"").await;
    for range in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
        let answer = file.get(&[(header::RANGE, range)]).await;
        let content_range = text(&answer.headers, header::CONTENT_RANGE);
        assert_eq!((answer.status.as_u16(), content_range.as_str()), (416, "bytes */0"), "{range}");
    }
    let whole = file.get(&[]).await;
    assert_eq!((whole.status.as_u16(), text(&whole.headers, header::CONTENT_LENGTH).as_str()), (200, "0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_large_file_is_the_same_part_of_what_was_uploaded() {
    let node = TestNode::start().await;
    let content: Vec<u8> =
        (0..3 * 1024 * 1024 + 17).map(|index: usize| (index % 251) as u8 ^ (index >> 16) as u8).collect();
    let file = Stored::new(&node, "application/octet-stream", &content).await;
    for (first, last) in [(0, 0), (65_535, 65_537), (1_000_000, 2_000_000), (content.len() - 1, content.len() - 1)] {
        let answer = file.get(&[(header::RANGE, &format!("bytes={first}-{last}"))]).await;
        assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT);
        assert!(answer.body == content[first..=last], "{first}-{last}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_only_with_the_same_bytes() {
    let node = TestNode::start().await;
    let file = Stored::new(&node, "application/pdf", b"0123456789").await;
    let etag = file.etag().await;
    assert!(etag.starts_with('"'), "{etag} is strong");
    let other = Stored::new(&node, "application/pdf", b"0123456789").await;
    assert_ne!(other.etag().await, etag, "another file");
    let (weak, range) = (format!("W/{etag}"), (header::RANGE, "bytes=4-5"));
    for (condition, status, body) in [
        (etag.as_str(), 206, "45"),
        (&weak, 200, "0123456789"),
        ("\"other\"", 200, "0123456789"),
        ("Sat, 01 Jan 2000 00:00:00 GMT", 200, "0123456789"),
    ] {
        let answer = file.get(&[range.clone(), (header::IF_RANGE, condition)]).await;
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (status, body.as_bytes()), "{condition}");
    }
    for (condition, status) in [(etag.as_str(), 206), ("*", 206), (&weak, 412), ("\"other\"", 412)] {
        let answer = file.get(&[range.clone(), (header::IF_MATCH, condition)]).await;
        assert_eq!(answer.status.as_u16(), status, "{condition}");
        assert_eq!(text(&answer.headers, header::ETAG), etag);
        let code = if status == 412 { "error.connector.http.preconditionFailed" } else { "" };
        assert_eq!(answer.code(), code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_has_is_not_sent_again() {
    let node = TestNode::start().await;
    let file = Stored::new(&node, "text/plain", b"0123456789").await;
    let etag = file.etag().await;
    for condition in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
        for method in [Method::GET, Method::HEAD] {
            let headers = [(header::IF_NONE_MATCH, condition.as_str()), (header::RANGE, "bytes=0-1")];
            let answer = file.ask(method, &headers).await;
            assert_eq!((answer.status.as_u16(), answer.body.len()), (304, 0), "{condition}");
            assert_eq!(text(&answer.headers, header::ETAG), etag);
            assert_eq!(text(&answer.headers, header::VARY), "Accept-Encoding");
            assert!(!answer.headers.contains_key(header::CONTENT_TYPE));
            assert!(!answer.headers.contains_key(header::CONTENT_LENGTH));
        }
    }
    assert_eq!(file.get(&[(header::IF_NONE_MATCH, "\"other\"")]).await.body, "0123456789");
}

#[tokio::test(flavor = "multi_thread")]
async fn head_has_the_headers_of_get() {
    let node = TestNode::start().await;
    for mimetype in ["application/pdf", "text/plain"] {
        let file = Stored::new(&node, mimetype, &[b'a'; 5000]).await;
        for encoding in ["identity", "gzip"] {
            let encoding = [(header::ACCEPT_ENCODING, encoding)];
            let (get, head) = (file.get(&encoding).await, file.ask(Method::HEAD, &encoding).await);
            assert_eq!((head.status, head.body.len()), (get.status, 0));
            for name in [
                header::ACCEPT_RANGES,
                header::CONTENT_DISPOSITION,
                header::CONTENT_ENCODING,
                header::CONTENT_LENGTH,
                header::CONTENT_TYPE,
                header::ETAG,
                header::VARY,
            ] {
                let values = [&get, &head].map(|answer| text(&answer.headers, name.clone()));
                assert_eq!(values[0], values[1], "{name} of {mimetype} as {encoding:?}");
            }
        }
        let ranged = file.ask(Method::HEAD, &[(header::RANGE, "bytes=0-1")]).await;
        let length = text(&ranged.headers, header::CONTENT_LENGTH);
        assert_eq!((ranged.status.as_u16(), length.as_str()), (200, "5000"), "ranges are for GET");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_answer_has_a_weak_tag_and_no_ranges_and_a_part_is_not_compressed() {
    let node = TestNode::start().await;
    let file = Stored::new(&node, "text/plain", &[b'a'; 5000]).await;
    let gzip = (header::ACCEPT_ENCODING, "gzip");
    let (etag, whole) = (file.etag().await, file.get(std::slice::from_ref(&gzip)).await);
    assert_eq!(text(&whole.headers, header::CONTENT_ENCODING), "gzip");
    assert_eq!(text(&whole.headers, header::ETAG), format!("W/{etag}"));
    assert!(!whole.headers.contains_key(header::ACCEPT_RANGES));
    let part = file.get(&[gzip, (header::RANGE, "bytes=0-1999"), (header::IF_RANGE, &etag)]).await;
    assert_eq!((part.status.as_u16(), part.body.len()), (206, 2000));
    assert!(!part.headers.contains_key(header::CONTENT_ENCODING));
    assert_eq!(text(&part.headers, header::ETAG), etag);
}

/// The owner has deleted the file at the backbone, so whatever is answered without an error did not fetch it.
#[tokio::test(flavor = "multi_thread")]
async fn only_an_answer_with_bytes_fetches_the_content() {
    let (owner, peer) = TestNode::pair().await;
    let shared = Stored::new(&owner, "application/pdf", b"0123456789").await;
    let file = loaded(&shared, &peer).await;
    let etag = file.etag().await;
    let delete = Request::delete(format!("/api/v2/Files/{}", shared.id)).body(Body::empty()).unwrap();
    assert_eq!(send(&shared.router, delete).await.status, StatusCode::NO_CONTENT);

    let head = file.ask(Method::HEAD, &[]).await;
    assert_eq!((head.status.as_u16(), text(&head.headers, header::CONTENT_LENGTH).as_str()), (200, "10"));
    assert_eq!(file.get(&[(header::IF_NONE_MATCH, &etag)]).await.status, StatusCode::NOT_MODIFIED);
    assert_eq!(file.get(&[(header::IF_MATCH, "\"other\"")]).await.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(file.get(&[(header::RANGE, "bytes=10-")]).await.status, StatusCode::RANGE_NOT_SATISFIABLE);
    for headers in [&[][..], &[(header::RANGE, "bytes=0-1")]] {
        assert_eq!(file.get(headers).await.status, StatusCode::NOT_FOUND);
    }
    let unknown = Stored { router: file.router, id: "FIL00000000000000000".to_owned() };
    assert_eq!(unknown.ask(Method::HEAD, &[]).await.status, StatusCode::NOT_FOUND);
}

/// A copy of a file on the node of another identity.
async fn loaded(shared: &Stored, peer: &TestNode) -> Stored {
    let path = format!("/api/v2/Files/{}", shared.id);
    let reference = send(&shared.router, get(&path)).await.json()["result"]["reference"]["truncated"].clone();
    let load = Request::post("/api/v2/Files/Peer")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(json!({ "reference": reference }).to_string()))
        .unwrap();
    let router = peer.router();
    assert_eq!(send(&router, load).await.status, StatusCode::CREATED);
    Stored { router, id: shared.id.clone() }
}

/// Both forms of the name in a header, decoded: they are the same.
async fn name_of(file: &Stored) -> String {
    let answer = file.get(&[]).await;
    assert!(!answer.headers.contains_key("x-injected"));
    let disposition = text(&answer.headers, header::CONTENT_DISPOSITION);
    let names = disposition.strip_prefix("attachment;filename=").unwrap();
    assert!(names.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\,".contains(&byte)), "{names}");
    let decoded = |name: &str| percent_encoding::percent_decode_str(name).decode_utf8().unwrap().into_owned();
    match names.split_once(";filename*=UTF-8''") {
        Some((plain, extended)) => {
            assert!(!extended.contains([';', '\'']), "{names}");
            assert_eq!(decoded(plain), decoded(extended));
            decoded(plain)
        }
        None => names.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_changes_the_headers_of_a_download_and_that_of_a_peer_misleads_nobody() {
    let (owner, peer) = TestNode::pair().await;
    let long = format!("{}.txt", "n".repeat(300));
    for (name, of_peer) in [
        ("a\r\nX-Injected: y", "aX-Injected: y"),
        ("\"q\"; filename=z", "\"q\"; filename=z"),
        ("a\0\u{1b}[31mb\u{7f}", "a[31mb"),
        ("photo\u{202e}gpj.exe", "photogpj.exe"),
        ("it's, 100%; a*b", "it's, 100%; a*b"),
        (&long, &format!("{}.txt", "n".repeat(251))),
    ] {
        let encoded = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
        let header = format!("name=\"file\"; filename*=UTF-8''{encoded}").into_bytes();
        let router = owner.router();
        let uploaded = send(&router, form("/api/v2/Files/Own", &[(&header, b"x")])).await;
        assert_eq!(uploaded.status, StatusCode::CREATED, "{name}");
        let own = Stored { router, id: uploaded.json()["result"]["id"].as_str().unwrap().to_owned() };
        assert_eq!(name_of(&own).await, name, "whoever chose it gets it back");
        assert_eq!(name_of(&loaded(&own, &peer).await).await, of_peer);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_bytes_says_nothing_of_their_length_on_the_wire() {
    let node = TestNode::start().await;
    let file = Stored::new(&node, "text/plain", &[b'a'; 5000]).await;
    let etag = file.etag().await;
    let server = server(&node, api::ServerLimits::default()).await;
    let asked = async |method: &str, header: &str| {
        let (id, key) = (&file.id, crate::node::KEY);
        let head = format!("{method} /api/v2/Files/{id}/Download HTTP/1.1\r\nHost: localhost\r\nX-API-KEY: {key}\r\n");
        let request = format!("{head}{header}\r\nConnection: close\r\n\r\n");
        let answer = exchange(server.local_addr(), request.as_bytes()).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_lowercase(), body.to_owned())
    };
    let (known, body) = asked("GET", &format!("If-None-Match: {etag}")).await;
    assert!(known.starts_with("http/1.1 304") && body.is_empty(), "{known}");
    assert!(!known.contains("content-length") && !known.contains("transfer-encoding"), "{known}");
    let (head, body) = asked("HEAD", "Accept: */*").await;
    assert!(head.starts_with("http/1.1 200") && head.contains("content-length: 5000") && body.is_empty(), "{head}");
    let (part, body) = asked("GET", "Range: bytes=-7").await;
    assert!(part.starts_with("http/1.1 206") && part.contains("content-length: 7") && body == "aaaaaaa", "{part}");
}
