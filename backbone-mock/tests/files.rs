//! Files and their owners.
#![allow(clippy::unwrap_used)]

mod common;

use common::{PASSWORD, Person, Upload, World, answer, refusal, text_of};
use reqwest::Method;
use serde_json::{Value, json};

const INVALID: &str = "validation.invalidPropertyValue";
const UNREADABLE: &str = "inputCannotBeParsed";

fn path_of(file: &Value) -> String {
    format!("/Files/{}", text_of(&file["id"]))
}

fn ownership(token: &Value) -> Value {
    json!({ "ownershipToken": token })
}

/// C13: the largest file of the official client, 10 MiB of plaintext.
#[tokio::test]
async fn the_largest_file_of_the_official_client_comes_back_unchanged() {
    let world = World::new().await;
    let person = world.person(1).await;
    let bytes: Vec<u8> = (0..13_981_117_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let file = person.file(&bytes).await;
    assert_eq!(file["cipherSize"], 13_981_117);
    let download = person.get(&path_of(&file)).send().await.unwrap().bytes().await.unwrap();
    assert!(download == bytes);
}

/// C14.
#[tokio::test]
async fn everybody_who_knows_the_id_reads_a_file_until_it_expires() {
    let world = World::new().await;
    let (creator, mut stranger) = (world.person(1).await, world.person(2).await);
    let upload = Upload::new(b"bytes").set("expiresAt", &world.in_seconds(600));
    let path = path_of(&answer(creator.upload(upload), 201).await);
    assert_eq!(stranger.get(&path).send().await.unwrap().bytes().await.unwrap(), "bytes");
    world.advance(600);
    stranger.log_in(PASSWORD).await;
    refusal(stranger.get(&path), 404).await;
    refusal(stranger.get(&format!("{path}/Metadata")), 404).await;
    refusal(stranger.delete(&path), 404).await;
}

#[tokio::test]
async fn each_broken_part_of_an_upload_is_refused() {
    let world = World::with(|config| config.limits.max_file_bytes = 100).await;
    let person = world.person(1).await;
    let past = world.now().to_string();
    let good = || Upload::new(b"bytes");
    let cases = [
        (good().without("content"), UNREADABLE),
        (good().without("cipherHash"), UNREADABLE),
        (good().without("ownerSignature"), UNREADABLE),
        (good().without("encryptedProperties"), UNREADABLE),
        (good().set("encryptedProperties", ""), UNREADABLE),
        (good().without("expiresAt"), INVALID),
        (good().set("expiresAt", &past), INVALID),
        (good().set("expiresAt", "tomorrow"), UNREADABLE),
        (good().set("cipherHash", "a+b_"), UNREADABLE),
        (good().set("cipherHash", &"A".repeat(172)), INVALID),
        (good().set("ownerSignature", &"A".repeat(684)), INVALID),
        (good().set("encryptedProperties", &"AAAA".repeat(349_526)), INVALID),
        (Upload::new(b""), INVALID),
        (Upload::new(&[0; 101]), INVALID),
    ];
    for (number, (upload, code)) in cases.into_iter().enumerate() {
        assert_eq!(refusal(person.upload(upload), 400).await, code, "case {number}");
    }
    answer(person.upload(Upload::new(&[0; 100])), 201).await;
    answer(person.upload(good().without("owner")), 201).await;
    let no_form = person.request(Method::POST, "/Files").json(&json!({}));
    assert_eq!(refusal(no_form, 400).await, UNREADABLE);
    assert_eq!(world.backbone().admin().sweep().await.unwrap().orphans, 0);
}

#[tokio::test]
async fn part_names_are_read_in_any_case_and_unknown_parts_ignored() {
    let world = World::new().await;
    let person = world.person(1).await;
    let mut upload = Upload::new(b"bytes");
    for field in &mut upload.fields {
        field.0 = match field.0 {
            "cipherHash" => "CIPHERHASH",
            "expiresAt" => "expiresat",
            other => other,
        };
    }
    upload.fields.push(("unknown", "x".repeat(10_000)));
    answer(person.upload(upload), 201).await;
}

/// Q13: the hash is not the server's to judge.
#[tokio::test]
async fn a_hash_that_does_not_fit_is_stored_as_it_is() {
    let world = World::new().await;
    let person = world.person(1).await;
    let file = answer(person.upload(Upload::new(b"bytes").set("cipherHash", "AAAA")), 201).await;
    assert_eq!(file["cipherHash"], "AAAA");
}

#[tokio::test]
async fn lists_hold_the_unexpired_files_of_their_creator() {
    let world = World::new().await;
    let (mut one, two) = (world.person(1).await, world.person(2).await);
    let brief = answer(one.upload(Upload::new(b"a").set("expiresAt", &world.in_seconds(600))), 201).await;
    let lasting = one.file(b"b").await;
    let foreign = two.file(b"c").await;
    assert_eq!(answer(one.get("/Files"), 200).await.as_array().unwrap().len(), 2);
    let query = format!("/Files?ids={}&ids={}", text_of(&foreign["id"]), text_of(&brief["id"]));
    let named = answer(one.get(&query), 200).await;
    assert_eq!((named.as_array().unwrap().len(), &named[0]["id"]), (1, &brief["id"]));
    world.advance(600);
    one.log_in(PASSWORD).await;
    let left = answer(one.get("/Files"), 200).await;
    assert_eq!((left.as_array().unwrap().len(), &left[0]["id"]), (1, &lasting["id"]));
    assert_eq!(refusal(one.get("/Files?ids=x"), 400).await, INVALID);
}

#[tokio::test]
async fn others_do_not_delete_files() {
    let world = World::new().await;
    let (creator, stranger) = (world.person(1).await, world.person(2).await);
    let path = path_of(&creator.file(b"bytes").await);
    assert_eq!(refusal(stranger.delete(&path), 403).await, "forbidden");
    answer(creator.delete(&path), 204).await;
    refusal(creator.get(&path), 404).await;
    refusal(creator.get("/Files/FILshort"), 400).await;
}

async fn events_of(person: &Person) -> Vec<Value> {
    let started = answer(person.post("/SyncRuns", &json!({})), 201).await;
    let path = format!("/SyncRuns/{}/ExternalEvents", text_of(&started["syncRun"]["id"]));
    answer(person.get(&path), 200).await.as_array().unwrap().clone()
}

/// C15, C48: the lock outlives the refusal that caused it.
#[tokio::test]
async fn a_wrong_ownership_token_locks_the_file_until_the_owner_renews_it() {
    let world = World::new().await;
    let (owner, stranger) = (world.person_with_datawallet(1).await, world.person(2).await);
    let file = owner.file(b"bytes").await;
    let path = path_of(&file);
    let claim = format!("{path}/ClaimOwnership");
    assert_eq!(refusal(stranger.patch(&claim, &json!({ "ownershipToken": "wrong" })), 403).await, "forbidden");
    assert_eq!(answer(stranger.get(&format!("{path}/Metadata")), 200).await["ownershipIsLocked"], true);
    refusal(stranger.patch(&claim, &ownership(&file["ownershipToken"])), 403).await;
    let events = events_of(&owner).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["type"], "FileOwnershipLocked");
    assert_eq!(events[0]["payload"], json!({ "fileId": file["id"] }));

    let renewed = answer(owner.request(Method::PATCH, &format!("{path}/RegenerateOwnershipToken")), 200).await;
    refusal(owner.patch(&claim, &ownership(&renewed["newOwnershipToken"])), 400).await;
    answer(stranger.patch(&claim, &ownership(&renewed["newOwnershipToken"])), 200).await;
    let metadata = answer(owner.get(&format!("{path}/Metadata")), 200).await;
    assert_eq!((&metadata["owner"], &metadata["createdBy"]), (&json!(stranger.address), &json!(owner.address)));
}

#[tokio::test]
async fn validation_locks_for_others_than_the_owner_only() {
    let world = World::new().await;
    let (owner, stranger) = (world.person(1).await, world.person(2).await);
    let file = owner.file(b"bytes").await;
    let path = format!("{}/ValidateOwnershipToken", path_of(&file));
    let right = ownership(&file["ownershipToken"]);
    let wrong = json!({ "ownershipToken": "wrong" });
    let validate = async |person: &Person, body: &Value| answer(person.post(&path, body), 200).await["isValid"].clone();
    assert_eq!(validate(&owner, &wrong).await, false);
    assert_eq!(validate(&owner, &right).await, true);
    assert_eq!(validate(&stranger, &right).await, true);
    assert_eq!(validate(&stranger, &wrong).await, false);
    assert_eq!(validate(&stranger, &right).await, false);
    assert_eq!(validate(&owner, &right).await, false);
    for token in ["", "123456789012345678901", "with space"] {
        assert_eq!(refusal(owner.post(&path, &json!({ "ownershipToken": token })), 400).await, INVALID, "{token}");
    }
    let own = owner.patch(&format!("{}/ClaimOwnership", path_of(&file)), &right);
    assert_eq!(refusal(own, 400).await, "validation.file.cannotClaimOwnershipOfOwnFile");
}

/// C39, Q16: an empty body with a form content type, and the new token is stored.
#[tokio::test]
async fn only_the_owner_renews_the_ownership_token_and_it_lasts() {
    let mut world = World::new().await;
    let (owner, stranger) = (world.person(1).await, world.person(2).await);
    let file = owner.file(b"bytes").await;
    let path = format!("{}/RegenerateOwnershipToken", path_of(&file));
    refusal(stranger.request(Method::PATCH, &path), 403).await;
    let request = owner.request(Method::PATCH, &path).header("content-type", "application/x-www-form-urlencoded");
    let renewed = answer(request.body(""), 200).await["newOwnershipToken"].clone();
    assert_ne!(renewed, file["ownershipToken"]);
    world.restart().await;
    let owner = world.person(3).await;
    let validate = format!("{}/ValidateOwnershipToken", path_of(&file));
    assert_eq!(answer(owner.post(&validate, &ownership(&renewed)), 200).await["isValid"], true);
}

/// C49.
#[tokio::test]
async fn a_claimed_file_is_deleted_by_its_new_owner() {
    let world = World::new().await;
    let (creator, owner) = (world.person(1).await, world.person(2).await);
    let file = creator.file(b"bytes").await;
    let path = path_of(&file);
    answer(owner.patch(&format!("{path}/ClaimOwnership"), &ownership(&file["ownershipToken"])), 200).await;
    answer(owner.delete(&path), 204).await;
    refusal(creator.get(&path), 404).await;
    assert_eq!(answer(creator.get("/Files"), 200).await, json!([]));
}

#[tokio::test]
async fn files_are_swept_with_their_bytes_thirty_days_after_their_expiry() {
    let world = World::new().await;
    let person = world.person(1).await;
    answer(person.upload(Upload::new(b"bytes").set("expiresAt", &world.in_seconds(60))), 201).await;
    assert_eq!(blob_count(&world), 1);
    world.advance(30 * 24 * 60 * 60 + 61);
    assert!(world.backbone().admin().sweep().await.unwrap().records >= 1);
    assert_eq!(blob_count(&world), 0);
}

fn blob_count(world: &World) -> usize {
    let folders = std::fs::read_dir(world.dir.path().join("data/blobs")).unwrap();
    folders.map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count()).sum()
}
