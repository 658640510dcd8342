//! Uploads that go on after an interruption, and the files that they become.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{NEVER, PASSWORD, Person, Upload, World, answer, raw, refusal, text_of};
use futures_util::future::join_all;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use sha2::Digest as _;
use tokio::io::AsyncWriteExt as _;
use transport::wire::bytes::{to_base64, to_base64url};

const UPLOADS: &str = "/api/enlace/v1/Uploads";
const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * 60 * 60;
const EXHAUSTED: &str = "quotaExhausted";
const MIB: usize = 1024 * 1024;
/// After this long a test has hung.
const PATIENCE: Duration = Duration::from_secs(60);

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|place| u8::try_from(place % 251).unwrap()).collect()
}

fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
}

fn tus(person: &Person, method: Method, path: &str) -> RequestBuilder {
    person.request(method, path).header("tus-resumable", "1.0.0")
}

fn creation(person: &Person, length: usize) -> RequestBuilder {
    tus(person, Method::POST, UPLOADS).header("upload-length", length)
}

/// The path of what a request creates.
async fn created(request: RequestBuilder) -> String {
    let response = raw(request).await;
    assert_eq!(response.status(), 201, "{:?}", response.text().await);
    assert_eq!(header(&response, "tus-resumable").unwrap(), "1.0.0");
    header(&response, "location").unwrap()
}

async fn new(person: &Person, length: usize) -> String {
    created(creation(person, length)).await
}

fn patch(person: &Person, path: &str, offset: usize, bytes: &[u8]) -> RequestBuilder {
    tus(person, Method::PATCH, path)
        .header("upload-offset", offset)
        .header("content-type", "application/offset+octet-stream")
        .body(bytes.to_vec())
}

/// Appends and returns the new offset.
async fn append(person: &Person, path: &str, offset: usize, bytes: &[u8]) -> usize {
    let response = raw(patch(person, path, offset, bytes)).await;
    assert_eq!(response.status(), 204, "{:?}", response.text().await);
    header(&response, "upload-offset").unwrap().parse().unwrap()
}

async fn head(person: &Person, path: &str) -> Response {
    raw(tus(person, Method::HEAD, path)).await
}

async fn offset(person: &Person, path: &str) -> usize {
    let response = head(person, path).await;
    assert_eq!((response.status().as_u16(), header(&response, "cache-control").unwrap()), (200, "no-store".to_owned()));
    header(&response, "upload-offset").unwrap().parse().unwrap()
}

fn description() -> Value {
    json!({ "ownerSignature": "b3BhcXVlLTI", "encryptedProperties": "b3BhcXVlLTM", "expiresAt": NEVER })
}

fn finish(person: &Person, path: &str, body: &Value) -> RequestBuilder {
    person.post(&format!("{path}/File"), body)
}

async fn download(person: &Person, file: &Value) -> Vec<u8> {
    raw(person.get(&format!("/Files/{}", text_of(&file["id"])))).await.bytes().await.unwrap().to_vec()
}

fn blob_count(world: &World) -> usize {
    let folders = std::fs::read_dir(world.dir.path().join("data/blobs")).unwrap();
    folders.map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count()).sum()
}

fn blob_bytes(world: &World) -> u64 {
    let folders = std::fs::read_dir(world.dir.path().join("data/blobs")).unwrap().map(|folder| folder.unwrap().path());
    let blobs = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap());
    blobs.map(|blob| blob.unwrap().metadata().unwrap().len()).sum()
}

async fn stored_bytes(world: &World, person: &Person) -> (u64, u64) {
    let usage = world.backbone().admin().usage_of_identity(&person.address.parse().unwrap()).await.unwrap();
    (usage.files, usage.content_bytes)
}

#[tokio::test]
async fn a_probe_tells_everybody_what_is_spoken() {
    let world = World::new().await;
    for path in [UPLOADS, "/api/enlace/v1/uploads/UPLaaaaaaaaaaaaaaaaa"] {
        let response = raw(world.anonymous(Method::OPTIONS, path)).await;
        assert_eq!(response.status(), 204);
        let told = |name| header(&response, name).unwrap();
        assert_eq!((told("tus-resumable"), told("tus-version")), ("1.0.0".to_owned(), "1.0.0".to_owned()));
        assert_eq!(told("tus-max-size"), (16_u64 * 1024 * 1024 * 1024).to_string());
        assert_eq!(told("tus-checksum-algorithm"), "blake3,sha1,sha256,sha512");
        assert_eq!(
            told("tus-extension"),
            "creation,creation-defer-length,checksum,termination,expiration,concatenation"
        );
    }
}

#[tokio::test]
async fn a_file_in_pieces_is_the_same_as_one_in_a_form() {
    let world = World::new().await;
    let (person, other) = (world.person(1).await, world.person(2).await);
    let all = bytes(700_000);
    let path = new(&person, all.len()).await;
    let id = path.rsplit('/').next().unwrap().to_owned();
    assert_eq!(offset(&person, &path).await, 0);
    assert_eq!(append(&person, &path, 0, &all[..300_000]).await, 300_000);
    assert_eq!(append(&person, &path, 300_000, b"").await, 300_000);
    assert_eq!(refusal(finish(&person, &path, &description()), 400).await, "upload.incomplete");
    assert_eq!(append(&person, &path, 300_000, &all[300_000..]).await, all.len());
    let file = answer(finish(&person, &path, &description()), 201).await;
    let in_form = person.file(&all).await;
    assert_eq!(file["id"], id.replace("UPL", "FIL"));
    for member in ["cipherHash", "cipherSize", "createdBy", "createdByDevice", "expiresAt", "owner", "ownerSignature"] {
        assert_eq!(file[member], in_form[member], "{member}");
    }
    assert_eq!(
        file.as_object().unwrap().keys().collect::<Vec<_>>(),
        in_form.as_object().unwrap().keys().collect::<Vec<_>>()
    );
    assert!(download(&other, &file).await == all);
    assert_eq!(head(&person, &path).await.status(), 404, "the upload is gone");
    refusal(finish(&person, &path, &description()), 404).await;
    refusal(patch(&person, &path, all.len(), b""), 404).await;
    let claim = json!({ "ownershipToken": file["ownershipToken"] });
    answer(other.patch(&format!("/Files/{}/ClaimOwnership", text_of(&file["id"])), &claim), 200).await;
    answer(person.delete(&format!("/Files/{}", text_of(&file["id"]))), 204).await;
    answer(person.delete(&format!("/Files/{}", text_of(&in_form["id"]))), 204).await;
    assert_eq!((blob_count(&world), stored_bytes(&world, &person).await), (0, (0, 0)));
}

#[tokio::test]
async fn the_version_of_the_protocol_is_asked_for_and_answered() {
    let world = World::new().await;
    let person = world.person(1).await;
    let path = new(&person, 1).await;
    for request in [
        person.request(Method::POST, UPLOADS).header("upload-length", 1),
        person.request(Method::HEAD, &path),
        person.request(Method::PATCH, &path).header("tus-resumable", "0.2.2"),
        person.request(Method::DELETE, &path),
    ] {
        let response = raw(request).await;
        assert_eq!(response.status(), 412);
        assert_eq!(header(&response, "tus-version").unwrap(), "1.0.0");
    }
    let gone = head(&person, "/api/enlace/v1/Uploads/UPLaaaaaaaaaaaaaaaaa").await;
    assert_eq!((gone.status().as_u16(), header(&gone, "tus-resumable").unwrap()), (404, "1.0.0".to_owned()));
}

#[tokio::test]
async fn uploads_are_nobody_elses_business() {
    let world = World::new().await;
    let (person, stranger) = (world.person(1).await, world.person(2).await);
    let path = new(&person, 3).await;
    for request in [
        tus(&stranger, Method::HEAD, &path),
        patch(&stranger, &path, 0, b"abc"),
        tus(&stranger, Method::DELETE, &path),
        finish(&stranger, &path, &description()),
    ] {
        assert_eq!(raw(request).await.status(), 404);
    }
    let anonymous = world.anonymous(Method::POST, UPLOADS).header("tus-resumable", "1.0.0").header("upload-length", 1);
    assert_eq!(raw(anonymous).await.status(), 401);
    let second = person.second_device().await;
    assert_eq!(append(&second, &path, 0, b"abc").await, 3, "another device goes on");
    let file = answer(finish(&second, &path, &description()), 201).await;
    assert_eq!(file["createdByDevice"], second.device);
}

#[tokio::test]
async fn bytes_belong_behind_the_acknowledged_ones() {
    let world = World::new().await;
    let person = world.person(1).await;
    let path = new(&person, 6).await;
    append(&person, &path, 0, b"abc").await;
    for wrong in [0, 2, 4, 6] {
        assert_eq!(refusal(patch(&person, &path, wrong, b"xyz"), 409).await, "upload.offsetConflict");
    }
    let no_offset = tus(&person, Method::PATCH, &path).header("content-type", "application/offset+octet-stream");
    assert_eq!(refusal(no_offset.body("def"), 400).await, "inputCannotBeParsed");
    let wrong_type = tus(&person, Method::PATCH, &path).header("upload-offset", 3).header("content-type", "text/plain");
    assert_eq!(refusal(wrong_type.body("def"), 415).await, "upload.wrongContentType");
    assert_eq!(refusal(patch(&person, &path, 3, b"defg"), 413).await, "upload.beyondLength");
    assert_eq!(offset(&person, &path).await, 3);
    append(&person, &path, 3, b"def").await;
    assert_eq!(refusal(patch(&person, &path, 6, b"g"), 413).await, "upload.beyondLength");
    let file = answer(finish(&person, &path, &description()), 201).await;
    assert_eq!(download(&person, &file).await, b"abcdef");
}

/// A body without an announced length may turn out too long.
#[tokio::test]
async fn bytes_beyond_the_length_are_noticed_as_they_come() {
    let world = World::new().await;
    let person = world.person(1).await;
    let path = new(&person, 6).await;
    let pieces = futures_util::stream::iter(["abc", "def", "g"].map(Ok::<_, std::io::Error>));
    let request = patch(&person, &path, 0, b"").body(reqwest::Body::wrap_stream(pieces));
    assert_eq!(refusal(request, 413).await, "upload.beyondLength");
    assert_eq!(append(&person, &path, 0, b"abcdef").await, 6);
}

async fn raw_patch(world: &World, person: &Person, path: &str, offset: usize, length: usize) -> tokio::net::TcpStream {
    let mut stream = tokio::net::TcpStream::connect(world.backbone().local_addr()).await.unwrap();
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ntus-resumable: 1.0.0\r\n\
         upload-offset: {offset}\r\ncontent-type: application/offset+octet-stream\r\ncontent-length: {length}\r\n\r\n",
        person.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// Waits until so many bytes are acknowledged and nobody appends.
async fn settled(person: &Person, path: &str, expected: usize) {
    let settling = async {
        while offset(person, path).await < expected || raw(patch(person, path, expected, b"")).await.status() == 423 {}
    };
    tokio::time::timeout(PATIENCE, settling).await.unwrap();
}

#[tokio::test]
async fn what_arrived_before_the_connection_broke_is_kept() {
    let world = World::new().await;
    let person = world.person(1).await;
    let all = bytes(3 * MIB);
    let path = new(&person, all.len()).await;
    let mut stream = raw_patch(&world, &person, &path, 0, all.len()).await;
    stream.write_all(&all[..MIB + 1]).await.unwrap();
    drop(stream);
    settled(&person, &path, MIB + 1).await;
    append(&person, &path, MIB + 1, &all[MIB + 1..]).await;
    let file = answer(finish(&person, &path, &description()), 201).await;
    assert_eq!(file["cipherHash"], to_base64url(&sha2::Sha512::digest(&all)));
    assert!(download(&person, &file).await == all);
}

/// What a crash takes of a long request is bounded.
#[tokio::test]
async fn a_long_request_is_acknowledged_from_time_to_time() {
    let mut world = World::new().await;
    let person = world.person(1).await;
    let all = bytes(17 * MIB);
    let path = new(&person, all.len()).await;
    let mut stream = raw_patch(&world, &person, &path, 0, all.len()).await;
    stream.write_all(&all[..16 * MIB - 1]).await.unwrap();
    assert_eq!(offset(&person, &path).await, 0);
    stream.write_all(&all[16 * MIB - 1..17 * MIB - 1]).await.unwrap();
    let acknowledged = async { while offset(&person, &path).await < 16 * MIB {} };
    tokio::time::timeout(PATIENCE, acknowledged).await.unwrap();
    world.restart().await;
    let mut person = world.same_person(person);
    person.log_in(PASSWORD).await;
    let there = offset(&person, &path).await;
    append(&person, &path, there, &all[there..]).await;
    let file = answer(finish(&person, &path, &description()), 201).await;
    assert_eq!(file["cipherHash"], to_base64url(&sha2::Sha512::digest(&all)));
}

#[tokio::test]
async fn one_request_at_a_time_appends() {
    let world = World::new().await;
    let person = world.person(1).await;
    let path = new(&person, 6).await;
    let mut first = raw_patch(&world, &person, &path, 0, 3).await;
    first.write_all(b"a").await.unwrap();
    let locked = async { while raw(patch(&person, &path, 1, b"zz")).await.status() != 423 {} };
    tokio::time::timeout(PATIENCE, locked).await.unwrap();
    assert_eq!(refusal(patch(&person, &path, 0, b"xyz"), 423).await, "upload.locked");
    assert_eq!(refusal(finish(&person, &path, &description()), 423).await, "upload.locked");
    first.write_all(b"bc").await.unwrap();
    settled(&person, &path, 3).await;
    append(&person, &path, 3, b"def").await;
    let file = answer(finish(&person, &path, &description()), 201).await;
    assert_eq!(download(&person, &file).await, b"abcdef");
}

#[tokio::test]
async fn of_those_who_append_at_once_each_byte_comes_from_one() {
    let world = World::new().await;
    let person = world.person(1).await;
    let length = 200_000;
    for _ in 0..5 {
        let path = new(&person, length).await;
        let requests = (1..=6_u8).map(|number| {
            let request = patch(&person, &path, 0, &vec![number; length]);
            async { raw(request).await.status().as_u16() }
        });
        let statuses = join_all(requests).await;
        assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| [204, 409, 423].contains(status)), "{statuses:?}");
        let file = answer(finish(&person, &path, &description()), 201).await;
        let stored = download(&person, &file).await;
        assert!(stored.len() == length && stored.iter().all(|byte| *byte == stored[0]));
        assert_eq!(file["cipherHash"], to_base64url(&sha2::Sha512::digest(&stored)));
    }
}

fn with_checksum(request: RequestBuilder, algorithm: &str, checksum: &[u8]) -> RequestBuilder {
    request.header("upload-checksum", format!("{algorithm} {}", to_base64(checksum)))
}

#[tokio::test]
async fn bytes_with_a_checksum_count_together_or_not_at_all() {
    let world = World::new().await;
    let person = world.person(1).await;
    let path = new(&person, 9).await;
    let right = sha2::Sha256::digest(b"abc");
    let request = |bytes| patch(&person, &path, 0, bytes);
    assert_eq!(refusal(with_checksum(request(b"abd"), "sha256", &right), 460).await, "upload.checksumMismatch");
    assert_eq!(refusal(with_checksum(request(b"abc"), "sha256", &right[..31]), 460).await, "upload.checksumMismatch");
    assert_eq!(refusal(with_checksum(request(b"abc"), "md5", &right), 400).await, "upload.unknownAlgorithm");
    assert_eq!(refusal(request(b"abc").header("upload-checksum", "sha256"), 400).await, "inputCannotBeParsed");
    assert_eq!(offset(&person, &path).await, 0);
    let digests = [
        ("sha1", sha1::Sha1::digest(b"abc").to_vec()),
        ("sha256", right.to_vec()),
        ("sha512", sha2::Sha512::digest(b"abc").to_vec()),
    ];
    for (number, (algorithm, digest)) in digests.into_iter().enumerate() {
        let response = raw(with_checksum(patch(&person, &path, 3 * number, b"abc"), algorithm, &digest)).await;
        assert_eq!(response.status(), 204, "{algorithm}");
    }
    let file = answer(finish(&person, &path, &description()), 201).await;
    assert_eq!(download(&person, &file).await, b"abcabcabc");
}

#[tokio::test]
async fn what_arrived_of_bytes_with_a_checksum_does_not_count_when_the_connection_breaks() {
    let world = World::new().await;
    let person = world.person(1).await;
    let path = new(&person, 6).await;
    let all = b"abcdef";
    let request = with_checksum(patch(&person, &path, 0, b""), "sha1", &sha1::Sha1::digest(all));
    let pieces = futures_util::stream::iter([Ok("abc"), Err(std::io::Error::other("broken off"))]);
    request.body(reqwest::Body::wrap_stream(pieces)).send().await.unwrap_err();
    settled(&person, &path, 0).await;
    append(&person, &path, 0, all).await;
    let file = answer(finish(&person, &path, &description()), 201).await;
    assert_eq!(download(&person, &file).await, all);
}

#[tokio::test]
async fn a_file_with_another_hash_than_was_said_does_not_come_to_be() {
    let world = World::new().await;
    let person = world.person(1).await;
    let path = new(&person, 3).await;
    append(&person, &path, 0, b"abc").await;
    let mut body = description();
    body["cipherHash"] = to_base64url(&sha2::Sha512::digest(b"abd")).into();
    assert_eq!(refusal(finish(&person, &path, &body), 400).await, "upload.hashMismatch");
    assert_eq!(answer(person.get("/Files"), 200).await, json!([]));
    body["cipherHash"] = to_base64url(&sha2::Sha512::digest(b"abc")).into();
    answer(finish(&person, &path, &body), 201).await;
}

#[tokio::test]
async fn each_broken_description_is_refused_and_the_upload_stays() {
    let world = World::new().await;
    let person = world.person(1).await;
    let path = new(&person, 3).await;
    append(&person, &path, 0, b"abc").await;
    let with = |member: &str, value: Value| {
        let mut body = description();
        body[member] = value;
        body
    };
    let past = json!(world.now().to_string());
    for (body, code) in [
        (with("ownerSignature", Value::Null), "inputCannotBeParsed"),
        (with("encryptedProperties", Value::Null), "inputCannotBeParsed"),
        (with("expiresAt", Value::Null), "inputCannotBeParsed"),
        (with("expiresAt", json!("tomorrow")), "inputCannotBeParsed"),
        (with("expiresAt", past), "validation.invalidPropertyValue"),
        (with("ownerSignature", json!("")), "validation.invalidPropertyValue"),
        (with("encryptedProperties", json!("AAAA".repeat(349_526))), "validation.invalidPropertyValue"),
    ] {
        assert_eq!(refusal(finish(&person, &path, &body), 400).await, code, "{:.60}", body.to_string());
    }
    let empty = new(&person, 0).await;
    assert_eq!(refusal(finish(&person, &empty, &description()), 400).await, "validation.invalidPropertyValue");
    answer(finish(&person, &path, &with("encryptedProperties", json!("AAAA".repeat(349_525)))), 201).await;
}

#[tokio::test]
async fn metadata_are_kept_with_the_upload_and_describe_the_file() {
    let world = World::new().await;
    let person = world.person(1).await;
    let value = |text: &str| to_base64(text.as_bytes());
    let metadata = format!(
        "ownerSignature {},encryptedProperties {},expiresAt {},cipherHash {},note",
        value("b3BhcXVlLTI"),
        value("b3BhcXVlLTM"),
        value(NEVER),
        value(&to_base64url(&sha2::Sha512::digest(b"abc")))
    );
    let path = created(creation(&person, 3).header("upload-metadata", &metadata)).await;
    assert_eq!(header(&head(&person, &path).await, "upload-metadata").unwrap(), metadata);
    append(&person, &path, 0, b"abc").await;
    let file = answer(finish(&person, &path, &json!({})), 201).await;
    assert_eq!((&file["ownerSignature"], &file["expiresAt"]), (&json!("b3BhcXVlLTI"), &json!(NEVER)));
    let bad = creation(&person, 3).header("upload-metadata", "note ?");
    assert_eq!(refusal(bad, 400).await, "inputCannotBeParsed");
    let long = creation(&person, 3).header("upload-metadata", format!("note {}", "A".repeat(32 * 1024)));
    assert_eq!(refusal(long, 400).await, "inputCannotBeParsed");
}

#[tokio::test]
async fn a_length_may_be_told_late() {
    let world = World::with(|config| config.limits.max_large_file_bytes = 100).await;
    let person = world.person(1).await;
    let deferred = || tus(&person, Method::POST, UPLOADS).header("upload-defer-length", 1);
    let path = created(deferred()).await;
    append(&person, &path, 0, b"abc").await;
    let response = head(&person, &path).await;
    assert_eq!(
        (header(&response, "upload-length"), header(&response, "upload-defer-length")),
        (None, Some("1".to_owned()))
    );
    assert_eq!(refusal(finish(&person, &path, &description()), 400).await, "upload.incomplete");
    let with_length = |length: usize, bytes: &[u8]| patch(&person, &path, 3, bytes).header("upload-length", length);
    assert_eq!(refusal(with_length(2, b""), 413).await, "upload.beyondLength");
    assert_eq!(refusal(with_length(101, b""), 413).await, "upload.tooLarge");
    assert_eq!(refusal(patch(&person, &path, 3, &[0; 98]), 413).await, "upload.tooLarge");
    assert_eq!(stored_bytes(&world, &person).await, (1, 512 + 3));
    assert_eq!(raw(with_length(6, b"d")).await.status(), 204);
    assert_eq!(stored_bytes(&world, &person).await, (1, 512 + 6));
    assert_eq!(refusal(patch(&person, &path, 4, b"").header("upload-length", 7), 400).await, "upload.lengthIsKnown");
    append(&person, &path, 4, b"ef").await;
    let file = answer(finish(&person, &path, &description()), 201).await;
    assert_eq!(download(&person, &file).await, b"abcdef");
    for length in ["", "-1", "x"] {
        let bad = tus(&person, Method::POST, UPLOADS).header("upload-length", length);
        assert_eq!(refusal(bad, 400).await, "inputCannotBeParsed");
    }
}

#[tokio::test]
async fn a_file_may_be_as_large_as_the_setting_says_and_forms_keep_theirs() {
    let world = World::with(|config| {
        config.limits.max_large_file_bytes = 200;
        config.limits.max_file_bytes = 100;
    })
    .await;
    let person = world.person(1).await;
    let path = new(&person, 200).await;
    append(&person, &path, 0, &bytes(200)).await;
    answer(finish(&person, &path, &description()), 201).await;
    assert_eq!(refusal(creation(&person, 201), 413).await, "upload.tooLarge");
    answer(person.upload(Upload::new(&[0; 100])), 201).await;
    refusal(person.upload(Upload::new(&[0; 101])), 400).await;
}

#[tokio::test]
async fn unfinished_uploads_count_on_the_quota_and_give_back_what_they_took() {
    let limit = 1_000_000;
    let world = World::with(|config| config.clients[0].terms.identity.content_bytes = limit).await;
    let person = world.person(1).await;
    let whole = usize::try_from(limit).unwrap() - 512;
    assert_eq!(refusal(creation(&person, whole + 1), 429).await, EXHAUSTED);
    assert_eq!(stored_bytes(&world, &person).await, (0, 0));
    let path = new(&person, whole).await;
    assert_eq!(stored_bytes(&world, &person).await, (1, limit));
    assert_eq!(refusal(creation(&person, 0), 429).await, EXHAUSTED);
    assert_eq!(refusal(person.upload(Upload::new(b"a")), 429).await, EXHAUSTED);
    append(&person, &path, 0, &bytes(whole)).await;
    assert_eq!(refusal(finish(&person, &path, &description()), 429).await, EXHAUSTED, "no room for the metadata");
    assert_eq!(raw(tus(&person, Method::DELETE, &path)).await.status(), 204);
    assert_eq!((stored_bytes(&world, &person).await, blob_count(&world)), ((0, 0), 0));
    assert_eq!(head(&person, &path).await.status(), 404);

    let path = new(&person, whole - 8).await;
    append(&person, &path, 0, &bytes(whole - 8)).await;
    answer(finish(&person, &path, &description()), 201).await;
    assert_eq!(stored_bytes(&world, &person).await, (1, limit));
    let deferred = tus(&person, Method::POST, UPLOADS).header("upload-defer-length", 1);
    assert_eq!(refusal(deferred, 429).await, EXHAUSTED);
}

#[tokio::test]
async fn an_upload_of_unknown_length_stops_where_the_quota_ends() {
    let world = World::with(|config| config.clients[0].terms.identity.content_bytes = 1_000).await;
    let person = world.person(1).await;
    let path = created(tus(&person, Method::POST, UPLOADS).header("upload-defer-length", 1)).await;
    append(&person, &path, 0, &bytes(400)).await;
    assert_eq!(refusal(patch(&person, &path, 400, &bytes(89)), 429).await, EXHAUSTED);
    assert_eq!(offset(&person, &path).await, 400);
    append(&person, &path, 400, &bytes(88)).await;
}

fn deferred(person: &Person) -> RequestBuilder {
    tus(person, Method::POST, UPLOADS).header("upload-defer-length", 1)
}

fn in_pieces(person: &Person, path: &str, offset: usize, bytes: &[u8]) -> RequestBuilder {
    let pieces: Vec<_> = bytes.chunks(MIB).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
    patch(person, path, offset, b"").body(reqwest::Body::wrap_stream(futures_util::stream::iter(pieces)))
}

/// The quota is asked for room before bytes are written, whether they count one by one or together.
#[tokio::test]
async fn bytes_that_the_quota_refuses_are_not_on_the_disk() {
    let limit = 40 * MIB as u64;
    let world = World::with(|config| config.clients[0].terms.identity.content_bytes = limit).await;
    let person = world.person(1).await;
    let path = created(deferred(&person)).await;
    append(&person, &path, 0, &bytes(1000)).await;
    let acknowledged = ((1, 512 + 1000), 1000);
    let wrong = sha2::Sha256::digest(b"other");
    let all = bytes(60 * MIB);
    let request = with_checksum(in_pieces(&person, &path, 1000, &all), "sha256", &wrong);
    assert_eq!(refusal(request, 429).await, EXHAUSTED, "before all of them came");
    assert_eq!((stored_bytes(&world, &person).await, blob_bytes(&world)), acknowledged);
    let request = with_checksum(patch(&person, &path, 1000, &all[..2 * MIB]), "sha256", &wrong);
    assert_eq!(refusal(request, 460).await, "upload.checksumMismatch");
    assert_eq!((stored_bytes(&world, &person).await, blob_bytes(&world)), acknowledged);
    assert_eq!(refusal(in_pieces(&person, &path, 1000, &all), 429).await, EXHAUSTED);
    let (_, counted) = stored_bytes(&world, &person).await;
    assert_eq!(offset(&person, &path).await as u64, blob_bytes(&world));
    assert_eq!(counted, 512 + blob_bytes(&world));
}

#[tokio::test]
async fn a_whole_that_the_quota_refuses_leaves_no_copies() {
    let limit = 2 * (512 + 300_000);
    let world = World::with(|config| config.clients[0].terms.identity.content_bytes = limit).await;
    let person = world.person(1).await;
    let parts = [partial(&person, &bytes(300_000)).await, partial(&person, &bytes(300_000)).await];
    let metadata = format!("note {}", "A".repeat(1000));
    let request = whole_of(&person, &parts).header("upload-metadata", metadata);
    assert_eq!(refusal(request, 429).await, EXHAUSTED);
    assert_eq!((stored_bytes(&world, &person).await, blob_bytes(&world)), ((2, limit), 600_000));
    created(whole_of(&person, &parts)).await;
    assert_eq!(blob_bytes(&world), 600_000);
}

#[tokio::test]
async fn an_identity_has_so_many_unfinished_uploads() {
    let world = World::with(|config| config.limits.max_unfinished_uploads = 5).await;
    let (person, other) = (world.person(1).await, world.person(2).await);
    let requests = (0..12).map(|_| {
        let request = creation(&person, 1);
        async { raw(request).await.status().as_u16() }
    });
    let statuses = join_all(requests).await;
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 5, "{statuses:?}");
    assert_eq!(refusal(creation(&person, 1), 400).await, "upload.tooMany");
    assert_eq!(blob_count(&world), 5, "what is refused leaves no bytes");
    new(&other, 1).await;
}

#[tokio::test]
async fn uploads_expire_and_are_swept_with_their_bytes() {
    let world = World::new().await;
    let mut person = world.person(1).await;
    let path = new(&person, 6).await;
    append(&person, &path, 0, b"abc").await;
    assert_eq!(header(&head(&person, &path).await, "upload-expires").unwrap(), "Tue, 08 Jan 2030 12:00:00 GMT");
    world.advance(7 * DAY - 1);
    assert_eq!(world.backbone().admin().sweep().await.unwrap().records, 1, "a challenge");
    person.log_in(PASSWORD).await;
    assert_eq!(offset(&person, &path).await, 3);
    world.advance(1);
    assert_eq!(head(&person, &path).await.status(), 404);
    refusal(patch(&person, &path, 3, b"def"), 404).await;
    assert_eq!((stored_bytes(&world, &person).await, blob_count(&world)), ((1, 512 + 6), 1));
    assert_eq!(world.backbone().admin().sweep().await.unwrap().records, 1);
    assert_eq!((stored_bytes(&world, &person).await, blob_count(&world)), ((0, 0), 0));
}

/// Otherwise a few guests that send nothing would use up what all of them share.
#[tokio::test]
async fn uploads_of_guests_expire_an_hour_after_their_last_byte() {
    let world = World::with(|config| {
        config.clients = vec![backbone_mock::OAuthClient::guest(common::CLIENT, common::CLIENT_SECRET)];
        config.limits.upload_lifetime = Duration::from_secs(3 * HOUR);
    })
    .await;
    let mut guest = world.person(1).await;
    let (silent, path) = (new(&guest, 6).await, new(&guest, 6).await);
    let expires = async |guest: &Person| header(&head(guest, &path).await, "upload-expires").unwrap();
    assert_eq!(expires(&guest).await, "Tue, 01 Jan 2030 13:00:00 GMT");
    for (hour, expected) in [(1, "13:59:59"), (2, "14:59:58"), (3, "15:00:00")] {
        world.advance(HOUR - 1);
        guest.log_in(PASSWORD).await;
        append(&guest, &path, hour - 1, b"").await;
        append(&guest, &path, hour - 1, b"a").await;
        append(&guest, &path, hour, b"").await;
        assert_eq!(expires(&guest).await, format!("Tue, 01 Jan 2030 {expected} GMT"));
        world.backbone().admin().sweep().await.unwrap();
    }
    assert_eq!(head(&guest, &silent).await.status(), 404);
    assert_eq!((stored_bytes(&world, &guest).await, blob_count(&world)), ((1, 512 + 6), 1));
    world.advance(3);
    assert_eq!(head(&guest, &path).await.status(), 404);
    world.backbone().admin().sweep().await.unwrap();
    assert_eq!((stored_bytes(&world, &guest).await, blob_count(&world)), ((0, 0), 0));
}

#[tokio::test]
async fn an_upload_that_is_deleted_while_bytes_come_is_gone() {
    let world = World::new().await;
    let person = world.person(1).await;
    let path = new(&person, 6).await;
    let mut stream = raw_patch(&world, &person, &path, 0, 6).await;
    stream.write_all(b"abc").await.unwrap();
    let locked = async { while raw(patch(&person, &path, 0, b"")).await.status() != 423 {} };
    tokio::time::timeout(PATIENCE, locked).await.unwrap();
    assert_eq!(raw(tus(&person, Method::DELETE, &path)).await.status(), 204);
    stream.write_all(b"def").await.unwrap();
    let mut status = [0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 404");
    assert_eq!((stored_bytes(&world, &person).await, blob_count(&world)), ((0, 0), 0));
}

async fn partial(person: &Person, bytes: &[u8]) -> String {
    let path = created(creation(person, bytes.len()).header("upload-concat", "partial")).await;
    append(person, &path, 0, bytes).await;
    path
}

fn whole_of(person: &Person, parts: &[String]) -> RequestBuilder {
    tus(person, Method::POST, UPLOADS).header("upload-concat", format!("final;{}", parts.join(" ")))
}

#[tokio::test]
async fn parts_that_were_sent_in_parallel_become_one_file() {
    let world = World::new().await;
    let person = world.person(1).await;
    let all = bytes(2 * MIB + 5);
    let parts = join_all(all.chunks(MIB).map(|bytes| partial(&person, bytes))).await;
    assert_eq!(header(&head(&person, &parts[0]).await, "upload-concat").unwrap(), "partial");
    assert_eq!(refusal(finish(&person, &parts[0], &description()), 400).await, "upload.isPartial");
    let path = created(whole_of(&person, &parts)).await;
    assert_eq!(created(whole_of(&person, &parts)).await, path, "whoever lost the answer asks again");
    let response = head(&person, &path).await;
    assert_eq!(header(&response, "upload-concat").unwrap(), format!("final;{}", parts.join(" ")));
    assert_eq!(header(&response, "upload-length").unwrap(), all.len().to_string());
    assert_eq!(refusal(patch(&person, &path, all.len(), b""), 403).await, "upload.isFinal");
    assert_eq!(head(&person, &parts[1]).await.status(), 404);
    assert_eq!((stored_bytes(&world, &person).await, blob_count(&world)), ((1, 512 + all.len() as u64), 1));
    let file = answer(finish(&person, &path, &description()), 201).await;
    assert_eq!(file["cipherHash"], to_base64url(&sha2::Sha512::digest(&all)));
    assert!(download(&person, &file).await == all);
}

/// Whoever does not wait for the answer gets it later.
#[tokio::test]
async fn parts_are_put_together_although_the_connection_breaks() {
    let world = World::new().await;
    let person = world.person(1).await;
    let all = bytes(30 * MIB);
    let parts = join_all(all.chunks(15 * MIB).map(|bytes| partial(&person, bytes))).await;
    let mut stream = tokio::net::TcpStream::connect(world.backbone().local_addr()).await.unwrap();
    let request = format!(
        "POST {UPLOADS} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ntus-resumable: 1.0.0\r\n\
         upload-concat: final;{}\r\ncontent-length: 0\r\n\r\n",
        person.token,
        parts.join(" ")
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let is_whole = async || header(&head(&person, &parts[0]).await, "upload-concat").unwrap().starts_with("final");
    let copying = async { while blob_bytes(&world) == all.len() as u64 && !is_whole().await {} };
    tokio::time::timeout(PATIENCE, copying).await.unwrap();
    drop(stream);
    let put_together = async { while !is_whole().await {} };
    tokio::time::timeout(PATIENCE, put_together).await.unwrap();
    settled(&person, &parts[0], all.len()).await;
    assert_eq!(created(whole_of(&person, &parts)).await, parts[0]);
    let file = answer(finish(&person, &parts[0], &description()), 201).await;
    assert_eq!(file["cipherHash"], to_base64url(&sha2::Sha512::digest(&all)));
}

#[tokio::test]
async fn only_complete_partial_uploads_of_ones_own_are_put_together() {
    let world = World::with(|config| config.limits.max_large_file_bytes = 10).await;
    let (person, stranger) = (world.person(1).await, world.person(2).await);
    let (one, two, large) =
        (partial(&person, b"abc").await, partial(&person, b"def").await, partial(&person, &[0; 5]).await);
    let foreign = partial(&stranger, b"xyz").await;
    let whole = new(&person, 0).await;
    let open = created(creation(&person, 3).header("upload-concat", "partial")).await;
    let all = |parts: &[&String]| whole_of(&person, &parts.iter().map(|part| (*part).clone()).collect::<Vec<_>>());
    assert_eq!(refusal(all(&[&one, &foreign]), 404).await, "recordNotFound");
    assert_eq!(refusal(all(&[&one, &whole]), 400).await, "upload.isNotPartial");
    assert_eq!(refusal(all(&[&one, &open]), 400).await, "upload.incomplete");
    assert_eq!(refusal(all(&[&one, &one]), 400).await, "inputCannotBeParsed");
    assert_eq!(refusal(all(&[]), 400).await, "inputCannotBeParsed");
    assert_eq!(refusal(all(&[&one, &two, &large]), 413).await, "upload.tooLarge");
    let many: Vec<String> = (0..65).map(|number| format!("/UPL{number:017}")).collect();
    assert_eq!(refusal(whole_of(&person, &many), 400).await, "inputCannotBeParsed");
    assert_eq!(refusal(whole_of(&person, &many[..64]), 404).await, "recordNotFound");
    let path = created(all(&[&two, &one])).await;
    let file = answer(finish(&person, &path, &description()), 201).await;
    assert_eq!(download(&person, &file).await, b"defabc");
}

#[tokio::test]
async fn acknowledged_bytes_survive_a_restart_and_the_rest_is_cut_off() {
    let mut world = World::new().await;
    let person = world.person(1).await;
    let all = bytes(MIB);
    let path = new(&person, all.len()).await;
    append(&person, &path, 0, &all[..500_000]).await;
    world.backbone.take().unwrap().shutdown().await.unwrap();
    // What a crash may leave of bytes that nobody acknowledged.
    let folders = std::fs::read_dir(world.dir.path().join("data/blobs")).unwrap().map(|folder| folder.unwrap().path());
    let mut blobs = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|file| file.unwrap().path());
    let mut blob = std::fs::OpenOptions::new().append(true).open(blobs.next().unwrap()).unwrap();
    std::io::Write::write_all(&mut blob, &[9; 100_000]).unwrap();
    world.start().await;
    let mut person = world.same_person(person);
    person.log_in(PASSWORD).await;
    assert_eq!(offset(&person, &path).await, 500_000);
    append(&person, &path, 500_000, &all[500_000..]).await;
    let mut body = description();
    body["cipherHash"] = to_base64url(&sha2::Sha512::digest(&all)).into();
    let file = answer(finish(&person, &path, &body), 201).await;
    assert!(download(&person, &file).await == all);
}

#[tokio::test]
async fn a_client_that_can_only_post_says_what_it_means() {
    let world = World::new().await;
    let person = world.person(1).await;
    let path = new(&person, 3).await;
    let post = |method: &str| tus(&person, Method::POST, &path).header("x-http-method-override", method);
    let append = post("PATCH").header("upload-offset", 0).header("content-type", "application/offset+octet-stream");
    assert_eq!(raw(append.body("abc")).await.status(), 204);
    assert_eq!(header(&raw(post("HEAD")).await, "upload-offset").unwrap(), "3");
    assert_eq!(raw(post("PUT")).await.status(), 405);
    assert_eq!(raw(tus(&person, Method::POST, &path)).await.status(), 405);
    assert_eq!(raw(post("DELETE")).await.status(), 204);
    assert_eq!(head(&person, &path).await.status(), 404);
}
