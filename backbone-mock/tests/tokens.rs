//! Tokens.
#![allow(clippy::unwrap_used)]

mod common;

use common::{NEVER, PASSWORD, Person, World, answer, password, refusal, text_of, with_password};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

const LOCKED: &str = "token.tooManyFailedPasswordAttempts";
const INVALID: &str = "validation.invalidPropertyValue";

/// C9. The same table is run over nodes that serve their own tokens.
#[tokio::test]
async fn who_may_read_a_token() {
    let table: Value = serde_json::from_str(include_str!("../../transport/tests/vectors/token-access.json")).unwrap();
    let cases = table["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 10);
    for case in cases {
        let allowed = case["wrongPasswordsPerSender"].as_u64().unwrap_or_default();
        let world = World::with(|config| config.limits.wrong_passwords = allowed.try_into().unwrap()).await;
        let mut people = [world.person(1).await, world.person(2).await, world.person(3).await];
        let is_set = |name: &str| case[name].as_bool().unwrap_or_default();
        let body = json!({
            "content": "AAAA",
            "expiresAt": world.in_seconds(600),
            "forIdentity": is_set("isForReader").then(|| people[1].address.clone()),
            "password": is_set("hasPassword").then(|| password("right")),
        });
        let path = format!("/Tokens/{}", people[0].token(body).await);
        for (number, attempt) in case["attempts"].as_array().unwrap().iter().enumerate() {
            if attempt["expire"].as_bool().unwrap_or_default() {
                world.advance(600);
                for person in &mut people {
                    person.log_in(PASSWORD).await;
                }
                continue;
            }
            let address = attempt["password"].as_str().map_or(path.clone(), |word| with_password(&path, word));
            for _ in 0..attempt["times"].as_u64().unwrap_or(1) {
                let asked = match attempt["by"].as_str().unwrap() {
                    "creator" => people[0].get(&address),
                    "reader" => people[1].get(&address),
                    "other" => people[2].get(&address),
                    _ => world.anonymous(Method::GET, &address),
                };
                let outcome = match asked.send().await.unwrap().status().as_u16() {
                    200 => "granted",
                    404 => "notFound",
                    400 => "locked",
                    429 => "tooMany",
                    status => panic!("{status}"),
                };
                assert_eq!(attempt["outcome"], outcome, "{}: attempt {number}", case["name"]);
            }
        }
    }
}

async fn expect(person: &Person, path: &str, status: u16) {
    let response = person.get(path).send().await.unwrap();
    assert_eq!(response.status(), status, "{path}");
}

#[tokio::test]
async fn a_token_that_its_creator_deletes_is_gone_for_everybody() {
    let world = World::new().await;
    let (creator, reader) = (world.person(1).await, world.person(2).await);
    let path = format!("/Tokens/{}", creator.token(json!({ "content": "AAAA", "expiresAt": NEVER })).await);
    expect(&reader, &path, 200).await;
    answer(creator.delete(&path), 204).await;
    expect(&creator, &path, 404).await;
    expect(&reader, &path, 404).await;
}

/// C10.
#[tokio::test]
async fn a_hundred_parallel_wrong_passwords_lock_once_and_none_is_lost() {
    let world = World::with(|config| config.limits.wrong_passwords = 0).await;
    let creator = world.person_with_datawallet(1).await;
    let reader = world.person(2).await;
    let body = json!({ "content": "AAAA", "expiresAt": NEVER, "password": password("right") });
    let token = creator.token(body).await;
    let path = format!("/Tokens/{token}");
    let wrong = with_password(&path, "wrong");
    let statuses = join_all((0..100).map(|_| async { reader.get(&wrong).send().await.unwrap().status().as_u16() }));
    let statuses = statuses.await;
    assert_eq!(statuses.iter().filter(|status| **status == 404).count(), 99);
    assert_eq!(statuses.iter().filter(|status| **status == 400).count(), 1);
    assert_eq!(refusal(reader.get(&with_password(&path, "right")), 400).await, LOCKED);
    assert_eq!(refusal(world.anonymous(Method::GET, &path), 400).await, LOCKED);
    expect(&creator, &path, 200).await;

    let run = creator.start_run("ExternalEventSync").await;
    assert_eq!(run["eventCount"], 1);
    let events = answer(creator.get(&format!("/SyncRuns/{}/ExternalEvents", text_of(&run["id"]))), 200).await;
    assert_eq!((&events[0]["type"], &events[0]["payload"]), (&json!("TokenLocked"), &json!({ "tokenId": token })));

    assert!(world.backbone().admin().reset_token_access_failed_count(&token.parse().unwrap()).await.unwrap());
    expect(&reader, &with_password(&path, "right"), 200).await;
}

/// Q16: the lock and its reset are durable.
#[tokio::test]
async fn failed_attempts_survive_a_restart() {
    let mut world = World::with(|config| config.limits.wrong_passwords = 0).await;
    let creator = world.person(1).await;
    let body = json!({ "content": "AAAA", "expiresAt": NEVER, "password": password("right") });
    let path = format!("/Tokens/{}", creator.token(body).await);
    let wrong = with_password(&path, "wrong");
    for _ in 0..99 {
        refusal(world.anonymous(Method::GET, &wrong), 404).await;
    }
    world.restart().await;
    assert_eq!(refusal(world.anonymous(Method::GET, &wrong), 400).await, LOCKED);
}

/// C11.
#[tokio::test]
async fn without_a_login_a_token_is_empty_and_short_lived() {
    let world = World::new().await;
    let create = |body: Value| world.anonymous(Method::POST, "/Tokens").json(&body);
    let soon = world.in_seconds(299);
    answer(create(json!({ "expiresAt": soon })), 201).await;
    answer(create(json!({ "expiresAt": soon, "content": null, "password": password("x") })), 201).await;
    for body in [
        json!({ "expiresAt": soon, "content": "AAAA" }),
        json!({ "expiresAt": soon, "content": "" }),
        json!({ "expiresAt": world.in_seconds(300) }),
        json!({ "expiresAt": world.in_seconds(360) }),
    ] {
        assert_eq!(refusal(create(body), 400).await, INVALID);
    }
}

/// C12.
#[tokio::test]
async fn an_empty_token_is_filled_once_and_its_filler_becomes_the_creator() {
    let world = World::new().await;
    let mut filler = world.person(1).await;
    let body = json!({ "expiresAt": world.in_seconds(280), "password": password("right") });
    let created = answer(world.anonymous(Method::POST, "/Tokens").json(&body), 201).await;
    let path = format!("/Tokens/{}", text_of(&created["id"]));
    let poll = answer(world.anonymous(Method::GET, &path), 200).await;
    assert_eq!((&poll["content"], &poll["createdBy"]), (&Value::Null, &Value::Null));

    let update = |word: &str| {
        let body = json!({ "id": "ignored", "newContent": "AAAA", "password": password(word) });
        filler.post(&format!("{path}/UpdateContent"), &body)
    };
    refusal(update("wrong"), 404).await;
    let (first, second) = tokio::join!(update("right").send(), update("right").send());
    let mut statuses = [first.unwrap().status().as_u16(), second.unwrap().status().as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
    let exists = "token.contentUpdateNotPossibleBecauseContentAlreadyExists";
    assert_eq!(refusal(update("right"), 400).await, exists);

    refusal(world.anonymous(Method::GET, &path), 404).await;
    let filled = answer(world.anonymous(Method::GET, &with_password(&path, "right")), 200).await;
    assert_eq!((&filled["content"], &filled["createdBy"]), (&json!("AAAA"), &json!(filler.address)));
    world.advance(280);
    refusal(world.anonymous(Method::GET, &with_password(&path, "right")), 404).await;
    filler.log_in(PASSWORD).await;
    expect(&filler, &path, 200).await;
}

#[tokio::test]
async fn an_update_answers_the_token_without_its_content() {
    let world = World::new().await;
    let person = world.person(1).await;
    let token = person.token(json!({ "expiresAt": NEVER })).await;
    let updated = answer(person.post(&format!("/Tokens/{token}/UpdateContent"), &json!({ "newContent": "AA" })), 200);
    let updated = updated.await;
    assert!(updated.get("content").is_none());
    assert_eq!((&updated["id"], &updated["createdByDevice"]), (&json!(token), &json!(person.device)));
    let other = person.token(json!({ "expiresAt": NEVER })).await;
    let empty = person.post(&format!("/Tokens/{other}/UpdateContent"), &json!({ "newContent": "" }));
    assert_eq!(refusal(empty, 400).await, INVALID);
}

/// C45.
#[tokio::test]
async fn a_date_that_means_never_stays_and_is_never_swept() {
    let world = World::new().await;
    let person = world.person(1).await;
    let token = person.token(json!({ "content": "AAAA", "expiresAt": NEVER })).await;
    world.backbone().admin().sweep().await.unwrap();
    let shown = answer(world.anonymous(Method::GET, &format!("/Tokens/{token}")), 200).await;
    assert_eq!(shown["expiresAt"], NEVER);
}

#[tokio::test]
async fn tokens_are_swept_thirty_days_after_their_expiry() {
    let world = World::new().await;
    let mut person = world.person(1).await;
    let token = person.token(json!({ "content": "A".repeat(40_000), "expiresAt": world.in_seconds(60) })).await;
    let path = format!("/Tokens/{token}");
    let days = |days: u64| days * 24 * 60 * 60;
    world.advance(days(30));
    world.backbone().admin().sweep().await.unwrap();
    person.log_in(PASSWORD).await;
    expect(&person, &path, 200).await;
    world.advance(61);
    let swept = world.backbone().admin().sweep().await.unwrap();
    assert!(swept.records >= 1, "{swept:?}");
    expect(&person, &path, 404).await;
    assert_eq!(world.backbone().admin().sweep().await.unwrap().records, 0);
}

/// C50.
#[tokio::test]
async fn parallel_first_reads_by_one_identity_all_succeed() {
    let world = World::new().await;
    let (creator, reader) = (world.person(1).await, world.person(2).await);
    let body = json!({ "content": "AAAA", "expiresAt": NEVER, "password": password("right") });
    let path = format!("/Tokens/{}", creator.token(body).await);
    let right = with_password(&path, "right");
    let statuses = join_all((0..8).map(|_| async { reader.get(&right).send().await.unwrap().status() })).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    expect(&reader, &path, 200).await;
}

#[tokio::test]
async fn each_broken_field_of_a_new_token_is_refused() {
    let world = World::new().await;
    let person = world.person(1).await;
    let good = json!({ "content": "AAAA", "expiresAt": NEVER });
    let cases = [
        ("expiresAt", json!(world.now().to_string()), INVALID),
        ("expiresAt", json!("tomorrow"), "inputCannotBeParsed"),
        ("expiresAt", Value::Null, "inputCannotBeParsed"),
        ("forIdentity", json!("did:e:bb.example.org:dids:c5b454f4a8133c3d2cf2ee"), INVALID),
        ("forIdentity", json!("did:e:127.0.0.1:dids:c5b454f4a8133c3d2cf2ef"), INVALID),
        ("forIdentity", json!("somebody"), INVALID),
        ("password", json!(""), INVALID),
        ("password", json!("A".repeat(268)), INVALID),
        ("password", json!("a+b_"), "inputCannotBeParsed"),
        ("content", json!("A=A"), "inputCannotBeParsed"),
        ("content", json!(7), "inputCannotBeParsed"),
        ("content", json!("AAAA".repeat(10 * 1024 * 1024 / 3 + 1)), INVALID),
    ];
    for (member, value, code) in cases {
        let mut body = good.clone();
        body[member] = value;
        assert_eq!(refusal(person.post("/Tokens", &body), 400).await, code, "{member}");
    }
    answer(person.post("/Tokens", &json!({ "content": "", "expiresAt": NEVER })), 201).await;
}

#[tokio::test]
async fn large_contents_come_back_as_they_were_sent() {
    let world = World::new().await;
    let person = world.person(1).await;
    let content = "AbCd".repeat(500_000);
    let token = person.token(json!({ "content": content, "expiresAt": NEVER })).await;
    assert_eq!(answer(person.get(&format!("/Tokens/{token}")), 200).await["content"], json!(content));
    answer(person.delete(&format!("/Tokens/{token}")), 204).await;
    assert_eq!(world.backbone().admin().sweep().await.unwrap().orphans, 0);
}

#[tokio::test]
async fn malformed_ids_and_passwords_in_the_address_are_bad_requests() {
    let world = World::new().await;
    let person = world.person(1).await;
    for id in ["TOKshort", "FILaaaaaaaaaaaaaaaa1", "tokaaaaaaaaaaaaaaaa1", "TOKaaaaaaaaaaaaaaa-1"] {
        assert_eq!(refusal(person.get(&format!("/Tokens/{id}")), 400).await, INVALID, "{id}");
    }
    let path = "/Tokens/TOKaaaaaaaaaaaaaaaa1";
    refusal(person.get(path), 404).await;
    let long = "A".repeat(268);
    assert_eq!(refusal(person.get(&format!("{path}?password={long}")), 400).await, INVALID);
    assert_eq!(refusal(person.get(&format!("{path}?password=a.b")), 400).await, "inputCannotBeParsed");
    refusal(person.get(&format!("{path}?password=")), 404).await;
}

#[tokio::test]
async fn only_the_creator_deletes_a_token() {
    let world = World::new().await;
    let (creator, stranger) = (world.person(1).await, world.person(2).await);
    let path = format!("/Tokens/{}", creator.token(json!({ "content": "AAAA", "expiresAt": NEVER })).await);
    assert_eq!(refusal(stranger.delete(&path), 403).await, "forbidden");
    answer(creator.delete(&path), 204).await;
    refusal(creator.delete(&path), 404).await;
    let body = json!({ "expiresAt": world.in_seconds(60) });
    let anonymous = answer(world.anonymous(Method::POST, "/Tokens").json(&body), 201).await;
    let path = format!("/Tokens/{}", text_of(&anonymous["id"]));
    refusal(creator.delete(&path), 403).await;
}

/// 6.3: both ways to name tokens, and what is left out of the list.
#[tokio::test]
async fn lists_hold_own_and_allocated_tokens_only() {
    let world = World::new().await;
    let (one, two) = (world.person(1).await, world.person(2).await);
    let own = two.token(json!({ "content": "AAAA", "expiresAt": NEVER })).await;
    let read = one.token(json!({ "content": "AAAA", "expiresAt": NEVER })).await;
    let unread = one.token(json!({ "content": "AAAA", "expiresAt": NEVER })).await;
    expect(&two, &format!("/Tokens/{read}"), 200).await;
    let unknown = "TOKunknown0000000001";
    for query in [
        format!("ids={own}&ids={read}&ids={unread}&ids={unknown}&ids={own}"),
        format!("tokens.0.id={own}&tokens.1.id={read}&tokens.1.password=kBT%2B&tokens.2.id={unread}&tokens.3.id={own}"),
    ] {
        for prefix in ["/api/v1/Tokens", "/api/v2/Tokens"] {
            let list = answer(two.get(&format!("{prefix}?{query}")), 200).await;
            let mut ids: Vec<String> = list.as_array().unwrap().iter().map(|token| text_of(&token["id"])).collect();
            let mut expected = [own.clone(), read.clone()];
            ids.sort();
            expected.sort();
            assert_eq!(ids, expected, "{query}");
        }
    }
    assert_eq!(refusal(two.get("/Tokens"), 400).await, INVALID);
    assert_eq!(refusal(two.get("/Tokens?ids=x"), 400).await, INVALID);
    // Listing does not allocate.
    let list = answer(two.get(&format!("/Tokens?ids={unread}")), 200).await;
    assert_eq!(list, json!([]));
}

#[tokio::test]
async fn without_a_login_a_body_has_to_be_small() {
    let world = World::new().await;
    let body = json!({ "expiresAt": world.in_seconds(60), "comment": "x".repeat(64 * 1024) });
    assert_eq!(refusal(world.anonymous(Method::POST, "/Tokens").json(&body), 400).await, "requestBodyTooLarge");
    world.person(1).await.token(body).await;
}
