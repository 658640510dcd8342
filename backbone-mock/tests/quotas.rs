//! Quotas, rates, and what becomes of guests.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use backbone_mock::{Config, OAuthClient, Rate};
use common::*;
use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use transport::wire::backbone::quotas::{MetricQuotas, lifetime};

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;
/// What a file counts beside its bytes: the record, and the metadata that [`Upload`] sends.
const FRAME: u64 = 512 + 8;
const EXHAUSTED: &str = "quotaExhausted";

fn terms(config: &mut Config) -> &mut backbone_mock::Terms {
    &mut config.clients[0].terms
}

/// Turns the only client into one that everybody knows.
fn as_guests(config: &mut Config) -> &mut backbone_mock::Terms {
    config.clients = vec![OAuthClient::guest(CLIENT, CLIENT_SECRET)];
    terms(config)
}

fn body_of_token() -> Value {
    json!({ "content": "AAAA", "expiresAt": NEVER })
}

async fn statuses(requests: impl Iterator<Item = reqwest::RequestBuilder>) -> Vec<u16> {
    join_all(requests.map(|request| async { request.send().await.unwrap().status().as_u16() })).await
}

fn count(statuses: &[u16], wanted: u16) -> usize {
    statuses.iter().filter(|status| **status == wanted).count()
}

#[tokio::test]
async fn a_quota_is_exact_however_many_come_at_once_and_is_given_back() {
    let mut world = World::with(|config| terms(config).identity.tokens = 5).await;
    let (person, other) = (world.person(1).await, world.person(2).await);
    let found = statuses((0..20).map(|_| person.post("/Tokens", &body_of_token()))).await;
    assert_eq!((count(&found, 201), count(&found, 429)), (5, 15));
    other.token(body_of_token()).await;
    let response = raw(person.post("/Tokens", &body_of_token())).await;
    let error: Value = response.json().await.unwrap();
    assert_eq!(error["error"]["data"][0]["metricKey"], "NumberOfTokens");

    world.restart().await;
    let person = world.same_person(person);
    let quotas = answer(person.get("/Quotas"), 200).await;
    let tokens = quotas.as_array().unwrap().iter().find(|quota| quota["metricKey"] == "NumberOfTokens").unwrap();
    assert_eq!((&tokens["quotas"][0]["max"], &tokens["quotas"][0]["usage"]), (&json!(5), &json!(5)));
    assert_eq!(refusal(person.post("/Tokens", &body_of_token()), 429).await, EXHAUSTED);
}

#[tokio::test]
async fn what_is_deleted_makes_room() {
    let world = World::with(|config| terms(config).identity.tokens = 1).await;
    let person = world.person(1).await;
    let token = person.token(body_of_token()).await;
    assert_eq!(refusal(person.post("/Tokens", &body_of_token()), 429).await, EXHAUSTED);
    answer(person.delete(&format!("/Tokens/{token}")), 204).await;
    person.token(body_of_token()).await;
}

#[tokio::test]
async fn files_may_fill_the_quota_to_the_last_byte() {
    let world = World::with(|config| terms(config).identity.content_bytes = 2 * (FRAME + 5_000)).await;
    let (mut person, other) = (world.person(1).await, world.person(2).await);
    let expiring = |world: &World| Upload::new(&[1; 5_000]).set("expiresAt", &world.in_seconds(DAY));
    answer(person.upload(expiring(&world)), 201).await;
    assert_eq!(refusal(person.upload(Upload::new(&[1; 5_001])), 429).await, EXHAUSTED);
    answer(person.upload(Upload::new(&[1; 5_000])), 201).await;
    assert_eq!(refusal(person.upload(Upload::new(&[1; 1])), 429).await, EXHAUSTED);
    assert_eq!(refusal(person.upload(Upload::new(&[1; 1_000_000])), 429).await, EXHAUSTED);
    assert_eq!(world.backbone().admin().sweep().await.unwrap().orphans, 0, "what is refused leaves no bytes");
    answer(other.upload(Upload::new(&[1; 5_000])), 201).await;

    world.advance(32 * DAY);
    world.backbone().admin().sweep().await.unwrap();
    person.log_in(PASSWORD).await;
    answer(person.upload(Upload::new(&[1; 5_000])), 201).await;
}

#[tokio::test]
async fn the_datawallet_and_devices_have_quotas() {
    // The run that creates the datawallet, its entry, and two further ones.
    let world = World::with(|config| {
        terms(config).identity.other_bytes = 4 * (512 + 8) - 8;
        terms(config).identity.devices = 2;
    })
    .await;
    let person = world.person_with_datawallet(1).await;
    answer(person.push(0, &["a", "b"]), 201).await;
    assert_eq!(refusal(person.push(2, &["c"]), 429).await, EXHAUSTED);
    let second = person.second_device().await;
    let challenge = answer(person.post("/Challenges", &json!({})), 201).await;
    let body =
        json!({ "devicePassword": PASSWORD, "signedChallenge": signed(&person.key, &challenge_text(&challenge)) });
    assert_eq!(refusal(second.post("/Devices", &body), 429).await, EXHAUSTED);
}

#[tokio::test]
async fn the_common_quota_of_guests_does_not_affect_other_clients() {
    let world = World::with(|config| {
        let terms = as_guests(config);
        terms.client.tokens = 2;
        config.clients.push(OAuthClient::new("owner", "owner-secret"));
    })
    .await;
    let (first, second) = (world.person(1).await, world.person(2).await);
    let owner = world.person_of(3, "owner", "owner-secret").await;
    let body = json!({ "content": "AAAA", "expiresAt": world.in_seconds(DAY) });
    first.token(body.clone()).await;
    second.token(body.clone()).await;
    assert_eq!(refusal(first.post("/Tokens", &body), 429).await, EXHAUSTED);
    for _ in 0..3 {
        owner.token(body.clone()).await;
    }
    first.create_datawallet().await;
}

#[tokio::test]
async fn guests_leave_some_of_the_disk_to_other_clients() {
    let mut world = World::with(|config| {
        config.clients.push(OAuthClient::new("owner", "owner-secret"));
    })
    .await;
    let guest = world.person(1).await;
    world.change(|config| terms(config).disk_reserve = u64::MAX / 2).await;
    let guest = world.same_person(guest);
    let owner = world.person_of(3, "owner", "owner-secret").await;
    assert_eq!(refusal(guest.post("/Tokens", &body_of_token()), 507).await, "insufficientStorage");
    assert_eq!(refusal(guest.upload(Upload::new(&[1; 10])), 507).await, "insufficientStorage");
    owner.token(body_of_token()).await;
    answer(owner.upload(Upload::new(&[1; 10])), 201).await;
}

#[tokio::test]
async fn guests_store_nothing_for_longer_than_thirty_days() {
    let world = World::with(|config| _ = as_guests(config)).await;
    let guest = world.person(1).await;
    let token = |expires_at: String| guest.post("/Tokens", &json!({ "content": "AAAA", "expiresAt": expires_at }));
    let file = |expires_at: String| guest.upload(Upload::new(b"bytes").set("expiresAt", &expires_at));
    answer(token(world.in_seconds(30 * DAY)), 201).await;
    answer(file(world.in_seconds(30 * DAY)), 201).await;
    for late in [world.in_seconds(30 * DAY + 1), "9999-12-30T23:59:59.999Z".to_owned()] {
        assert_eq!(refusal(token(late.clone()), 400).await, "validation.invalidPropertyValue");
        assert_eq!(refusal(file(late), 400).await, "validation.invalidPropertyValue");
    }
    let quotas: Vec<MetricQuotas> = serde_json::from_value(answer(guest.get("/Quotas"), 200).await).unwrap();
    assert_eq!(lifetime(&quotas), Some(Duration::from_secs(30 * DAY)));
}

#[tokio::test]
async fn clients_without_a_lifetime_limit_get_no_lifetime() {
    let world = World::with(|_| ()).await;
    let person = world.person(1).await;
    let quotas: Vec<MetricQuotas> = serde_json::from_value(answer(person.get("/Quotas"), 200).await).unwrap();
    assert_eq!(lifetime(&quotas), None);
}

#[tokio::test]
async fn a_default_expiry_is_shortened_for_guests_and_answered() {
    let world = World::with(|config| {
        as_guests(config);
        config.clients.push(OAuthClient::new("owner", "owner-secret"));
    })
    .await;
    let (guest, owner) = (world.person(1).await, world.person_of(2, "owner", "owner-secret").await);
    let month = json!(world.in_seconds(30 * DAY));
    let token = |person: &Person, expires_at: &str| {
        person.post("/Tokens", &json!({ "content": "AAAA", "expiresAt": expires_at }))
    };
    let file = |person: &Person| person.upload(Upload::new(b"bytes").set("expiresAt", NEVER));
    let shortened = answer(token(&guest, NEVER), 201).await;
    assert_eq!(shortened["expiresAt"], month);
    let stored = answer(guest.get(&format!("/Tokens/{}", text_of(&shortened["id"]))), 200).await;
    assert_eq!(stored["expiresAt"], month);
    let uploaded = answer(file(&guest), 201).await;
    assert_eq!(uploaded["expiresAt"], month);
    let stored = answer(guest.get(&format!("/Files/{}/Metadata", text_of(&uploaded["id"]))), 200).await;
    assert_eq!(stored["expiresAt"], month);

    assert_eq!(answer(file(&owner), 201).await["expiresAt"], NEVER);
    for kept in [answer(token(&owner, NEVER), 201).await, answer(token(&guest, &world.in_seconds(DAY)), 201).await] {
        let members: Vec<_> = kept.as_object().unwrap().keys().collect();
        assert_eq!(members, ["id", "createdAt"], "what is kept is not told");
    }
}

#[tokio::test]
async fn guests_that_may_store_nothing_are_refused_also_without_an_expiry() {
    let world = World::with(|config| as_guests(config).max_lifetime = Some(Duration::ZERO)).await;
    let guest = world.person(1).await;
    assert_eq!(refusal(guest.post("/Tokens", &body_of_token()), 400).await, "validation.invalidPropertyValue");
    assert_eq!(refusal(guest.upload(Upload::new(b"bytes")), 400).await, "validation.invalidPropertyValue");
}

#[tokio::test]
async fn unused_guests_that_own_nothing_are_removed_when_the_quota_is_nearly_used_up() {
    let world = World::with(|config| as_guests(config).client.identities = 3).await;
    let mut busy = world.person_with_datawallet(1).await;
    let owner = world.person_with_datawallet(2).await;
    owner.token(json!({ "content": "AAAA", "expiresAt": world.in_seconds(20 * DAY) })).await;
    let unused = world.person_with_datawallet(3).await;
    let body = world.identity_body(&signing_key(4), &challenge_text(&world.challenge().await));
    let late = || world.anonymous(Method::POST, "/Identities").json(&body);
    assert_eq!(refusal(late(), 400).await, "validation.device.clientReachedIdentitiesLimit");
    world.advance(24 * HOUR - 1);
    assert_eq!(world.backbone().admin().sweep().await.unwrap().identities, 0);
    busy.log_in(PASSWORD).await;
    world.advance(1);
    assert_eq!(world.backbone().admin().sweep().await.unwrap().identities, 1);
    world.person(4).await;
    let fields = login_fields(&unused.username);
    assert_eq!(world.login(&fields).await.0, StatusCode::BAD_REQUEST, "it is gone");
    for person in [&owner, &busy] {
        assert_eq!(world.login(&login_fields(&person.username)).await.0, StatusCode::OK);
    }
    // The same key may come back.
    world.advance(24 * HOUR);
    world.backbone().admin().sweep().await.unwrap();
    world.person_with_datawallet(3).await;
}

#[tokio::test]
async fn guests_that_stored_or_read_something_are_not_removed_early() {
    let world = World::with(|config| as_guests(config).client.identities = 3).await;
    let (reader, owner) = (world.person_with_datawallet(1).await, world.person(2).await);
    for _ in 0..4 {
        let token = owner.token(json!({ "content": "AAAA", "expiresAt": world.in_seconds(DAY / 2) })).await;
        answer(reader.get(&format!("/Tokens/{token}")), 200).await;
    }
    owner.second_device().await;
    world.person(3).await;
    world.advance(24 * HOUR);
    assert_eq!(world.backbone().admin().sweep().await.unwrap().identities, 1);
    for person in [&reader, &owner] {
        assert_eq!(world.login(&login_fields(&person.username)).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn guests_are_kept_for_a_month_while_the_quota_has_room() {
    let world = World::with(|config| _ = as_guests(config)).await;
    world.person(1).await;
    world.advance(30 * DAY - 1);
    assert_eq!(world.backbone().admin().sweep().await.unwrap().identities, 0);
    world.advance(1);
    assert_eq!(world.backbone().admin().sweep().await.unwrap().identities, 1);
}

#[tokio::test]
async fn challenges_of_a_device_have_a_quota_until_they_are_removed() {
    let world = World::with(|config| terms(config).identity.challenges = 2).await;
    let mut person = world.person(1).await;
    let ask = |person: &Person| person.post("/Challenges", &json!({}));
    for _ in 0..2 {
        answer(ask(&person), 201).await;
    }
    assert_eq!(refusal(ask(&person), 429).await, EXHAUSTED);
    world.challenge().await;
    world.advance(70 * 60);
    assert_eq!(world.backbone().admin().sweep().await.unwrap().records, 2 + 1, "and the use of an anonymous one");
    person.log_in(PASSWORD).await;
    answer(ask(&person), 201).await;
}

#[tokio::test]
async fn requests_without_a_login_have_rates_for_each_address() {
    let rate = Rate { burst: 3, interval: Duration::from_secs(HOUR) };
    let world = World::with(|config| {
        as_guests(config);
        let rates = &mut config.limits.rates;
        rates.loopback_factor = 1;
        (rates.challenges, rates.guest_identities) = (rate, Rate { burst: 1, ..rate });
        (rates.anonymous_tokens, rates.anonymous_reads) = (rate, rate);
    })
    .await;
    let person = world.person(1).await;
    for seed in [2, 3] {
        let body = world.identity_body(&signing_key(seed), &challenge_text(&world.challenge().await));
        assert_eq!(refusal(world.anonymous(Method::POST, "/Identities").json(&body), 429).await, "tooManyRequests");
    }
    let response = raw(world.anonymous(Method::POST, "/Challenges")).await;
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=HOUR).contains(&wait), "{wait}");
    answer(person.post("/Challenges", &json!({})), 201).await;

    let soon = world.in_seconds(60);
    let empty = statuses((0..5).map(|_| world.anonymous(Method::POST, "/Tokens").json(&json!({ "expiresAt": soon }))));
    assert_eq!(count(&empty.await, 429), 2);
    let token = person.token(json!({ "content": "AAAA", "expiresAt": soon })).await;
    let reads = statuses((0..5).map(|_| world.anonymous(Method::GET, &format!("/Tokens/{token}"))));
    assert_eq!(count(&reads.await, 429), 2);
    answer(person.get(&format!("/Tokens/{token}")), 200).await;
}

#[tokio::test]
async fn tokens_that_nobody_owns_are_limited_in_number_and_in_time() {
    let world = World::with(|config| config.limits.max_anonymous_tokens = 2).await;
    let person = world.person(1).await;
    let create = || world.anonymous(Method::POST, "/Tokens").json(&json!({ "expiresAt": world.in_seconds(240) }));
    let filled = text_of(&answer(create(), 201).await["id"]);
    answer(create(), 201).await;
    assert_eq!(refusal(create(), 429).await, EXHAUSTED);
    let fill = person.post(&format!("/Tokens/{filled}/UpdateContent"), &json!({ "newContent": "AAAA" }));
    answer(fill, 200).await;
    answer(create(), 201).await;
    assert_eq!(refusal(create(), 429).await, EXHAUSTED);
    world.advance(240 + HOUR);
    world.backbone().admin().sweep().await.unwrap();
    answer(create(), 201).await;
    let mut person = person;
    person.log_in(PASSWORD).await;
    answer(person.get(&format!("/Tokens/{filled}")), 200).await;
}

#[tokio::test]
async fn one_address_cannot_lock_a_token_with_wrong_passwords() {
    let world = World::new().await;
    let (creator, reader) = (world.person(1).await, world.person(2).await);
    let body = json!({ "content": "AAAA", "expiresAt": NEVER, "password": password("right") });
    let path = format!("/Tokens/{}", creator.token(body).await);
    let (right, wrong) = (with_password(&path, "right"), with_password(&path, "wrong"));
    answer(reader.get(&right), 200).await;
    let guesses = statuses((0..200).map(|_| world.anonymous(Method::GET, &wrong))).await;
    assert_eq!((count(&guesses, 404), count(&guesses, 429)), (10, 190));
    assert_eq!(refusal(world.anonymous(Method::GET, &right), 429).await, "tooManyRequests", "right or wrong");
    answer(reader.get(&path), 200).await;
    answer(creator.get(&path), 200).await;
    let other = json!({ "content": "AAAA", "expiresAt": NEVER, "password": password("right") });
    let other = format!("/Tokens/{}", creator.token(other).await);
    answer(world.anonymous(Method::GET, &with_password(&other, "right")), 200).await;
}

#[tokio::test]
async fn the_creator_of_a_token_unlocks_it() {
    let world = World::with(|config| config.limits.wrong_passwords = 0).await;
    let (creator, reader) = (world.person(1).await, world.person(2).await);
    let body = json!({ "content": "AAAA", "expiresAt": NEVER, "password": password("right") });
    let path = format!("/Tokens/{}", creator.token(body).await);
    let right = with_password(&path, "right");
    statuses((0..100).map(|_| world.anonymous(Method::GET, &with_password(&path, "wrong")))).await;
    assert_eq!(refusal(reader.get(&right), 400).await, "token.tooManyFailedPasswordAttempts");
    let reset = format!("{path}/ResetAccessFailedCount");
    assert_eq!(raw(world.anonymous(Method::POST, &reset)).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(refusal(reader.post(&reset, &json!({})), 403).await, "forbidden");
    assert_eq!(refusal(reader.get(&right), 400).await, "token.tooManyFailedPasswordAttempts");
    answer(creator.post(&reset, &json!({})), 204).await;
    answer(reader.get(&right), 200).await;
    let unknown = "/Tokens/TOKaaaaaaaaaaaaaaaa1/ResetAccessFailedCount";
    assert_eq!(refusal(creator.post(unknown, &json!({})), 404).await, "recordNotFound");
}
