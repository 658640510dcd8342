//! Files whose upload has not ended, over HTTP.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{NEVER, Person, World, answer, raw, refusal, text_of};
use futures_util::{Stream, StreamExt as _};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

const UPLOADS: &str = "/api/enlace/v1/Uploads";
/// After this long a test has hung.
const PATIENCE: Duration = Duration::from_secs(60);

fn tus(person: &Person, method: Method, path: &str) -> RequestBuilder {
    person.request(method, path).header("tus-resumable", "1.0.0")
}

/// An upload of unknown length, and where its file is.
async fn new(person: &Person) -> (String, String) {
    let response = raw(tus(person, Method::POST, UPLOADS).header("upload-defer-length", 1)).await;
    assert_eq!(response.status(), 201);
    let upload = response.headers()["location"].to_str().unwrap().to_owned();
    let file = upload.replace("/Uploads/UPL", "/Files/FIL");
    (upload, file)
}

async fn append(person: &Person, path: &str, offset: usize, bytes: &'static [u8]) {
    let request = tus(person, Method::PATCH, path)
        .header("upload-offset", offset)
        .header("content-type", "application/offset+octet-stream");
    assert_eq!(raw(request.body(bytes)).await.status(), 204);
}

/// Tells the length and makes the file.
async fn finish(person: &Person, path: &str, length: usize) {
    let request = tus(person, Method::PATCH, path)
        .header("upload-offset", length)
        .header("upload-length", length)
        .header("content-type", "application/offset+octet-stream");
    assert_eq!(raw(request).await.status(), 204);
    let body = json!({ "ownerSignature": "b3BhcXVl", "encryptedProperties": "ZmluYWw", "expiresAt": NEVER });
    answer(person.post(&format!("{path}/File"), &body), 201).await;
}

fn show(person: &Person, path: &str) -> RequestBuilder {
    person.put(&format!("{path}/Preview"), &json!({ "encryptedProperties": "b3BhcXVl", "expiresAt": NEVER }))
}

async fn shown(person: &Person) -> (String, String) {
    let (upload, file) = new(person).await;
    answer(show(person, &upload), 200).await;
    (upload, file)
}

fn content(person: &Person, file: &str, offset: usize) -> RequestBuilder {
    person.get(&format!("{file}/Content")).header("range", format!("bytes={offset}-"))
}

/// The next bytes, as many as these.
async fn expect(pieces: &mut (impl Stream<Item = reqwest::Result<bytes::Bytes>> + Unpin), expected: &[u8]) {
    let mut there = Vec::new();
    while there.len() < expected.len() {
        let next = tokio::time::timeout(PATIENCE, pieces.next()).await.expect("bytes come");
        there.extend_from_slice(&next.unwrap().unwrap());
    }
    assert_eq!(there, expected);
}

async fn follow(person: &Person, file: &str, offset: usize) -> Response {
    let response = raw(content(person, file, offset)).await;
    assert_eq!(response.status(), 206);
    assert_eq!(response.headers()["content-range"], format!("bytes {offset}-9007199254740991/*"));
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert!(response.content_length().is_none());
    response
}

#[tokio::test]
async fn the_probe_tells_of_previews_in_a_header_of_its_own() {
    let world = World::new().await;
    let response = raw(world.anonymous(Method::OPTIONS, UPLOADS)).await;
    assert_eq!(response.headers()["enlace-extension"], "preview");
}

#[tokio::test]
async fn a_file_is_read_while_it_is_sent() {
    let world = World::new().await;
    let (sender, reader) = (world.person(1).await, world.person(2).await);
    let (upload, file) = new(&sender).await;
    let missing = [format!("{file}/Preview"), format!("{file}/Content")];
    for path in &missing {
        assert_eq!(refusal(reader.get(path), 404).await, "recordNotFound");
        assert_eq!(raw(world.anonymous(Method::GET, path)).await.status(), 401);
    }
    assert_eq!(refusal(show(&reader, &upload), 404).await, "recordNotFound");
    let told = answer(show(&sender, &upload), 200).await;
    assert_eq!(told, json!({ "id": file.rsplit('/').next().unwrap(), "expiresAt": NEVER }));
    let mut pieces = follow(&reader, &file, 0).await.bytes_stream();
    append(&sender, &upload, 0, b"abc").await;
    expect(&mut pieces, b"abc").await;
    let preview = answer(reader.get(&format!("{file}/Preview")), 200).await;
    let expected = json!({
        "id": told["id"], "state": "growing", "owner": sender.address, "createdAt": preview["createdAt"],
        "expiresAt": NEVER, "offset": 3, "encryptedProperties": "b3BhcXVl",
    });
    assert_eq!(preview, expected);
    let id = text_of(&told["id"]);
    for path in [format!("/Files/{id}"), format!("/Files/{id}/Metadata")] {
        assert_eq!(refusal(reader.get(&path), 404).await, "recordNotFound", "it is no file yet");
    }
    assert_eq!(refusal(content(&reader, &file, 4), 416).await, "upload.beyondOffset");
    let ranged = reader.get(&format!("{file}/Content")).header("range", "bytes=0-2");
    assert_eq!(refusal(ranged, 400).await, "inputCannotBeParsed");
    append(&sender, &upload, 3, b"defg").await;
    let mut late = follow(&reader, &file, 6).await.bytes_stream();
    expect(&mut pieces, b"defg").await;
    finish(&sender, &upload, 7).await;
    expect(&mut late, b"g").await;
    for mut pieces in [pieces, late] {
        assert!(tokio::time::timeout(PATIENCE, pieces.next()).await.unwrap().is_none(), "it ends without an error");
    }
    let preview: Value = answer(reader.get(&format!("{file}/Preview")), 200).await;
    assert_eq!((&preview["state"], &preview["encryptedProperties"]), (&json!("complete"), &json!("ZmluYWw")));
    let all = raw(reader.get(&format!("{file}/Content"))).await;
    assert_eq!((all.status().as_u16(), all.text().await.unwrap()), (200, "abcdefg".to_owned()));
    assert_eq!(follow(&reader, &file, 7).await.text().await.unwrap(), "");
}

#[tokio::test]
async fn the_connection_breaks_when_the_upload_is_given_up_or_silent() {
    let world = World::with(|config| config.limits.follow_idle = Duration::from_millis(100)).await;
    let (sender, reader) = (world.person(1).await, world.person(2).await);
    let (upload, file) = shown(&sender).await;
    append(&sender, &upload, 0, b"abc").await;
    let mut pieces = follow(&reader, &file, 0).await.bytes_stream();
    expect(&mut pieces, b"abc").await;
    assert!(tokio::time::timeout(PATIENCE, pieces.next()).await.unwrap().unwrap().is_err(), "nothing came");
    let mut pieces = follow(&reader, &file, 0).await.bytes_stream();
    expect(&mut pieces, b"abc").await;
    assert_eq!(raw(tus(&sender, Method::DELETE, &upload)).await.status(), 204);
    assert!(tokio::time::timeout(PATIENCE, pieces.next()).await.unwrap().unwrap().is_err(), "it is gone");
    assert_eq!(refusal(content(&reader, &file, 3), 404).await, "recordNotFound");
    assert_eq!(refusal(reader.get(&format!("{file}/Preview")), 404).await, "recordNotFound");
}

#[tokio::test]
async fn a_stop_ends_who_follows_and_a_start_finds_the_preview() {
    let mut world = World::new().await;
    let (sender, reader) = (world.person(1).await, world.person(2).await);
    let (upload, file) = shown(&sender).await;
    append(&sender, &upload, 0, b"abc").await;
    let mut pieces = follow(&reader, &file, 0).await.bytes_stream();
    expect(&mut pieces, b"abc").await;
    world.restart().await;
    assert!(tokio::time::timeout(PATIENCE, pieces.next()).await.unwrap().unwrap().is_err());
    let (sender, reader) = (world.same_person(sender), world.same_person(reader));
    let mut pieces = follow(&reader, &file, 1).await.bytes_stream();
    append(&sender, &upload, 3, b"d").await;
    expect(&mut pieces, b"bcd").await;
}

#[tokio::test]
async fn readers_of_one_identity_are_bounded() {
    let world = World::new().await;
    let (sender, reader) = (world.person(1).await, world.person(2).await);
    let (_, file) = shown(&sender).await;
    let mut open = Vec::new();
    for _ in 0..8 {
        open.push(follow(&reader, &file, 0).await);
    }
    let response = raw(content(&reader, &file, 0)).await;
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (429, "5"));
    follow(&sender, &file, 0).await;
}
