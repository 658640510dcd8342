//! The changing routes of the backbone.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use enlace_tests::World;
use enlace_tests::power::Shim;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use transport::crypto::hash::sha512;
use transport::wire::Timestamp;
use transport::wire::bytes::to_base64url;

use crate::observer::{BLOBS, Observer, RECORDS};
use crate::person::{PASSWORD, Person};

const NEVER: &str = "9999-12-31T00:00:00.000Z";
/// Requests of this test, those of its people included.
const REQUESTS: usize = 29;

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn upload(bytes: &[u8]) -> Form {
    let part = Part::bytes(bytes.to_vec()).file_name("cipher.bin").mime_str("application/octet-stream").unwrap();
    let fields = [
        ("cipherHash", to_base64url(&sha512(bytes))),
        ("owner", "did:e:localhost:dids:ignored".to_owned()),
        ("ownerSignature", "b3BhcXVlLTI".to_owned()),
        ("expiresAt", NEVER.to_owned()),
        ("encryptedProperties", "b3BhcXVlLTM".to_owned()),
    ];
    fields.into_iter().fold(Form::new().part("content", part), |form, (name, value)| form.text(name, value))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_backbone_answers_after_its_changes_are_durable() {
    let Some(shim) = Shim::or_skip() else { return };
    let world = World::new();
    let mut observer = Observer::default();
    let backbone = observer.start(&world, &shim, "backbone", &["backbone", "--did-domain-name", "localhost"]).await;
    let url = text(&backbone["url"]);
    let owner = Person::create(&mut observer, url, 1).await;
    let stranger = Person::create(&mut observer, url, 2).await;
    devices(&mut observer, &owner).await;
    tokens(&mut observer, &owner, &stranger).await;
    files(&mut observer, &owner, &stranger).await;
    datawallet(&mut observer, &stranger).await;
    let body = json!({ "oldPassword": PASSWORD, "newPassword": "Bb2?another-password" });
    let change = owner.request(Method::PUT, "/Devices/Self/Password").json(&body);
    observer.observe("PUT /Devices/Self/Password", 204, change, &[RECORDS]).await;
    observer.conclude(REQUESTS);
}

async fn devices(observer: &mut Observer, owner: &Person) {
    let challenge = owner.request(Method::POST, "/Challenges").json(&json!({}));
    let challenge = observer.observe("POST /Challenges, logged in", 201, challenge, &[RECORDS]).await;
    let body = json!({ "devicePassword": PASSWORD, "signedChallenge": owner.signed(&challenge) });
    let device = owner.request(Method::POST, "/Devices").json(&body);
    let device = observer.observe("POST /Devices", 201, device, &[RECORDS]).await;
    let removal = owner.request(Method::DELETE, &format!("/Devices/{}", text(&device["id"])));
    observer.observe("DELETE /Devices/{id}", 204, removal, &[RECORDS]).await;
    let change = owner.request(Method::PUT, "/Devices/Self").json(&json!({ "communicationLanguage": "de" }));
    observer.observe("PUT /Devices/Self", 204, change, &[RECORDS]).await;
    let push = "/Devices/Self/PushNotifications";
    let wish = json!({ "platform": "fcm", "handle": "0123456789", "appId": "app" });
    let registration = owner.request(Method::PUT, push).json(&wish);
    observer.observe("PUT /Devices/Self/PushNotifications", 200, registration, &[RECORDS]).await;
    let removal = owner.request(Method::DELETE, push);
    observer.observe("DELETE /Devices/Self/PushNotifications", 204, removal, &[RECORDS]).await;
}

async fn tokens(observer: &mut Observer, owner: &Person, stranger: &Person) {
    let password = format!("{:0>42}8=", 1);
    let body = json!({ "content": "AAAA", "expiresAt": NEVER, "password": password });
    let token = owner.request(Method::POST, "/Tokens").json(&body);
    let token = observer.observe("POST /Tokens", 201, token, &[RECORDS]).await;
    let path = format!("/Tokens/{}", text(&token["id"]));
    let guess = stranger.anonymous(Method::GET, &path).query(&[("password", format!("{:0>42}8=", 2))]);
    observer.observe("GET /Tokens/{id}, wrong password", 404, guess, &[RECORDS]).await;
    let read = stranger.request(Method::GET, &path).query(&[("password", &password)]);
    observer.observe("GET /Tokens/{id}, first time", 200, read, &[RECORDS]).await;
    let removal = owner.request(Method::DELETE, &path);
    observer.observe("DELETE /Tokens/{id}", 204, removal, &[RECORDS]).await;
    let empty = owner.anonymous(Method::POST, "/Tokens").json(&json!({ "expiresAt": soon() }));
    let empty = observer.observe("POST /Tokens, anonymous", 201, empty, &[RECORDS]).await;
    let path = format!("/Tokens/{}/UpdateContent", text(&empty["id"]));
    let update = owner.request(Method::POST, &path).json(&json!({ "newContent": "AAAA" }));
    observer.observe("POST /Tokens/{id}/UpdateContent", 200, update, &[RECORDS]).await;
}

/// A date that a token may have without login.
fn soon() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_unix_milliseconds((now + Duration::from_secs(120)).as_millis() as i64).to_string()
}

async fn files(observer: &mut Observer, owner: &Person, stranger: &Person) {
    let file = owner.request(Method::POST, "/Files").multipart(upload(b"ciphertext"));
    let file = observer.observe("POST /Files", 201, file, &[RECORDS, BLOBS]).await;
    let path = format!("/Files/{}", text(&file["id"]));
    let token = owner.request(Method::PATCH, &format!("{path}/RegenerateOwnershipToken"));
    let token = observer.observe("PATCH /Files/{id}/RegenerateOwnershipToken", 200, token, &[RECORDS]).await;
    let body = json!({ "ownershipToken": token["newOwnershipToken"] });
    let claim = stranger.request(Method::PATCH, &format!("{path}/ClaimOwnership")).json(&body);
    observer.observe("PATCH /Files/{id}/ClaimOwnership", 200, claim, &[RECORDS]).await;
    // A wrong token locks the file.
    let wrong = json!({ "ownershipToken": "wrong" });
    let claim = owner.request(Method::PATCH, &format!("{path}/ClaimOwnership")).json(&wrong);
    observer.observe("PATCH /Files/{id}/ClaimOwnership, wrong token", 403, claim, &[RECORDS]).await;
    let path = format!("{path}/ValidateOwnershipToken");
    let renewal = stranger.request(Method::PATCH, &path.replace("ValidateOwnershipToken", "RegenerateOwnershipToken"));
    renewal.send().await.unwrap().error_for_status().unwrap();
    let check = owner.request(Method::POST, &path).json(&wrong);
    observer.observe("POST /Files/{id}/ValidateOwnershipToken, wrong token", 200, check, &[RECORDS]).await;
    let other = owner.request(Method::POST, "/Files").multipart(upload(b"other ciphertext"));
    let other = observer.observe("POST /Files, again", 201, other, &[RECORDS, BLOBS]).await;
    let path = format!("/Files/{}", text(&other["id"]));
    observer.observe("DELETE /Files/{id}", 204, owner.request(Method::DELETE, &path), &[RECORDS]).await;
}

async fn datawallet(observer: &mut Observer, stranger: &Person) {
    let modification = |object: &str| {
        json!({
            "type": "Create",
            "collection": "Devices",
            "objectIdentifier": object,
            "payloadCategory": "TechnicalData",
            "encryptedPayload": "b3BhcXVlLTE",
            "datawalletVersion": 1,
        })
    };
    let start = |kind: &str| stranger.request(Method::POST, "/SyncRuns").json(&json!({ "type": kind }));
    let run = observer.observe("POST /SyncRuns, upgrade", 201, start("DatawalletVersionUpgrade"), &[RECORDS]).await;
    let path = format!("/SyncRuns/{}/FinalizeDatawalletVersionUpgrade", text(&run["syncRun"]["id"]));
    let body = json!({ "newDatawalletVersion": 1, "datawalletModifications": [modification(&stranger.device)] });
    let finish = stranger.request(Method::PUT, &path).json(&body);
    observer.observe("PUT /SyncRuns/{id}/FinalizeDatawalletVersionUpgrade", 200, finish, &[RECORDS]).await;
    let body = json!({ "localIndex": 0, "modifications": [modification("a")] });
    let push = stranger.request(Method::POST, "/Datawallet/Modifications").json(&body);
    observer.observe("POST /Datawallet/Modifications", 201, push, &[RECORDS]).await;
    // The stranger owns a file that the wrong token has locked, which is an event.
    let run = observer.observe("POST /SyncRuns, events", 201, start("ExternalEventSync"), &[RECORDS]).await;
    let id = text(&run["syncRun"]["id"]).to_owned();
    let events = stranger.request(Method::GET, &format!("/SyncRuns/{id}/ExternalEvents")).send().await.unwrap();
    let events: Value = events.json().await.unwrap();
    let results: Vec<Value> =
        events["result"].as_array().unwrap().iter().map(|event| json!({ "externalEventId": event["id"] })).collect();
    assert!(!results.is_empty(), "{events}");
    let path = format!("/SyncRuns/{id}/FinalizeExternalEventSync");
    let body = json!({ "externalEventResults": results, "datawalletModifications": null });
    let finish = stranger.request(Method::PUT, &path).json(&body);
    observer.observe("PUT /SyncRuns/{id}/FinalizeExternalEventSync", 200, finish, &[RECORDS]).await;
}
