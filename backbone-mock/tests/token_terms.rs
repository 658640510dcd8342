//! Terms of tokens beyond the published protocol: their change, and revoking.
#![allow(clippy::unwrap_used)]

mod common;

use common::{NEVER, PASSWORD, Person, World, answer, password, raw, refusal, text_of, with_password};
use reqwest::Method;
use serde_json::{Value, json};

const OWN: &str = "/api/enlace/v1";
const NOT_FOUND: &str = "recordNotFound";
const INVALID: &str = "validation.invalidPropertyValue";
const CLAIM: &str = "CLMaaaaaaaaaaaaaaaaa";
const DAY: u64 = 24 * 60 * 60;

async fn create(creator: &Person, terms: &Value) -> String {
    let mut body = json!({ "content": "AAAA", "expiresAt": NEVER });
    body.as_object_mut().unwrap().extend(terms.as_object().unwrap().clone());
    text_of(&answer(creator.post(&format!("{OWN}/Tokens"), &body), 201).await["id"])
}

fn plain(id: &str) -> String {
    format!("/Tokens/{id}")
}

fn own(id: &str, end: &str) -> String {
    format!("{OWN}/Tokens/{id}{end}")
}

async fn change(creator: &Person, id: &str, change: Value) -> Value {
    answer(creator.patch(&own(id, "/Terms"), &change), 200).await
}

async fn revoke(creator: &Person, id: &str) -> Value {
    answer(creator.request(Method::POST, &own(id, "/Revoke")), 200).await
}

#[tokio::test]
async fn terms_are_told_to_the_creator() {
    let world = World::new().await;
    let (creator, other) = (world.person(1).await, world.person(2).await);
    let id = create(&creator, &json!({})).await;
    let terms = answer(creator.get(&own(&id, "/Terms")), 200).await;
    let expected = json!({
        "expiresAt": NEVER, "notBefore": null, "maxUses": null, "strictUses": false, "committedUses": 0,
        "leasedUses": 0, "failedAttempts": 0, "isLocked": false, "revokedAt": null, "lastReadAt": null
    });
    assert_eq!(terms, expected);
    answer(other.get(&plain(&id)), 200).await;
    for request in [
        other.get(&own(&id, "/Terms")),
        other.patch(&own(&id, "/Terms"), &json!({})),
        other.request(Method::POST, &own(&id, "/Revoke")),
        creator.get(&own("TOKaaaaaaaaaaaaaaaaa", "/Terms")),
    ] {
        assert_eq!(refusal(request, 404).await, NOT_FOUND);
    }
    assert_eq!(change(&creator, &id, json!({})).await, expected);
}

#[tokio::test]
async fn a_token_of_the_published_protocol_gets_terms_later() {
    let world = World::new().await;
    let (creator, reader) = (world.person(1).await, world.person(2).await);
    let id = creator.token(json!({ "content": "AAAA", "expiresAt": NEVER })).await;
    let terms = change(&creator, &id, json!({ "maxUses": 1, "notBefore": world.in_seconds(0) })).await;
    assert_eq!((&terms["maxUses"], &terms["notBefore"]), (&json!(1), &json!(world.in_seconds(0))));
    answer(reader.get(&plain(&id)), 200).await;
    assert_eq!(refusal(world.anonymous(Method::GET, &plain(&id)), 404).await, NOT_FOUND);
    assert_eq!(change(&creator, &id, json!({ "maxUses": 2 })).await["committedUses"], 1);
    answer(world.anonymous(Method::GET, &plain(&id)), 200).await;
    change(&creator, &id, json!({ "maxUses": null, "notBefore": null })).await;
    for _ in 0..3 {
        answer(world.anonymous(Method::GET, &plain(&id)), 200).await;
    }
    assert_eq!(change(&creator, &id, json!({ "maxUses": 1 })).await["committedUses"], 2);
    assert_eq!(refusal(world.anonymous(Method::GET, &plain(&id)), 404).await, NOT_FOUND);
}

/// An empty one belongs to whoever fills it.
#[tokio::test]
async fn terms_need_content_and_a_login() {
    let world = World::new().await;
    let creator = world.person(1).await;
    let path = format!("{OWN}/Tokens");
    for body in [
        json!({ "expiresAt": NEVER, "maxUses": 1 }),
        json!({ "expiresAt": NEVER }),
        json!({ "expiresAt": NEVER, "content": null }),
    ] {
        assert_eq!(refusal(creator.post(&path, &body), 400).await, INVALID, "{body}");
        answer(world.anonymous(Method::POST, &path).json(&body), 401).await;
    }
    let body = json!({ "expiresAt": NEVER, "content": "AAAA" });
    answer(world.anonymous(Method::POST, &path).json(&body), 401).await;
    answer(creator.post(&path, &body), 201).await;
}

#[tokio::test]
async fn limits_are_bounded() {
    let world = World::new().await;
    let creator = world.person(1).await;
    let id = create(&creator, &json!({ "maxUses": 1_000_000 })).await;
    for max_uses in [json!(0), json!(-1), json!(1_000_001), json!(4_294_967_297_u64)] {
        let body = json!({ "content": "AAAA", "expiresAt": NEVER, "maxUses": max_uses });
        assert_eq!(refusal(creator.post(&format!("{OWN}/Tokens"), &body), 400).await, INVALID);
        let request = creator.patch(&own(&id, "/Terms"), &json!({ "maxUses": max_uses }));
        assert_eq!(refusal(request, 400).await, INVALID);
    }
    let request = creator.patch(&own(&id, "/Terms"), &json!({ "maxUses": "many" }));
    assert_eq!(refusal(request, 400).await, "inputCannotBeParsed");
    assert_eq!(answer(creator.get(&own(&id, "/Terms")), 200).await["maxUses"], 1_000_000);
}

/// Before its beginning a token looks like an unknown one to all but its creator.
#[tokio::test]
async fn a_token_begins_at_its_time() {
    let world = World::new().await;
    let (creator, reader) = (world.person(1).await, world.person(2).await);
    let terms = json!({ "notBefore": world.in_seconds(60), "maxUses": 5, "password": password("right") });
    let id = create(&creator, &terms).await;
    let right = with_password(&plain(&id), "right");
    let claimed = own(&id, &format!("/Claims/{CLAIM}"));
    let body = json!({ "password": password("right") });
    for word in ["right", "wrong"] {
        assert_eq!(refusal(reader.get(&with_password(&plain(&id), word)), 404).await, NOT_FOUND);
    }
    assert_eq!(refusal(reader.put(&claimed, &body), 404).await, NOT_FOUND);
    assert_eq!(refusal(reader.delete(&plain(&id)), 404).await, NOT_FOUND);
    let unlock = format!("{}/ResetAccessFailedCount", plain(&id));
    assert_eq!(refusal(reader.post(&unlock, &json!({})), 404).await, NOT_FOUND);
    answer(creator.get(&plain(&id)), 200).await;
    world.advance(59);
    assert_eq!(refusal(reader.get(&right), 404).await, NOT_FOUND);
    world.advance(1);
    answer(reader.get(&right), 200).await;
    answer(reader.put(&claimed, &body), 200).await;
    // Who has read it before is no exception if the beginning moves.
    let mut moved = creator.clone();
    moved.log_in(PASSWORD).await;
    change(&moved, &id, json!({ "notBefore": world.in_seconds(60) })).await;
    assert_eq!(refusal(reader.get(&right), 404).await, NOT_FOUND);
    let list = format!("/Tokens?ids={id}");
    assert_eq!(answer(reader.get(&list), 200).await, json!([]));
    assert_eq!(answer(moved.get(&list), 200).await.as_array().unwrap().len(), 1);
    let terms = answer(moved.get(&own(&id, "/Terms")), 200).await;
    assert_eq!((&terms["failedAttempts"], &terms["committedUses"]), (&json!(0), &json!(1)));
    assert_eq!(refusal(reader.post(&format!("{claimed}/Commit"), &json!({})), 404).await, NOT_FOUND);
}

#[tokio::test]
async fn a_beginning_lies_before_the_expiry() {
    let world = World::new().await;
    let creator = world.person(1).await;
    let (soon, later) = (world.in_seconds(60), world.in_seconds(120));
    let body = json!({ "content": "AAAA", "expiresAt": soon, "notBefore": soon });
    assert_eq!(refusal(creator.post(&format!("{OWN}/Tokens"), &body), 400).await, INVALID);
    let id = create(&creator, &json!({ "expiresAt": later, "notBefore": soon })).await;
    for body in [json!({ "expiresAt": soon }), json!({ "notBefore": later })] {
        assert_eq!(refusal(creator.patch(&own(&id, "/Terms"), &body), 400).await, INVALID);
    }
    let both = change(&creator, &id, json!({ "notBefore": later, "expiresAt": world.in_seconds(121) })).await;
    assert_eq!(both["notBefore"], json!(later));
}

/// At once, for everybody but the creator, those who have read it included; and for good.
#[tokio::test]
async fn a_revoked_token_is_gone_for_everybody_but_its_creator() {
    let mut world = World::new().await;
    let (mut creator, mut reader) = (world.person(1).await, world.person(2).await);
    let id = create(&creator, &json!({ "maxUses": 5 })).await;
    let claim = own(&id, &format!("/Claims/{CLAIM}"));
    let read = own(&id, &format!("?claim={CLAIM}"));
    answer(reader.get(&plain(&id)), 200).await;
    answer(reader.get(&read), 200).await;
    let since = world.in_seconds(0);
    assert_eq!(revoke(&creator, &id).await["revokedAt"], json!(since));
    world.advance(60);
    assert_eq!(revoke(&creator, &id).await["revokedAt"], json!(since), "again, it changes nothing");
    for restarted in [false, true] {
        if restarted {
            world.restart().await;
            (creator, reader) = (world.same_person(creator), world.same_person(reader));
        }
        let unlock = format!("{}/ResetAccessFailedCount", plain(&id));
        let update = format!("{}/UpdateContent", plain(&id));
        let unknown = raw(world.anonymous(Method::GET, "/Tokens/TOKaaaaaaaaaaaaaaaaa")).await.bytes().await.unwrap();
        for request in [
            world.anonymous(Method::GET, &plain(&id)),
            world.anonymous(Method::GET, &read),
            reader.get(&plain(&id)),
            reader.get(&read),
            // Its node serves nobody by it any more.
            creator.get(&read),
            creator.put(&claim, &json!({})),
            reader.put(&claim, &json!({})),
            reader.post(&format!("{claim}/Commit"), &json!({})),
            reader.delete(&claim),
            reader.delete(&plain(&id)),
            reader.post(&unlock, &json!({})),
            reader.post(&update, &json!({ "newContent": "AAAA" })),
        ] {
            let refused = raw(request).await;
            assert_eq!(refused.status(), 404);
            let text = refused.bytes().await.unwrap();
            assert_eq!(text.len(), unknown.len(), "the same as for an unknown one");
        }
        assert_eq!(answer(reader.get(&format!("/Tokens?ids={id}")), 200).await, json!([]));
        assert_eq!(answer(creator.get(&format!("/Tokens?ids={id}")), 200).await[0]["id"], json!(id));
        answer(creator.get(&plain(&id)), 200).await;
        let terms = answer(creator.get(&own(&id, "/Terms")), 200).await;
        assert_eq!((&terms["committedUses"], &terms["leasedUses"]), (&json!(1), &json!(1)), "its history stays");
    }
    // It goes with its expiry, or when its creator deletes it.
    answer(creator.delete(&plain(&id)), 204).await;
    assert_eq!(refusal(creator.get(&own(&id, "/Terms")), 404).await, NOT_FOUND);
}

#[tokio::test]
async fn an_expiry_is_shortened_and_extended() {
    let world = World::new().await;
    let (mut creator, reader) = (world.person(1).await, world.person(2).await);
    let id = create(&creator, &json!({ "expiresAt": world.in_seconds(60) })).await;
    change(&creator, &id, json!({ "expiresAt": world.in_seconds(120) })).await;
    world.advance(60);
    answer(reader.get(&plain(&id)), 200).await;
    let stranger = || world.anonymous(Method::GET, &plain(&id));
    change(&creator, &id, json!({ "expiresAt": world.in_seconds(1) })).await;
    answer(stranger(), 200).await;
    world.advance(1);
    assert_eq!(refusal(stranger(), 404).await, NOT_FOUND);
    for expires_at in [world.in_seconds(0), "2029-01-01T00:00:00.000Z".to_owned()] {
        let request = creator.patch(&own(&id, "/Terms"), &json!({ "expiresAt": expires_at }));
        assert_eq!(refusal(request, 400).await, INVALID);
    }
    // As long as it is kept it can begin to be readable again.
    world.advance(29 * DAY);
    creator.log_in(PASSWORD).await;
    change(&creator, &id, json!({ "expiresAt": world.in_seconds(10) })).await;
    answer(stranger(), 200).await;
}

#[tokio::test]
async fn a_token_is_removed_after_the_expiry_that_it_has_now() {
    let mut world = World::new().await;
    let mut creator = world.person(1).await;
    let longer = create(&creator, &json!({ "expiresAt": world.in_seconds(60) })).await;
    let shorter = create(&creator, &json!({ "expiresAt": world.in_seconds(90 * DAY), "maxUses": 1 })).await;
    change(&creator, &longer, json!({ "expiresAt": world.in_seconds(90 * DAY) })).await;
    change(&creator, &shorter, json!({ "expiresAt": world.in_seconds(60) })).await;
    for (days, is_there) in [(31, true), (90, false)] {
        world.advance(days * DAY);
        // It sweeps at the start.
        world.restart().await;
        creator = world.same_person(creator);
        creator.log_in(PASSWORD).await;
        world.backbone().admin().sweep().await.unwrap();
        answer(creator.get(&own(&shorter, "/Terms")), 404).await;
        answer(creator.get(&own(&longer, "/Terms")), if is_there { 200 } else { 404 }).await;
    }
}

#[tokio::test]
async fn a_guest_cannot_keep_a_token_for_longer_by_changing_it() {
    let world = World::with(|config| config.clients.push(backbone_mock::OAuthClient::guest("guest", "guest"))).await;
    let mut guest = world.person_of(1, "guest", "guest").await;
    let body = json!({ "content": "AAAA", "expiresAt": NEVER });
    let created = answer(guest.post(&format!("{OWN}/Tokens"), &body), 201).await;
    let (id, latest) = (text_of(&created["id"]), text_of(&created["expiresAt"]));
    change(&guest, &id, json!({ "expiresAt": world.in_seconds(60) })).await;
    world.advance(DAY / 2);
    guest.log_in(PASSWORD).await;
    assert_eq!(change(&guest, &id, json!({ "expiresAt": NEVER })).await["expiresAt"], json!(latest));
    let later = world.in_seconds(400 * DAY);
    let request = guest.patch(&own(&id, "/Terms"), &json!({ "expiresAt": later }));
    assert_eq!(refusal(request, 400).await, INVALID);
    change(&guest, &id, json!({ "expiresAt": latest })).await;
}
