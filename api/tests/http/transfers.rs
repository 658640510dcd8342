//! Uploads and downloads: forms in any order, limits, what is left behind (threats T8, T12).
use crate::node::{Answer, TestNode, form, get, send};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use serde_json::json;

const UPLOAD: &str = "/api/core/v1/Files/Own";

fn file(name: &str) -> Vec<u8> {
    format!("name=\"file\"; filename=\"{name}\"\r\nContent-Type: text/html").into_bytes()
}

fn message(answer: &Answer) -> String {
    answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_may_stand_before_and_after_the_file() {
    let node = TestNode::start().await;
    let header = file("page.html");
    let parts: [(&[u8], &[u8]); 4] = [
        (b"name=\"title\"", b"before"),
        (&header, b"<p>hi</p>"),
        (b"name=\"description\"", b"after"),
        (b"name=\"tags\"", b"x:one"),
    ];
    let answer = send(&node.router(), form(UPLOAD, &parts)).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", message(&answer));
    let file = &answer.json()["result"];
    assert_eq!([&file["title"], &file["description"]], [&json!("before"), &json!("after")]);
    assert_eq!(file["tags"], json!(["x:one"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn active_content_comes_back_as_an_attachment_that_nothing_runs() {
    let node = TestNode::start().await;
    let router = node.router();
    let header = file("page.html");
    let uploaded = send(&router, form(UPLOAD, &[(&header, b"<script>alert(1)</script>")])).await;
    let id = uploaded.json()["result"]["id"].as_str().unwrap().to_owned();
    let answer = send(&router, get(&format!("/api/core/v1/Files/{id}/Download"))).await;
    assert_eq!(answer.body, "<script>alert(1)</script>");
    assert_eq!(answer.headers[header::CONTENT_DISPOSITION], "attachment;filename=page.html");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert!(answer.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().contains("sandbox"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_may_be_named_in_either_form_and_is_downloaded_with_both() {
    let node = TestNode::start().await;
    let router = node.router();
    for names in [
        "filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%3B.txt; name=\"file\"",
        "name=\"file\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%3B.txt",
        "filename=\"Gr??e.txt\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%3B.txt; name=\"file\"",
        "filename=\"Grüße ;.txt\"; name=\"file\"",
    ] {
        let uploaded = send(&router, form(UPLOAD, &[(names.as_bytes(), b"x")])).await;
        assert_eq!(uploaded.status, StatusCode::CREATED, "{names}: {}", message(&uploaded));
        let file = &uploaded.json()["result"];
        assert_eq!(file["filename"], "Grüße ;.txt", "{names}");
        let answer = send(&router, get(&format!("/api/v2/Files/{}/Download", file["id"].as_str().unwrap()))).await;
        let expected = "attachment;filename=Gr%C3%BC%C3%9Fe%20%3B.txt;filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%3B.txt";
        assert_eq!(answer.headers[header::CONTENT_DISPOSITION], expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_and_empty_files_come_back_as_they_went() {
    let node = TestNode::start().await;
    let router = node.router();
    for length in [0, 1, 1024 * 1024, 3 * 1024 * 1024 + 17] {
        let content: Vec<u8> = (0..length).map(|index: usize| u8::try_from(index % 251).unwrap()).collect();
        let uploaded = send(&router, form(UPLOAD, &[(&file("data.bin"), &content)])).await;
        assert_eq!(uploaded.json()["result"]["filesize"], length, "{}", message(&uploaded));
        let id = uploaded.json()["result"]["id"].as_str().unwrap().to_owned();
        let answer = send(&router, get(&format!("/api/core/v1/Files/{id}/Download"))).await;
        assert!(answer.status == StatusCode::OK && answer.body == content, "{length}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_over_the_limit_is_refused_after_its_fields_were_checked() {
    let node = TestNode::start().await;
    let router = node.router();
    let content = vec![0_u8; usize::try_from(runtime::Config::DEFAULT_MAX_FILE_SIZE).unwrap() + 1];
    let answer = send(&router, form(UPLOAD, &[(&file("big.bin"), &content)])).await;
    assert_eq!((answer.status.as_u16(), message(&answer).as_str()), (400, "'content' is too large"));
    let parts: [(&[u8], &[u8]); 2] = [(&file("big.bin"), &content), (b"name=\"expiresAt\"", b"bad")];
    let answer = send(&router, form(UPLOAD, &parts)).await;
    assert_eq!(message(&answer), "expiresAt must match ISO8601 datetime format");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_in_the_past_is_told_before_tags_that_are_none() {
    let node = TestNode::start().await;
    let router = node.router();
    let header = file("a.txt");
    for (date, expected) in [
        ("2000-01-01", "'expiresAt' must be in the future"),
        ("2099-01-01", "Detected invalidity of the following tags: 'plain'."),
    ] {
        let parts: [(&[u8], &[u8]); 3] =
            [(&header, b"x"), (b"name=\"expiresAt\"", date.as_bytes()), (b"name=\"tags\"", b"plain")];
        let answer = send(&router, form(UPLOAD, &parts)).await;
        assert_eq!((answer.status.as_u16(), message(&answer).as_str()), (400, expected));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_does_not_end_is_given_up() {
    let node = TestNode::start().await;
    let start = Bytes::from("--frontier\r\nX: ");
    let read = Arc::new(AtomicUsize::new(0));
    let counter = read.clone();
    let endless = std::iter::once(start).chain(std::iter::repeat_with(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        Bytes::from(vec![b'x'; 64 * 1024])
    }));
    let request = Request::post(UPLOAD)
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=frontier")
        .header(header::EXPECT, "100-continue")
        .body(Body::from_stream(futures_util::stream::iter(endless.map(Ok::<_, std::io::Error>))))
        .unwrap();
    let answer = send(&node.router(), request).await;
    let expected = "The given payload is not a complete multipart form.";
    assert_eq!((answer.status.as_u16(), message(&answer).as_str()), (400, expected));
    assert!(read.load(Ordering::Relaxed) <= 20, "the parser keeps the head of a part in memory");
}

#[tokio::test(flavor = "multi_thread")]
async fn text_travels_in_the_encoding_that_the_client_takes() {
    let node = TestNode::start().await;
    for encoding in ["gzip", "deflate", "br"] {
        let mut request = get("/docs/json");
        request.headers_mut().insert(header::ACCEPT_ENCODING, encoding.parse().unwrap());
        let answer = send(&node.router(), request).await;
        assert_eq!(answer.headers[header::CONTENT_ENCODING], encoding);
        assert_eq!(answer.headers.get_all(header::VARY).iter().count(), 1);
        assert!(answer.body.len() < api::openapi_json().len() / 2, "{encoding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_cannot_be_read_and_oversized_fields_are_refused() {
    let node = TestNode::start().await;
    let router = node.router();
    let bad_name = b"name=\"file\"; filename=\"\xff\xfe.txt\"".to_vec();
    let answer = send(&router, form(UPLOAD, &[(&bad_name, b"x")])).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "a name that is not UTF-8");
    let long = vec![b'x'; 70 * 1024];
    let answer = send(&router, form(UPLOAD, &[(&file("a"), b"x"), (b"name=\"title\"", &long)])).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "a title of 70 KiB");
    let text = vec![b'x'; 64 * 1024];
    let name = file("a");
    for (tags, status) in [(8, StatusCode::CREATED), (9, StatusCode::BAD_REQUEST)] {
        let mut parts: Vec<(&[u8], &[u8])> = vec![(&name, b"x")];
        parts.extend(std::iter::repeat_n::<(&[u8], &[u8])>((b"name=\"other\"", &text), tags));
        assert_eq!(send(&router, form(UPLOAD, &parts)).await.status, status, "{tags} fields of 64 KiB");
    }
    let many: Vec<(&[u8], &[u8])> = std::iter::repeat_n((b"name=\"x\"".as_slice(), b"".as_slice()), 1000).collect();
    let answer = send(&router, form(UPLOAD, &many)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "a thousand fields");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let node = TestNode::start().await;
    let before = listing(&node);
    let start = "--frontier\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";
    let pieces = std::iter::once(Bytes::from(start)).chain(std::iter::repeat_n(Bytes::from(vec![7_u8; 65_536]), 40));
    let pieces = pieces.map(Ok).chain(std::iter::once(Err(std::io::Error::other("gone"))));
    let request = Request::post(UPLOAD)
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=frontier")
        .body(Body::from_stream(futures_util::stream::iter(pieces.collect::<Vec<_>>())))
        .unwrap();
    let answer = send(&node.router(), request).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(listing(&node), before);
    assert!(send(&node.router(), get("/api/core/v1/Files")).await.json()["result"].as_array().unwrap().is_empty());
}

fn listing(node: &TestNode) -> Vec<String> {
    let entries = std::fs::read_dir(node.data_dir.path().join("node")).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
