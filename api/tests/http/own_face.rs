//! `/api/enlace/v1`: formats of files, and uploads that are passed on while they are received.

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use runtime::facade::Ownership;
use runtime::manifest::{Entry, EntryKind, Manifest, RelativePath};
use serde_json::{Value, json};

use crate::node::{Answer, TestNode, form, get, send};

const UPLOAD: &str = "/api/enlace/v1/Files/Own";
const FILE: &[u8] = b"name=\"file\"; filename=\"data.bin\"\r\nContent-Type: application/x-data";
/// More than one chunk of format v2, and no multiple of it.
const LENGTH: usize = (2 << 20) + 17;

fn content() -> Vec<u8> {
    (0..LENGTH).map(|index| u8::try_from(index % 251).unwrap()).collect()
}

fn message(answer: &Answer) -> String {
    answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned()
}

async fn upload(router: &Router, format: Option<&str>, content: &[u8]) -> Answer {
    let format = format.map(|format| (&b"name=\"format\""[..], format.as_bytes()));
    let parts: Vec<_> = format.into_iter().chain([(FILE, content)]).collect();
    send(router, form(UPLOAD, &parts)).await
}

async fn uploaded(router: &Router, format: &str, content: &[u8]) -> Value {
    let answer = upload(router, Some(format), content).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{format}: {}", message(&answer));
    answer.json()["result"].take()
}

async fn assert_nothing_is_left(node: &TestNode) {
    let files = node.runtime.files().files(Ownership::Any, &[]).unwrap().collect().await.unwrap();
    assert!(files.is_empty(), "{files:?}");
    assert_eq!(std::fs::read_dir(node.runtime.temporary_directory()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_uploaded_in_the_chosen_format_and_says_so_wherever_it_is_shown() {
    let (node, peer) = TestNode::pair().await;
    let (router, peers_router) = (node.router(), peer.router());
    let content = content();
    for (chosen, format) in [(None, "v1"), (Some("auto"), "v1"), (Some("v1"), "v1"), (Some("v2"), "v2")] {
        let answer = upload(&router, chosen, &content).await;
        let file = &answer.json()["result"];
        assert_eq!((answer.status, &file["format"]), (StatusCode::CREATED, &json!(format)), "{}", message(&answer));
        assert_eq!([&file["filesize"], &file["mimetype"]], [&json!(LENGTH), &json!("application/x-data")]);
        let id = file["id"].as_str().unwrap();
        let shown = send(&router, get(&format!("/api/enlace/v1/Files/{id}"))).await.json();
        assert_eq!(&shown["result"], file);
        for list in ["Files", "Files/Own"] {
            let listed = send(&router, get(&format!("/api/enlace/v1/{list}"))).await.json();
            assert_eq!(listed["result"].as_array().unwrap().last(), Some(file), "{list}");
        }
        let reference = json!({"reference": file["reference"]["truncated"]});
        let request = Request::post("/api/enlace/v1/Files/Peer").header(header::CONTENT_TYPE, "application/json");
        let loaded = send(&peers_router, request.body(Body::from(reference.to_string())).unwrap()).await.json();
        assert_eq!([&loaded["result"]["format"], &loaded["result"]["id"]], [&json!(format), &file["id"]]);
        let fetched = send(&peers_router, get(&format!("/api/enlace/v1/Files/{id}/Download"))).await;
        assert!(fetched.status == StatusCode::OK && fetched.body == content, "{format}");
    }
}

/// A list of one file of this many bytes, and as the field that says how long the list is.
fn list_of(size: u64) -> (Vec<u8>, String) {
    let entry = Entry {
        path: RelativePath::new("a.bin").unwrap(),
        kind: EntryKind::File { size },
        mode: None,
        modified_at: None,
    };
    let list = Manifest::new(vec![entry]).unwrap().encode();
    let length = list.len().to_string();
    (list, length)
}

#[tokio::test(flavor = "multi_thread")]
async fn several_files_come_with_their_list_or_not_at_all() {
    const FILES: &[u8] = b"name=\"files\"; filename=\"photos\"\r\nContent-Type: application/vnd.enlace.files";
    const LENGTH_OF_LIST: &[u8] = b"name=\"manifestLength\"";
    let node = TestNode::start().await;
    let router = node.router();
    let (list, length) = list_of(5);
    let content = [&list[..], b"12345"].concat();
    let sent = async |field: &[u8], length: &str, content: &[u8]| {
        send(&router, form(UPLOAD, &[(LENGTH_OF_LIST, length.as_bytes()), (field, content)])).await
    };
    for (field, length, content, words) in [
        (FILES, length.as_str(), &content[..content.len() - 1], "as many bytes as its list of files says"),
        (FILES, &length, &[&content[..], b"6"].concat(), "as many bytes as its list of files says"),
        (FILES, "1", &content, "list of files is not valid"),
        (FILES, "0", &content, "list of files has from 1"),
        (FILES, "-1", &content, "manifestLength must be a number"),
        (FILES, "99999999999999999999", &content, "manifestLength must be a number"),
        (FILE, &length, &content, "in the field 'files'"),
    ] {
        let answer = sent(field, length, content).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{words}: {}", message(&answer));
        assert!(message(&answer).contains(words), "{}", message(&answer));
    }
    let without_length = send(&router, form(UPLOAD, &[(FILES, &content)])).await;
    assert!(message(&without_length).contains("in the field 'file'"), "{}", message(&without_length));
    assert_nothing_is_left(&node).await;

    let answer = sent(FILES, &length, &content).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", message(&answer));
    let id = answer.json()["result"]["id"].as_str().unwrap().parse().unwrap();
    let manifest = node.runtime.files().manifest(&id).await.unwrap().unwrap();
    assert_eq!((manifest.entries().len(), manifest.content_length()), (1, content.len() as u64));
    let download = format!("/api/enlace/v1/Files/{id}/Download");
    assert!(send(&router, get(&download)).await.body == content);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dialects_of_the_connectors_say_nothing_of_formats() {
    let node = TestNode::start().await;
    let router = node.router();
    let file = uploaded(&router, "v2", b"x").await;
    let id = file["id"].as_str().unwrap();
    for (prefix, added) in [("/api/core/v1", &[][..]), ("/api/v2", &["truncatedReference", "title"])] {
        let shown = send(&router, get(&format!("{prefix}/Files/{id}"))).await.json();
        let mut expected = file.as_object().unwrap().clone();
        expected.remove("format");
        let mut shown = shown["result"].as_object().unwrap().clone();
        added.iter().for_each(|name| assert!(shown.remove(*name).is_some(), "{name}"));
        assert_eq!(shown, expected, "{prefix}");
        // A field that these forms do not have is ignored.
        let parts: [(&[u8], &[u8]); 2] = [(b"name=\"format\"", b"v2"), (FILE, b"x")];
        let answer = send(&router, form(&format!("{prefix}/Files/Own"), &parts)).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", message(&answer));
        let id = answer.json()["result"]["id"].as_str().unwrap().parse().unwrap();
        assert_eq!(node.runtime.files().file(&id).await.unwrap().format.as_str(), "v1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_auto_chooses_depends_on_the_limit_of_the_first_format() {
    let node = TestNode::start().await;
    let router = node.router();
    let limit = usize::try_from(runtime::Config::DEFAULT_MAX_FILE_SIZE).unwrap();
    for (length, format) in [(limit, "v1"), (limit + 1, "v2")] {
        let content = vec![7; length];
        assert_eq!(uploaded(&router, "auto", &content).await["format"], format, "{length}");
    }
    let answer = upload(&router, Some("v1"), &vec![7; limit + 1]).await;
    assert_eq!((answer.status.as_u16(), message(&answer).as_str()), (400, "'content' is too large"));
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_are_checked_before_the_file_is_read() {
    let node = TestNode::start().await;
    let router = node.router();
    for (name, value, expected) in [
        ("format", "v3", "format must be one of v1, v2, auto"),
        ("format", "V2", "format must be one of v1, v2, auto"),
        ("format", "", "format must be one of v1, v2, auto"),
        ("expiresAt", "bad", "expiresAt must match ISO8601 datetime format"),
        ("expiresAt", "2000-01-01", "'expiresAt' must be in the future"),
        ("tags", "plain", "Detected invalidity of the following tags: 'plain'."),
    ] {
        let field = format!("name=\"{name}\"");
        let answer = send(&router, form(UPLOAD, &[(field.as_bytes(), value.as_bytes()), (FILE, b"x")])).await;
        assert_eq!((answer.status.as_u16(), message(&answer).as_str()), (400, expected), "{name} {value}");
    }
    let twice: [(&[u8], &[u8]); 3] = [(b"name=\"format\"", b"v1"), (b"name=\"format\"", b"v2"), (FILE, b"x")];
    assert_eq!(message(&send(&router, form(UPLOAD, &twice)).await), "format must be string");
    assert_nothing_is_left(&node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_without_a_usable_file_is_refused() {
    let node = TestNode::start().await;
    let router = node.router();
    for (parts, expected) in [
        (vec![(&b"name=\"title\""[..], &b"x"[..])], "must have required property 'file'"),
        (vec![], "must have required property 'file'"),
        (vec![(b"name=\"file\"; filename=\"\"", b"x")], "the file must have a name"),
        (vec![(b"name=\"file\"; filename=\"..\"", b"x")], "the file must have a name"),
        (vec![(b"name=\"other\"; filename=\"a\"", b"x")], "the file must be sent in the field 'file'"),
    ] {
        let answer = send(&router, form(UPLOAD, &parts)).await;
        assert_eq!((answer.status.as_u16(), message(&answer).as_str()), (400, expected));
    }
    let request = Request::post(UPLOAD).header(header::CONTENT_TYPE, "application/json").body(Body::from("{}"));
    assert_eq!(message(&send(&router, request.unwrap()).await), "must have required property 'file'");
    assert_nothing_is_left(&node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_may_follow_the_file() {
    let node = TestNode::start().await;
    let router = node.router();
    let content = content();
    for format in ["v1", "v2", "auto"] {
        for behind in [(&b"name=\"title\""[..], &b"late"[..]), (FILE, b"another"), (b"name=\"unknown\"", b"x")] {
            let parts = [(&b"name=\"format\""[..], format.as_bytes()), (FILE, &content), behind];
            let answer = send(&router, form(UPLOAD, &parts)).await;
            let expected = "the file must be the last part of the form";
            assert_eq!((answer.status.as_u16(), message(&answer).as_str()), (400, expected), "{format}");
        }
    }
    assert_nothing_is_left(&node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_breaks_off_leaves_no_file() {
    let node = TestNode::start().await;
    let router = node.router();
    let content = content();
    for format in ["v1", "v2", "auto"] {
        let whole = form(UPLOAD, &[(b"name=\"format\"", format.as_bytes()), (FILE, &content)]);
        let (head, body) = whole.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let end = body.len() - "\r\n--frontier--\r\n".len();
        // In the file, at its end, and in the middle of what ends the form.
        for length in [end / 2, end, end + 5] {
            let sent = [Ok(body.slice(..length)), Err(std::io::Error::other("the client is gone"))];
            for pieces in [vec![Ok::<_, std::io::Error>(body.slice(..length))], sent.into()] {
                let body = Body::from_stream(futures_util::stream::iter(pieces));
                let answer = send(&router, Request::from_parts(head.clone(), body)).await;
                let expected = "The given payload is not a complete multipart form.";
                assert_eq!((answer.status.as_u16(), message(&answer).as_str()), (400, expected), "{format} {length}");
            }
        }
    }
    assert_nothing_is_left(&node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_and_heads_are_answered_for_both_formats() {
    let node = TestNode::start().await;
    let router = node.router();
    let content = content();
    for format in ["v1", "v2"] {
        let file = uploaded(&router, format, &content).await;
        let path = format!("/api/enlace/v1/Files/{}/Download", file["id"].as_str().unwrap());
        let mut head = get(&path);
        *head.method_mut() = Method::HEAD;
        let head = send(&router, head).await;
        assert_eq!((head.status, head.body), (StatusCode::OK, Bytes::new()));
        assert_eq!(head.headers[header::CONTENT_LENGTH], LENGTH.to_string().as_str());
        let etag = head.headers[header::ETAG].clone();
        for (range, bytes) in [
            ("bytes=0-0", 0..1),
            ("bytes=1048570-1048590", 1_048_570..1_048_591),
            ("bytes=2097152-", 2_097_152..LENGTH),
            ("bytes=-5", LENGTH - 5..LENGTH),
        ] {
            let request = Request::get(&path).header(header::RANGE, range).header(header::IF_RANGE, &etag);
            let answer = send(&router, request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT, "{format} {range}");
            let said = format!("bytes {}-{}/{LENGTH}", bytes.start, bytes.end - 1);
            assert_eq!(answer.headers[header::CONTENT_RANGE], said.as_str());
            assert!(answer.body == content[bytes], "{format} {range}");
        }
        let request = Request::get(&path).header(header::RANGE, format!("bytes={LENGTH}-"));
        let answer = send(&router, request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::RANGE_NOT_SATISFIABLE);
        assert_eq!(answer.headers[header::CONTENT_RANGE], format!("bytes */{LENGTH}").as_str());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_of_a_file_breaks_out_of_the_headers_of_its_download() {
    let node = TestNode::start().await;
    let router = node.router();
    for (sent, name, shown) in [
        ("%22q%22.txt", "\"q\".txt", "%22q%22.txt"),
        ("a%0D%0AX-Evil%3A%20y.txt", "a\r\nX-Evil: y.txt", "a%0D%0AX-Evil%3A%20y.txt"),
        ("%E2%80%AEfdp.exe", "\u{202e}fdp.exe", "%E2%80%AEfdp.exe"),
        ("a%3Bfilename=b", "a;filename=b", "a%3Bfilename%3Db"),
    ] {
        let head = format!("name=\"file\"; filename*=UTF-8''{sent}");
        let parts: [(&[u8], &[u8]); 2] = [(b"name=\"format\"", b"v2"), (head.as_bytes(), b"x")];
        let answer = send(&router, form(UPLOAD, &parts)).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{sent}: {}", message(&answer));
        let file = answer.json()["result"].take();
        assert_eq!(file["filename"], name);
        let path = format!("/api/enlace/v1/Files/{}/Download", file["id"].as_str().unwrap());
        let answer = send(&router, get(&path)).await;
        let expected = format!("attachment;filename={shown};filename*=UTF-8''{shown}");
        assert_eq!(answer.headers[header::CONTENT_DISPOSITION], expected.as_str());
        assert!(!answer.headers.contains_key("x-evil"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_face_has_the_keys_and_roles_of_the_dialects_and_can_be_switched_off() {
    let node = TestNode::start().await;
    let mut request = get("/api/enlace/v1/Files");
    request.headers_mut().insert("x-api-key", "wrong".parse().unwrap());
    assert_eq!(send(&node.router(), request).await.status, StatusCode::UNAUTHORIZED);
    let mut config = TestNode::config();
    config.own_face = false;
    let router = api::router(node.runtime.clone(), config);
    assert_eq!(send(&router, get("/api/enlace/v1/Files")).await.code(), "error.connector.http.routeDoesNotExist");
    assert_eq!(send(&router, get("/api/core/v1/Files")).await.status, StatusCode::OK);
}
