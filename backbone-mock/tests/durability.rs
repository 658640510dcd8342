//! What is on disk, who may read it, and what survives.
#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use backbone_mock::fault::{Fault, Faults, Gate, Matching};
use backbone_mock::{Backbone, Config, Error};
use bytes::Bytes;
use common::{CLIENT_SECRET, NEVER, PASSWORD, Upload, World, answer, password, refusal, text_of, with_password};
use reqwest::{Method, StatusCode};
use serde_json::json;

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// T1, T4, T12: no secret is stored in clear.
#[tokio::test]
async fn no_secret_is_in_the_data_directory() {
    let mut world = World::new().await;
    let person = world.person(1).await;
    let hash = password("planted token password");
    let body = json!({ "content": "AAAA", "expiresAt": NEVER, "password": hash });
    let token = person.token(body).await;
    refusal(world.anonymous(Method::GET, &with_password(&format!("/Tokens/{token}"), "wrong")), 404).await;
    let file = person.file(b"bytes").await;
    world.backbone.take().unwrap().shutdown().await.unwrap();

    let raw_hash = transport::wire::bytes::from_base64(&hash).unwrap();
    let ownership_token = text_of(&file["ownershipToken"]);
    let secrets: [&[u8]; 7] = [
        PASSWORD.as_bytes(),
        CLIENT_SECRET.as_bytes(),
        hash.as_bytes(),
        hash.trim_end_matches('=').as_bytes(),
        &raw_hash,
        ownership_token.as_bytes(),
        person.token.as_bytes(),
    ];
    let mut has_seen_records = false;
    for path in files_below(world.dir.path()) {
        let stored = fs::read(&path).unwrap();
        has_seen_records |= contains(&stored, token.as_bytes());
        for secret in secrets {
            assert!(!contains(&stored, secret), "{}: {}", path.display(), String::from_utf8_lossy(secret));
        }
    }
    assert!(has_seen_records, "the search would not have found anything");
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// T12.
#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_look_into_the_data_directory() {
    use std::os::unix::fs::PermissionsExt;
    let mut world = World::new().await;
    world.person(1).await.file(b"bytes").await;
    world.restart().await;
    let data = world.dir.path().join("data");
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    let files = files_below(&data);
    assert!(files.len() >= 4, "{files:?}");
    for path in files {
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0, "{}", path.display());
    }
}

#[tokio::test]
async fn a_second_backbone_on_one_directory_names_the_process_that_uses_it() {
    let world = World::new().await;
    let data = world.dir.path().join("data");
    let error = Backbone::start(Config::new(&data)).await.err().unwrap();
    assert!(matches!(error, Error::DataDir(durable::Error::InUse { .. })));
    let text = error.to_string();
    assert!(text.contains(&std::process::id().to_string()) && text.contains(&data.display().to_string()), "{text}");
}

#[tokio::test]
async fn a_used_port_and_an_invalid_domain_are_named_by_their_errors() {
    let world = World::new().await;
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::new(dir.path());
    config.listen = world.backbone().local_addr();
    let error = Backbone::start(config).await.err().unwrap().to_string();
    assert!(error.contains(&world.backbone().local_addr().to_string()), "{error}");
    let mut config = Config::new(dir.path());
    config.did_domain_name = "http://x".to_owned();
    assert!(matches!(Backbone::start(config).await, Err(Error::Config { setting: "did_domain_name", .. })));
}

/// T17: everything that was acknowledged is there after a restart, and nothing else.
#[tokio::test]
async fn everything_acknowledged_survives_a_restart() {
    let mut world = World::new().await;
    let (person, reader) = (world.person_with_datawallet(1).await, world.person(2).await);
    let token = person.token(json!({ "content": "AAAA", "expiresAt": world.in_seconds(60) })).await;
    answer(reader.get(&format!("/Tokens/{token}")), 200).await;
    let large = person.token(json!({ "content": "AbCd".repeat(50_000), "expiresAt": NEVER })).await;
    let file = person.file(b"bytes").await;
    answer(person.push(0, &["a", "b"]), 201).await;
    world.advance(61);
    world.restart().await;

    let (mut person, mut reader) = (world.same_person(person), world.same_person(reader));
    person.log_in(PASSWORD).await;
    reader.log_in(PASSWORD).await;
    answer(reader.get(&format!("/Tokens/{token}")), 200).await;
    assert_eq!(answer(person.get(&format!("/Tokens/{large}")), 200).await["content"], "AbCd".repeat(50_000));
    let path = format!("/Files/{}", text_of(&file["id"]));
    assert_eq!(reader.get(&path).send().await.unwrap().bytes().await.unwrap(), "bytes");
    assert_eq!(answer(person.push(2, &["c"]), 201).await["newIndex"], 3);
}

/// T17: what an interrupted upload leaves behind is removed at the next start; a record never lacks its bytes.
#[tokio::test]
async fn orphans_of_interrupted_uploads_are_removed_at_the_start() {
    let mut world = World::new().await;
    let file = world.person(1).await.file(b"bytes").await;
    let blobs = world.dir.path().join("data/blobs");
    let orphans = [blobs.join("tmp/half"), blobs.join("ab/abababababababababababababababab")];
    for orphan in &orphans {
        fs::write(orphan, b"left behind").unwrap();
    }
    world.restart().await;
    assert!(orphans.iter().all(|orphan| !orphan.exists()));
    let person = world.person(2).await;
    let path = format!("/Files/{}", text_of(&file["id"]));
    assert_eq!(person.get(&path).send().await.unwrap().bytes().await.unwrap(), "bytes");
}

/// T17: an upload that breaks off leaves neither record nor bytes.
#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let world = World::new().await;
    let person = world.person(1).await;
    let pieces = futures_util::stream::iter([
        Ok(Bytes::from_static(b"--b\r\ncontent-disposition: form-data; name=\"content\"; filename=\"x\"\r\n\r\nhalf")),
        Err(std::io::Error::other("cut")),
    ]);
    let request = person
        .request(Method::POST, "/Files")
        .header("content-type", "multipart/form-data; boundary=b")
        .body(reqwest::Body::wrap_stream(pieces));
    assert!(request.send().await.is_err());
    // The server is done with the broken request when it has ended all connections.
    let data = world.dir.path().join("data/blobs");
    let World { backbone, dir: _dir, .. } = world;
    backbone.unwrap().shutdown().await.unwrap();
    assert_eq!(files_below(&data), Vec::<PathBuf>::new());
}

/// T17: a disk that takes no bytes is an error without effect, and the next attempt succeeds.
#[tokio::test]
async fn a_failing_disk_is_an_error_without_effect() {
    let world = World::new().await;
    let person = world.person(1).await;
    let temporary = world.dir.path().join("data/blobs/tmp");
    fs::remove_dir(&temporary).unwrap();
    assert_eq!(refusal(person.upload(Upload::new(b"bytes")), 500).await, "unexpected");
    let large = json!({ "content": "AbCd".repeat(50_000), "expiresAt": NEVER });
    assert_eq!(refusal(person.post("/Tokens", &large), 500).await, "unexpected");
    assert_eq!(answer(person.get("/Files"), 200).await, json!([]));
    fs::create_dir(&temporary).unwrap();
    person.file(b"bytes").await;
}

#[tokio::test]
async fn half_written_snapshots_do_not_keep_the_store_from_opening() {
    let mut world = World::new().await;
    let person = world.person(1).await;
    let records = world.dir.path().join("data/records");
    world.backbone.take().unwrap().shutdown().await.unwrap();
    fs::write(records.join("snap.0000000000000000.generating"), b"").unwrap();
    world.start().await;
    let mut person = world.same_person(person);
    person.log_in(PASSWORD).await;
}

#[tokio::test]
async fn injected_faults_hit_before_and_after_the_effect() {
    let faults = Faults::new();
    let world = World::with(|config| config.faults = Some(faults.clone())).await;
    let person = world.person(1).await;
    let tokens = || Matching::path("/tokens").method(Method::POST).times(1);
    let body = json!({ "content": "AAAA", "expiresAt": NEVER });
    for fault in [Fault::RefuseBefore(StatusCode::BAD_GATEWAY), Fault::RefuseAfter(StatusCode::BAD_GATEWAY)] {
        faults.inject(tokens(), fault);
        assert_eq!(person.post("/Tokens", &body).send().await.unwrap().status(), 502);
    }
    for fault in [Fault::DropBefore, Fault::DropAfter] {
        faults.inject(tokens(), fault);
        assert!(person.post("/Tokens", &body).send().await.is_err());
    }
    let token = person.token(body).await;
    faults.tamper(Matching::path("/tokens/"), |request, bytes| {
        assert!(request.path.ends_with(|last: char| last.is_ascii_alphanumeric()));
        String::from_utf8(bytes.to_vec()).unwrap().replace("AAAA", "BBBB").into()
    });
    let path = format!("/Tokens/{token}");
    assert_eq!(answer(person.get(&path), 200).await["content"], "BBBB");
    faults.clear();
    assert_eq!(answer(person.get(&path), 200).await["content"], "AAAA");
}

#[tokio::test]
async fn a_held_request_takes_effect_when_the_gate_opens() {
    let faults = Faults::new();
    let gate = Gate::new();
    let world = World::with(|config| config.faults = Some(faults.clone())).await;
    let person = world.person(1).await;
    faults.inject(Matching::path("/Files").times(1), Fault::HoldBefore(gate.clone()));
    let upload = person.upload(Upload::new(b"bytes")).send();
    let release = async {
        gate.wait_for_arrivals(1).await;
        assert_eq!(answer(person.get("/Files"), 200).await, json!([]));
        gate.open();
    };
    let (uploaded, ()) = tokio::join!(upload, release);
    assert_eq!(uploaded.unwrap().status(), 201);
}
