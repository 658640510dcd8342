//! `/v1`: buckets and files as clients of Appwrite send and expect them.

use api::{ApiConfig, ApiKey, ApiKeys};
use axum::Router;
use axum::body::Body;
use futures_util::future::join_all;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use runtime::{Secret, Timestamp};
use serde_json::{Value, json};

use crate::node::{Answer, KEY, TestNode, form, get, send};

const READER: &str = "This_is_another_APIKEY_with_30_chars+";
pub(crate) const BUCKETS: &str = "/v1/storage/buckets";
pub(crate) const PART: usize = 5 * 1024 * 1024;

/// A client of one node.
pub(crate) struct Client {
    pub(crate) router: Router,
    pub(crate) key: Option<&'static str>,
}

impl Client {
    pub(crate) fn of(node: &TestNode) -> Self {
        let scopes = ["files.read".to_owned(), "buckets.read".to_owned()];
        let reader = ApiKey::for_appwrite("reader", Secret::new(READER), Some(&scopes)).unwrap();
        let all = ApiKey::for_appwrite("all", Secret::new(KEY), None).unwrap();
        let keys = ApiKeys::named(&[all, reader], Timestamp::NEVER).unwrap();
        Self { router: api::router(node.runtime.clone(), ApiConfig::new(keys)), key: Some(KEY) }
    }

    pub(crate) fn with(&self, key: Option<&'static str>) -> Self {
        Self { router: self.router.clone(), key }
    }

    pub(crate) async fn send(&self, mut request: Request<Body>) -> Answer {
        let headers = request.headers_mut();
        headers.entry("x-appwrite-project").or_insert(HeaderValue::from_static("enlace"));
        if let Some(key) = self.key {
            headers.insert("x-appwrite-key", HeaderValue::from_static(key));
        }
        let answer = send(&self.router, request).await;
        assert!(answer.headers.contains_key(header::CONTENT_TYPE), "{}", answer.status);
        answer
    }

    pub(crate) async fn json(&self, method: Method, path: &str, body: &Value) -> Answer {
        let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(get(path)).await
    }

    pub(crate) async fn bucket(&self, body: Value) -> Value {
        let answer = self.json(Method::POST, BUCKETS, &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.json());
        answer.json()
    }

    pub(crate) async fn upload(
        &self,
        bucket: &str,
        parts: &[(&[u8], &[u8])],
        headers: &[(&'static str, String)],
    ) -> Answer {
        let mut request = form(&format!("{BUCKETS}/{bucket}/files"), parts);
        for (name, value) in headers {
            request.headers_mut().insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        self.send(request).await
    }

    pub(crate) async fn part(&self, id: &str, content: &[u8], index: usize) -> Answer {
        let (start, end) = (index * PART, content.len().min((index + 1) * PART));
        let range = format!("bytes {start}-{}/{}", end - 1, content.len());
        let parts: &[(&[u8], &[u8])] = &[(b"name=\"fileId\"", id.as_bytes()), (FILE, &content[start..end])];
        self.upload("docs", parts, &[("content-range", range)]).await
    }
}

pub(crate) const FILE: &[u8] = b"name=\"file\"; filename=\"data.bin\"";

pub(crate) fn told(answer: &Answer) -> (u16, String) {
    let body = answer.json();
    assert_eq!(body["code"], answer.status.as_u16());
    assert!(body["message"].is_string() && body["version"].is_string(), "{body}");
    assert!(answer.headers[header::CACHE_CONTROL].to_str().unwrap().contains("no-store"));
    (answer.status.as_u16(), body["type"].as_str().unwrap().to_owned())
}

pub(crate) fn refused(status: u16, kind: &str) -> (u16, String) {
    (status, kind.to_owned())
}

pub(crate) fn query(of: &Value) -> String {
    percent_encoding::utf8_percent_encode(&of.to_string(), percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_refused_for_its_project_then_its_scope_then_its_arguments() {
    let node = TestNode::start().await;
    let client = Client::of(&node);
    let (guest, wrong, reader) = (client.with(None), client.with(Some("wrong")), client.with(Some(READER)));
    let body = json!({"bucketId": "docs"});
    let of_project =
        |project: &str| Request::get(BUCKETS).header("x-appwrite-project", project).body(Body::empty()).unwrap();
    for project in ["other", ""] {
        assert_eq!(told(&guest.send(of_project(project)).await), refused(404, "project_not_found"), "{project:?}");
    }
    let unnamed = send(&client.router, get(&format!("{BUCKETS}?project=other"))).await;
    assert_eq!(told(&unnamed), refused(404, "project_not_found"));
    let named = send(&client.router, get(&format!("{BUCKETS}?project=enlace"))).await;
    assert_eq!(told(&named), refused(401, "general_unauthorized_scope"));
    for client in [&guest, &wrong] {
        let answer = client.get(BUCKETS).await;
        assert_eq!(told(&answer), refused(401, "general_unauthorized_scope"));
        assert_eq!(answer.json()["message"], r#"User (role: guests) missing scopes (["buckets.read"])"#);
    }
    assert_eq!(told(&reader.json(Method::POST, BUCKETS, &body).await), refused(401, "general_unauthorized_scope"));
    assert_eq!(reader.get(BUCKETS).await.json(), json!({"total": 0, "buckets": []}));
    let missing = client.json(Method::POST, BUCKETS, &body).await;
    assert_eq!(told(&missing), refused(400, "general_argument_invalid"));
    assert_eq!(missing.json()["message"], "Param \"name\" is not optional.");
    assert_eq!(told(&client.get("/v1/other").await), refused(404, "general_route_not_found"));
    let not_there = client.json(Method::PATCH, BUCKETS, &body).await;
    assert_eq!(told(&not_there), refused(405, "general_route_not_found"));
    assert_eq!(not_there.headers[header::ALLOW], "GET, HEAD, POST", "reading and writing need different scopes");
    // Keys of this face open no other.
    let elsewhere = send(&client.router, get("/api/v2/Files")).await;
    assert_eq!(elsewhere.status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_send_besides_what_they_mean_is_no_obstacle() {
    let node = TestNode::start().await;
    let client = Client::of(&node);
    client.bucket(json!({"bucketId": "docs", "name": "Docs", "description": "x", "stripMetadata": null})).await;
    let empty_type = Request::get(format!("{BUCKETS}/docs/?limit=1")).header(header::CONTENT_TYPE, "");
    assert_eq!(client.send(empty_type.body(Body::empty()).unwrap()).await.status, StatusCode::OK);
    let missing = format!("{BUCKETS}/docs/files/f");
    let multipart = Request::get(&missing).header(header::CONTENT_TYPE, "multipart/form-data; boundary=frontier");
    let answer = client.send(multipart.body(Body::from("--frontier--\r\n")).unwrap()).await;
    assert_eq!(told(&answer), refused(404, "storage_file_not_found"));
    let deleted = client.json(Method::DELETE, &format!("{BUCKETS}/docs"), &json!({})).await;
    assert_eq!((deleted.status, deleted.body.len()), (StatusCode::NO_CONTENT, 0));
    // Clients would read JSON from an answer that says it is some.
    assert!(!deleted.headers[header::CONTENT_TYPE].to_str().unwrap().contains("json"));
    let again = client.json(Method::DELETE, &format!("{BUCKETS}/docs"), &json!({})).await;
    assert_eq!(told(&again), refused(404, "storage_bucket_not_found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_has_all_members_and_what_an_update_omits_returns_to_its_default() {
    let node = TestNode::start().await;
    let client = Client::of(&node);
    let bucket = client.bucket(json!({"bucketId": "docs", "name": "Docs"})).await;
    let created = bucket["$createdAt"].as_str().unwrap();
    assert!(created.ends_with("+00:00") && created.len() == 29, "{created}");
    assert_eq!(
        bucket,
        json!({
            "$id": "docs", "$createdAt": created, "$updatedAt": created, "$permissions": [], "fileSecurity": false,
            "name": "Docs", "enabled": true, "maximumFileSize": 30_000_000, "allowedFileExtensions": [],
            "compression": "none", "encryption": true, "antivirus": true, "transformations": true, "totalSize": 0,
            "description": "", "stripMetadata": false,
        })
    );
    let change = json!({
        "bucketId": "docs", "name": "New", "permissions": ["read(\"any\")"], "fileSecurity": true, "enabled": false,
        "maximumFileSize": 5, "allowedFileExtensions": ["png"], "compression": "zstd",
    });
    let path = format!("{BUCKETS}/docs");
    let changed = client.json(Method::PUT, &path, &change).await.json();
    assert_eq!((&changed["maximumFileSize"], &changed["compression"]), (&json!(5), &json!("zstd")));
    let reset = client.json(Method::PUT, &path, &json!({"name": "New"})).await.json();
    assert_eq!(
        (&reset["$permissions"], &reset["maximumFileSize"], &reset["enabled"]),
        (&json!(["read(\"any\")"]), &json!(30_000_000), &json!(true))
    );
    assert_eq!(client.get(&path).await.json(), reset);
    for (body, name) in [
        (json!({"name": "x", "bucketId": "no/id"}), "bucketId"),
        (json!({"name": "x".repeat(129), "bucketId": "a"}), "name"),
        (json!({"name": 1, "bucketId": "a"}), "name"),
        (json!({"name": "x", "bucketId": "a", "compression": "lzma"}), "compression"),
        (json!({"name": "x", "bucketId": "a", "maximumFileSize": 30_000_001}), "maximumFileSize"),
        (json!({"name": "x", "bucketId": "a", "permissions": ["read"]}), "permissions"),
    ] {
        let answer = client.json(Method::POST, BUCKETS, &body).await;
        assert_eq!(told(&answer), refused(400, "general_argument_invalid"), "{name}");
        let message = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(&format!("Invalid `{name}` param: ")), "{message}");
    }
    let again = client.json(Method::POST, BUCKETS, &json!({"bucketId": "docs", "name": "x"})).await;
    assert_eq!(told(&again), refused(409, "storage_bucket_already_exists"));
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_ordered_paged_and_searched() {
    let node = TestNode::start().await;
    let client = Client::of(&node);
    for (id, name) in [("a", "red one"), ("b", "green two"), ("c", "blue two")] {
        client.bucket(json!({"bucketId": id, "name": name})).await;
    }
    let limit = query(&json!({"method": "limit", "values": [1]}));
    let descending = query(&json!({"method": "orderDesc", "attribute": "name"}));
    let after = query(&json!({"method": "cursorAfter", "values": ["b"]}));
    let before = query(&json!({"method": "cursorBefore", "values": ["c"]}));
    let equal = query(&json!({"method": "equal", "attribute": "name", "values": ["red one"]}));
    for (parameters, total, ids) in [
        (String::new(), 3, vec!["a", "b", "c"]),
        (format!("queries[0]={limit}"), 3, vec!["a"]),
        (format!("queries[]={limit}&queries[]={after}"), 3, vec!["c"]),
        (format!("queries[0]={limit}&queries[1]={before}"), 3, vec!["b"]),
        (format!("queries[0]={descending}"), 3, vec!["a", "b", "c"]),
        (format!("queries[0]={equal}"), 1, vec!["a"]),
        (format!("queries[0]={equal}&total=false"), 0, vec!["a"]),
        ("search=two".to_owned(), 2, vec!["b", "c"]),
    ] {
        let list = client.get(&format!("{BUCKETS}?{parameters}")).await.json();
        let found: Vec<_> = list["buckets"].as_array().unwrap().iter().map(|it| it["$id"].as_str().unwrap()).collect();
        assert_eq!((list["total"].as_u64().unwrap(), found), (total, ids), "{parameters}");
    }
    let unknown = query(&json!({"method": "equal", "attribute": "nothing", "values": ["x"]}));
    let lost = query(&json!({"method": "cursorAfter", "values": ["zzz"]}));
    let many = format!("queries[]={limit}&").repeat(101);
    let long = "x".repeat(257);
    for (parameters, kind) in [
        (format!("queries[0]={unknown}"), "general_argument_invalid"),
        ("queries[0]=x".to_owned(), "general_argument_invalid"),
        (many, "general_argument_invalid"),
        (format!("queries[0]={lost}"), "general_cursor_not_found"),
        ("total=maybe".to_owned(), "general_argument_invalid"),
        (format!("search={long}"), "general_argument_invalid"),
    ] {
        assert_eq!(told(&client.get(&format!("{BUCKETS}?{parameters}")).await), refused(400, kind), "{parameters}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_comes_at_once_with_fields_before_and_behind_it() {
    let node = TestNode::start().await;
    let client = Client::of(&node);
    client.bucket(json!({"bucketId": "docs", "name": "Docs", "allowedFileExtensions": ["txt"]})).await;
    let name: &[u8] = b"name=\"file\"; filename=\"a %22b%22.txt\"\r\nContent-Type: application/octet-stream";
    let parts: &[(&[u8], &[u8])] = &[
        (b"name=\"fileId\"", b"unique()"),
        (name, b"some text"),
        (b"name=\"permissions[]\"", b"read(\"any\")"),
        (b"name=\"permissions[1]\"", b"write(\"users\")"),
        (b"name=\"folder\"", b"photos"),
        (b"name=\"unknown\"", b"x"),
    ];
    let answer = client.upload("docs", parts, &[]).await;
    let file = answer.json();
    assert_eq!(answer.status, StatusCode::CREATED, "{file}");
    let (id, created) = (file["$id"].as_str().unwrap(), &file["$createdAt"]);
    assert_eq!(
        file,
        json!({
            "$id": id, "bucketId": "docs", "$createdAt": created, "$updatedAt": created,
            "$permissions": ["read(\"any\")", "update(\"users\")", "delete(\"users\")"],
            "name": "a \"b\".txt", "folder": "photos/", "key": "photos/a \"b\".txt",
            "signature": "552e21cd4cd9918678e3c1a0df491bc3", "mimeType": "text/plain",
            "sizeOriginal": 9, "sizeActual": 9, "chunksTotal": 1, "chunksUploaded": 1, "encryption": true,
            "compression": "none",
        })
    );
    let path = format!("{BUCKETS}/docs/files/{id}");
    assert_eq!(client.get(&path).await.json(), file);
    assert_eq!(client.get(&format!("{BUCKETS}/docs/files")).await.json(), json!({"total": 1, "files": [file]}));
    let changed = client.json(Method::PUT, &path, &json!({"name": "new.txt"})).await.json();
    assert_eq!((&changed["name"], &changed["$permissions"]), (&json!("new.txt"), &file["$permissions"]));

    let again: &[(&[u8], &[u8])] = &[(b"name=\"fileId\"", id.as_bytes()), (b"name=\"file\"; filename=\"a.txt\"", b"x")];
    assert_eq!(told(&client.upload("docs", again, &[]).await), refused(409, "storage_file_already_exists"));
    for (name, content, kind) in [
        (&b"name=\"file\"; filename=\"a.exe\""[..], &b"x"[..], "storage_file_type_unsupported"),
        (b"name=\"file\"; filename=\"a.txt\"", b"", "storage_file_empty"),
        (b"name=\"other\"", b"x", "general_argument_invalid"),
    ] {
        let parts: &[(&[u8], &[u8])] = &[(b"name=\"fileId\"", b"f"), (name, content)];
        assert_eq!(told(&client.upload("docs", parts, &[]).await), refused(400, kind));
    }
    assert_eq!(client.json(Method::DELETE, &path, &json!({})).await.status, StatusCode::NO_CONTENT);
    assert_eq!(told(&client.json(Method::DELETE, &path, &json!({})).await), refused(404, "storage_file_not_found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_come_in_parallel_and_in_any_order() {
    let node = TestNode::start().await;
    let client = Client::of(&node);
    client.bucket(json!({"bucketId": "docs", "name": "Docs"})).await;
    let content: Vec<u8> = (0..3 * PART + 17).map(|index| u8::try_from(index % 251).unwrap()).collect();
    let first = client.part("big", &content, 3).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.json());
    let file = first.json();
    assert_eq!((&file["chunksTotal"], &file["chunksUploaded"], &file["signature"]), (&json!(4), &json!(1), &json!("")));
    assert_eq!(client.get(&format!("{BUCKETS}/docs/files/big")).await.json()["chunksUploaded"], 0);
    assert_eq!(client.part("big", &content, 3).await.json()["chunksUploaded"], 1);
    let rest = join_all([2, 0, 1].map(|index| client.part("big", &content, index))).await;
    let complete: Vec<_> = rest.iter().map(Answer::json).filter(|file| file["chunksUploaded"] == 4).collect();
    assert_eq!(complete.len(), 1);
    assert_eq!(
        (&complete[0]["sizeActual"], &complete[0]["sizeOriginal"]),
        (&json!(content.len()), &json!(content.len()))
    );
    let late = client.part("big", &content, 1).await;
    assert_eq!((late.status, late.json()), (StatusCode::OK, complete[0].clone()));

    let one: &[(&[u8], &[u8])] = &[(b"name=\"fileId\"", b"f"), (FILE, b"x")];
    for (header, value, kind) in [
        ("content-range", "bytes 5-4/10", "storage_invalid_content_range"),
        ("content-range", "items 0-0/1", "storage_invalid_content_range"),
        ("content-range", "bytes 0-0/30000001", "storage_invalid_content_range"),
    ] {
        let answer = client.upload("docs", one, &[(header, value.to_owned())]).await;
        assert_eq!(told(&answer), refused(400, kind), "{value}");
    }
    let too_large = format!("bytes 0-{}/30000001", PART - 1);
    let answer = client.upload("docs", one, &[("content-range", too_large)]).await;
    assert_eq!(told(&answer), refused(400, "storage_invalid_file_size"));
    let headers = [("content-range", "bytes 0-0/1".to_owned()), ("x-appwrite-id", "unique()".to_owned())];
    assert_eq!(told(&client.upload("docs", one, &headers).await), refused(400, "storage_invalid_appwrite_id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_may_do_what_permissions_say() {
    let node = TestNode::start().await;
    let client = Client::of(&node);
    let guest = client.with(None);
    client.bucket(json!({"bucketId": "docs", "name": "Docs"})).await;
    let public = json!({
        "bucketId": "drop", "name": "Drop", "fileSecurity": true, "permissions": ["create(\"any\")"],
    });
    client.bucket(public).await;
    let parts = |id: &'static [u8]| -> Vec<(&[u8], &[u8])> { vec![(b"name=\"fileId\"", id), (FILE, b"x")] };
    assert_eq!(told(&guest.upload("docs", &parts(b"a"), &[]).await), refused(401, "user_unauthorized"));
    assert_eq!(guest.upload("drop", &parts(b"a"), &[]).await.status, StatusCode::CREATED);
    let mut readable = parts(b"b");
    readable.push((b"name=\"permissions[]\"", b"read(\"any\")"));
    assert_eq!(guest.upload("drop", &readable, &[]).await.status, StatusCode::CREATED);
    readable[0].1 = b"c";
    readable[2].1 = b"read(\"user:x\")";
    let foreign = guest.upload("drop", &readable, &[]).await;
    assert_eq!(told(&foreign), refused(401, "user_unauthorized"));
    assert!(foreign.json()["message"].as_str().unwrap().starts_with("Permissions must be one of: ("));
    assert_eq!(guest.get(&format!("{BUCKETS}/drop/files")).await.json()["total"], 1);
    let hidden = guest.get(&format!("{BUCKETS}/drop/files/a")).await;
    assert_eq!(told(&hidden), refused(404, "storage_file_not_found"));
    assert_eq!(guest.get(&format!("{BUCKETS}/drop/files/b")).await.status, StatusCode::OK);
    assert_eq!(told(&guest.get(&format!("{BUCKETS}/docs/files/a")).await), refused(401, "user_unauthorized"));
    client.json(Method::PUT, &format!("{BUCKETS}/drop"), &json!({"name": "Drop", "enabled": false})).await;
    let disabled = guest.get(&format!("{BUCKETS}/drop/files/b")).await;
    assert_eq!(told(&disabled), refused(404, "storage_bucket_not_found"));
}

impl Client {
    pub(crate) async fn ranged(&self, path: &str, headers: &[(&'static str, &str)]) -> Answer {
        let mut request = get(path);
        for (name, value) in headers {
            request.headers_mut().insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        self.send(request).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contents_are_viewed_and_downloaded_by_those_who_may_read_them() {
    let node = TestNode::start().await;
    let client = Client::of(&node);
    let guest = client.with(None);
    client.bucket(json!({"bucketId": "docs", "name": "Docs", "permissions": ["read(\"any\")"]})).await;
    client.bucket(json!({"bucketId": "own", "name": "Own"})).await;
    let content: Vec<u8> = b"<html>".iter().copied().chain((b'a'..=b'z').cycle().take(1000)).collect();
    let name: &[u8] = "name=\"file\"; filename=\"\u{e4}.html\"".as_bytes();
    let parts: &[(&[u8], &[u8])] = &[(b"name=\"fileId\"", b"f"), (name, &content)];
    for bucket in ["docs", "own"] {
        assert_eq!(client.upload(bucket, parts, &[]).await.status, StatusCode::CREATED);
    }
    let (view, download) = (format!("{BUCKETS}/docs/files/f/view"), format!("{BUCKETS}/docs/files/f/download"));
    let shown = guest.get(&view).await;
    assert_eq!((shown.status, shown.body.to_vec()), (StatusCode::OK, content.clone()));
    let of = |answer: &Answer, name: &str| answer.headers[name].to_str().unwrap().to_owned();
    assert!(of(&shown, "content-type").starts_with("text/plain"), "{}", of(&shown, "content-type"));
    assert_eq!(of(&shown, "content-disposition"), "inline; filename=\"_.html\"; filename*=UTF-8''%C3%A4.html");
    assert_eq!(of(&shown, "cache-control"), "private, max-age=3888000");
    assert!(of(&shown, "content-security-policy").contains("script-src 'none'"));
    let saved = guest.get(&download).await;
    assert!(of(&saved, "content-disposition").starts_with("attachment; ") && saved.body == shown.body);
    let (etag, size) = (of(&shown, "etag"), content.len());
    assert_eq!(of(&saved, "etag"), etag);
    for (range, status, expected) in [
        ("bytes=0-99", 206, &content[..100]),
        ("bytes=5-5", 206, &content[5..6]),
        ("bytes=900-", 206, &content[900..]),
        ("bytes=-10", 206, &content[size - 10..]),
        ("bytes=0-999999", 206, &content[..]),
        ("bytes=0-1,5-6", 200, &content[..]),
        ("items=0-1", 200, &content[..]),
    ] {
        let answer = guest.ranged(&download, &[("range", range)]).await;
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (status, expected), "{range}");
        assert_eq!(of(&answer, "accept-ranges"), "bytes");
    }
    for range in ["bytes=988", "bytes=5000-", "bytes=-0"] {
        let answer = guest.ranged(&download, &[("range", range)]).await;
        assert_eq!(told(&answer), refused(416, "storage_invalid_range"), "{range}");
        assert_eq!(of(&answer, "content-range"), format!("bytes */{size}"));
    }
    let known = guest.ranged(&view, &[("if-none-match", &etag)]).await;
    assert_eq!((known.status, known.body.len()), (StatusCode::NOT_MODIFIED, 0));
    let changed = guest.ranged(&download, &[("range", "bytes=0-0"), ("if-range", "\"other\"")]).await;
    assert_eq!((changed.status, changed.body.len()), (StatusCode::OK, size));
    let head = Request::head(&download).body(Body::empty()).unwrap();
    let head = guest.send(head).await;
    assert_eq!((of(&head, "content-length"), head.body.len()), (size.to_string(), 0));
    for path in [view.replace("docs", "own"), download.replace("docs", "own")] {
        assert_eq!(told(&guest.get(&path).await), refused(401, "user_unauthorized"));
        assert_eq!(client.get(&path).await.body, shown.body);
    }
    let missing = guest.get(&format!("{BUCKETS}/docs/files/g/view")).await;
    assert_eq!(told(&missing), refused(404, "storage_file_not_found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_write_up_to_a_limit_and_keys_without_one() {
    let node = TestNode::start().await;
    let client = Client::of(&node);
    let guest = client.with(None);
    client.bucket(json!({"bucketId": "docs", "name": "Docs", "permissions": ["delete(\"any\")"]})).await;
    let path = format!("{BUCKETS}/docs/files/f");
    let delete = async |client: &Client| client.json(Method::DELETE, &path, &json!({})).await;
    let number = |answer: &Answer, name: &str| answer.headers[name].to_str().unwrap().parse::<i64>().unwrap();
    for left in (0..60).rev() {
        let answer = delete(&guest).await;
        assert_eq!(told(&answer), refused(404, "storage_file_not_found"));
        assert_eq!(number(&answer, "x-ratelimit-limit"), 60);
        assert!(number(&answer, "x-ratelimit-remaining") >= left);
    }
    let mut refusals = Vec::new();
    // One more is allowed each second.
    for _ in 0..60 {
        refusals.extend(Some(delete(&guest).await).filter(|answer| answer.status == StatusCode::TOO_MANY_REQUESTS));
    }
    let answer = refusals.first().unwrap();
    assert_eq!(told(answer), refused(429, "general_rate_limit_exceeded"));
    assert_eq!((number(answer, "x-ratelimit-remaining"), number(answer, "retry-after")), (0, 1));
    let ahead = number(answer, "x-ratelimit-reset") - node.runtime.clock().now().as_unix_milliseconds() / 1000;
    assert!((58..=61).contains(&ahead), "{ahead}");
    let with_key = delete(&client).await;
    assert_eq!(told(&with_key), refused(404, "storage_file_not_found"));
    assert_eq!(number(&with_key, "x-ratelimit-remaining"), 60);
    let read = guest.get(&path).await;
    assert_eq!(read.status, StatusCode::UNAUTHORIZED);
    assert!(!read.headers.contains_key("x-ratelimit-limit"));
}
