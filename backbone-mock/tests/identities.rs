//! Challenges, identities and devices.
#![allow(clippy::unwrap_used)]

mod common;

use backbone_mock::OAuthClient;
use common::{CLIENT, CLIENT_SECRET, PASSWORD, Person, World, answer, challenge_text, refusal, signed, text_of};
use ed25519_dalek::SigningKey;
use reqwest::Method;
use serde_json::{Value, json};
use transport::wire::bytes::to_base64url;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

async fn create(world: &World, body: &Value, status: u16) -> String {
    refusal(world.anonymous(Method::POST, "/Identities").json(body), status).await
}

async fn fresh_body(world: &World, seed: u8) -> Value {
    let challenge = world.challenge().await;
    world.identity_body(&key(seed), &challenge_text(&challenge))
}

/// C2.
#[tokio::test]
async fn a_wrong_client_secret_is_a_bad_request_and_comes_before_the_field_rules() {
    let world = World::new().await;
    let mut body = fresh_body(&world, 1).await;
    body["clientSecret"] = json!("wrong");
    body["identityPublicKey"] = json!("");
    assert_eq!(create(&world, &body, 400).await, "unauthorized");
}

/// C3.
#[tokio::test]
async fn a_signature_over_another_text_is_refused() {
    let world = World::new().await;
    let mut body = fresh_body(&world, 1).await;
    let text = text_of(&body["signedChallenge"]["challenge"]).replace("Identity", "Identitx");
    body["signedChallenge"]["challenge"] = json!(text);
    assert_eq!(create(&world, &body, 400).await, "validation.device.invalidSignature");
}

/// C40.
#[tokio::test]
async fn a_challenge_text_with_other_digits_and_extra_members_is_accepted() {
    let world = World::new().await;
    let challenge = world.challenge().await;
    let text = format!(
        r#"{{"@type":"Challenge","EXPIRESAT":"2030-01-01T12:10:00.0000000Z","ID":{},"type":"Identity"}}"#,
        challenge["id"]
    );
    let body = world.identity_body(&key(1), &text);
    answer(world.anonymous(Method::POST, "/Identities").json(&body), 201).await;
}

/// C41.
#[tokio::test]
async fn garbage_in_cryptographic_structures_is_a_bad_request() {
    let world = World::new().await;
    let body = fresh_body(&world, 1).await;
    let texts = ["", "not json", "[]", "{}", r#"{"pub":1}"#, r#"{"pub":"AAAA","sig":"AAAA","alg":3}"#, "\u{0}"];
    for text in texts {
        for path in ["/identityPublicKey", "/signedChallenge/signature"] {
            let mut broken = body.clone();
            *broken.pointer_mut(path).unwrap() = json!(to_base64url(text.as_bytes()));
            let code = create(&world, &broken, 400).await;
            let short_signature = path.ends_with("signature") && text.contains("AAAA");
            let expected =
                if short_signature { "validation.device.invalidSignature" } else { "validation.invalidPropertyValue" };
            assert_eq!(code, expected, "{path} {text}");
        }
        let mut broken = body.clone();
        broken["signedChallenge"]["challenge"] = json!(text);
        assert_eq!(create(&world, &broken, 400).await, "validation.invalidPropertyValue", "{text}");
    }
    for (path, value) in [("/identityPublicKey", "!!!"), ("/signedChallenge/signature", "a+b_")] {
        let mut broken = body.clone();
        *broken.pointer_mut(path).unwrap() = json!(value);
        assert_eq!(create(&world, &broken, 400).await, "inputCannotBeParsed", "{path}");
    }
    // A key that is no point on the curve fits no signature.
    let mut broken = body.clone();
    let key_text = json!({ "pub": to_base64url(&[0xff; 32]), "alg": 3 }).to_string();
    broken["identityPublicKey"] = json!(to_base64url(key_text.as_bytes()));
    assert_eq!(create(&world, &broken, 400).await, "validation.device.invalidSignature");
}

/// C42.
#[tokio::test]
async fn a_challenge_serves_once_and_survives_refused_attempts() {
    let world = World::new().await;
    let challenge = world.challenge().await;
    let text = challenge_text(&challenge);
    let mut body = world.identity_body(&key(1), &text);
    body["devicePassword"] = json!("weak");
    assert_eq!(create(&world, &body, 400).await, "validation.device.registrationFailed");
    body["devicePassword"] = json!(PASSWORD);
    answer(world.anonymous(Method::POST, "/Identities").json(&body), 201).await;
    let second = world.identity_body(&key(2), &text);
    assert_eq!(create(&world, &second, 400).await, "validation.device.challengeHasExpired");
    let person = world.person(3).await;
    answer(person.get(&format!("/Challenges/{}", text_of(&challenge["id"]))), 200).await;
}

#[tokio::test]
async fn a_second_identity_with_the_same_key_is_refused() {
    let world = World::new().await;
    world.person(1).await;
    let body = fresh_body(&world, 1).await;
    assert_eq!(create(&world, &body, 400).await, "validation.device.addressAlreadyExists");
}

#[tokio::test]
async fn of_two_parallel_creations_with_one_key_one_succeeds() {
    let world = World::new().await;
    let (first, second) = (fresh_body(&world, 1).await, fresh_body(&world, 1).await);
    let send = |body: Value| world.anonymous(Method::POST, "/Identities").json(&body).send();
    let (first, second) = tokio::join!(send(first), send(second));
    let mut statuses = [first.unwrap().status().as_u16(), second.unwrap().status().as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 400]);
}

#[tokio::test]
async fn an_expired_or_unknown_challenge_is_refused() {
    let world = World::new().await;
    let body = fresh_body(&world, 1).await;
    world.advance(600);
    assert_eq!(create(&world, &body, 400).await, "validation.device.challengeHasExpired");
    let unknown = world.identity_body(&key(1), r#"{"id":"CHLunknown0000000001"}"#);
    assert_eq!(create(&world, &unknown, 404).await, "recordNotFound");
}

#[tokio::test]
async fn a_challenge_is_readable_for_seventy_minutes() {
    let world = World::new().await;
    let mut person = world.person(1).await;
    let challenge = answer(person.post("/Challenges", &json!({})), 201).await;
    assert_eq!(challenge["createdBy"], json!(person.address));
    assert_eq!(challenge["createdByDevice"], json!(person.device));
    let path = format!("/Challenges/{}", text_of(&challenge["id"]));
    refusal(person.get("/Challenges/CHLshort"), 400).await;
    world.advance(70 * 60 - 1);
    person.log_in(PASSWORD).await;
    assert_eq!(answer(person.get(&path), 200).await, challenge);
    world.advance(1);
    refusal(person.get(&path), 404).await;
    assert_eq!(world.anonymous(Method::GET, &path).send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_client_creates_no_more_identities_than_it_may() {
    let world = World::with(|config| {
        config.clients = vec![OAuthClient::new(CLIENT, CLIENT_SECRET)];
        config.clients[0].terms.client.identities = 1;
    })
    .await;
    world.person(1).await;
    let body = fresh_body(&world, 2).await;
    assert_eq!(create(&world, &body, 400).await, "validation.device.clientReachedIdentitiesLimit");
}

#[tokio::test]
async fn missing_members_and_unknown_languages_are_refused() {
    let world = World::new().await;
    let body = fresh_body(&world, 1).await;
    for member in ["clientId", "identityPublicKey", "devicePassword", "identityVersion", "signedChallenge"] {
        let mut broken = body.clone();
        broken.as_object_mut().unwrap().remove(member);
        assert_eq!(create(&world, &broken, 400).await, "inputCannotBeParsed", "{member}");
        broken[member] = Value::Null;
        assert_eq!(create(&world, &broken, 400).await, "inputCannotBeParsed", "{member}");
    }
    let mut broken = body.clone();
    broken["deviceCommunicationLanguage"] = json!("xx");
    assert_eq!(create(&world, &broken, 400).await, "validation.invalidDeviceCommunicationLanguage");
}

#[tokio::test]
async fn nobody_is_deleted() {
    let world = World::new().await;
    let person = world.person(1).await;
    for username in [person.username.as_str(), "USRunknown0000000001"] {
        let path = format!("/Identities/IsDeleted?userName={username}");
        let expected = json!({ "isDeleted": false, "deletionDate": null });
        assert_eq!(answer(world.anonymous(Method::GET, &path), 200).await, expected);
    }
    let asks = |path| world.anonymous(Method::GET, path);
    assert_eq!(refusal(asks("/Identities/IsDeleted"), 400).await, "inputCannotBeParsed");
    assert_eq!(refusal(asks("/Identities/IsDeleted?username=x"), 400).await, "validation.invalidPropertyValue");
}

async fn registration(person: &Person) -> Value {
    let challenge = answer(person.post("/Challenges", &json!({})), 201).await;
    json!({ "devicePassword": PASSWORD, "signedChallenge": signed(&person.key, &challenge_text(&challenge)) })
}

#[tokio::test]
async fn devices_are_registered_listed_and_removed() {
    let world = World::new().await;
    let first = world.person(1).await;
    let created = answer(first.post("/Devices", &registration(&first).await), 201).await;
    assert_eq!(created["createdByDevice"], json!(first.device));
    assert_eq!(created["isBackupDevice"], false);
    let own = answer(first.get("/Devices/Self"), 200).await;
    assert_eq!(own["lastLogin"]["time"], "2030-01-01T12:00:00.000Z");
    assert_eq!(own["createdByDevice"], own["id"]);
    let all = answer(first.get("/Devices"), 200).await;
    assert_eq!(all.as_array().unwrap().len(), 2);
    let id = text_of(&created["id"]);
    let one = answer(first.get(&format!("/Devices?ids={id}")), 200).await;
    assert_eq!((&one[0]["id"], &one[0]["lastLogin"]), (&json!(id), &Value::Null));

    let path = format!("/Devices/{id}");
    let stranger = world.person(2).await;
    let undeletable = "validation.device.deviceCannotBeDeleted";
    assert_eq!(refusal(stranger.delete(&path), 400).await, undeletable);
    assert_eq!(refusal(first.delete(&format!("/Devices/{}", first.device)), 400).await, undeletable);
    answer(first.delete(&path), 204).await;
    refusal(first.delete(&path), 404).await;
    let fields = [("grant_type", "password"), ("client_id", CLIENT), ("client_secret", CLIENT_SECRET)];
    let username = text_of(&created["username"]);
    let (status, body) =
        world.login(&[fields[0], fields[1], fields[2], ("username", &username), ("password", PASSWORD)]).await;
    assert_eq!((status.as_u16(), &body["error"]), (400, &json!("invalid_grant")));
}

#[tokio::test]
async fn devices_of_one_instant_keep_a_stable_order_over_pages() {
    let world = World::new().await;
    let person = world.person(1).await;
    for _ in 0..2 {
        answer(person.post("/Devices", &registration(&person).await), 201).await;
    }
    let all = answer(person.get("/Devices"), 200).await;
    for number in 1..=3 {
        let page = answer(person.get(&format!("/Devices?pageSize=1&pageNumber={number}")), 200).await;
        assert_eq!(page[0], all[number - 1]);
    }
}

#[tokio::test]
async fn there_is_one_backup_device_at_most_and_a_login_uses_it_up() {
    let world = World::new().await;
    let first = world.person(1).await;
    let mut body = registration(&first).await;
    body["isBackupDevice"] = json!(true);
    let created = answer(first.post("/Devices", &body), 201).await;
    let mut second = registration(&first).await;
    second["isBackupDevice"] = json!(true);
    // It is checked before the signature.
    second["signedChallenge"]["challenge"] = json!(r#"{"id":"CHLother000000000001"}"#);
    assert_eq!(refusal(first.post("/Devices", &second), 400).await, "validation.device.onlyOneBackupDeviceCanExist");
    let mut backup = first.clone();
    backup.username = text_of(&created["username"]);
    backup.log_in(PASSWORD).await;
    assert_eq!(answer(backup.get("/Devices/Self"), 200).await["isBackupDevice"], false);
}

#[tokio::test]
async fn a_device_is_registered_with_a_challenge_and_key_of_its_identity_only() {
    let world = World::new().await;
    let (first, other) = (world.person(1).await, world.person(2).await);
    let mut body = registration(&other).await;
    assert_eq!(refusal(first.post("/Devices", &body), 400).await, "validation.device.invalidSignature");
    let foreign = text_of(&body["signedChallenge"]["challenge"]);
    body["signedChallenge"] = signed(&first.key, &foreign);
    assert_eq!(refusal(first.post("/Devices", &body), 404).await, "recordNotFound");
    let mut weak = registration(&first).await;
    weak["devicePassword"] = json!("weak");
    assert_eq!(refusal(first.post("/Devices", &weak), 400).await, "validation.device.registrationFailed");
    // A challenge that was made without a login serves as well.
    let text = challenge_text(&world.challenge().await);
    let body = json!({ "devicePassword": PASSWORD, "signedChallenge": signed(&first.key, &text) });
    answer(first.post("/Devices", &body), 201).await;
}

#[tokio::test]
async fn a_device_changes_its_language() {
    let world = World::new().await;
    let person = world.person(1).await;
    let invalid = person.put("/Devices/Self", &json!({ "communicationLanguage": "xx" }));
    assert_eq!(refusal(invalid, 400).await, "validation.invalidDeviceCommunicationLanguage");
    answer(person.put("/Devices/Self", &json!({ "CommunicationLanguage": "de" })), 204).await;
    assert_eq!(answer(person.get("/Devices/Self"), 200).await["communicationLanguage"], "de");
}

#[tokio::test]
async fn a_push_registration_keeps_its_identifier() {
    let world = World::new().await;
    let person = world.person(1).await;
    let path = "/Devices/Self/PushNotifications";
    let wish = json!({ "platform": "fcm", "handle": "0123456789", "appId": "app" });
    let first = answer(person.put(path, &wish), 200).await;
    assert!(text_of(&first["devicePushIdentifier"]).starts_with("DPI"));
    assert_eq!(answer(person.put(path, &wish), 200).await, first);
    for (member, value) in [("platform", "FCM"), ("handle", "short"), ("appId", ""), ("environment", "Test")] {
        let mut broken = wish.clone();
        broken[member] = json!(value);
        assert_eq!(refusal(person.put(path, &broken), 400).await, "validation.invalidPropertyValue", "{member}");
    }
    answer(person.delete(path), 204).await;
    answer(person.delete(path), 204).await;
}
