//! Counted uses of tokens.
#![allow(clippy::unwrap_used)]

mod common;

use common::{NEVER, PASSWORD, Person, World, answer, password, raw, refusal, text_of, with_password};
use futures_util::future::join_all;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

const OWN: &str = "/api/enlace/v1";
const NOT_FOUND: &str = "recordNotFound";
const EXHAUSTED: &str = "token.exhausted";
const INVALID: &str = "validation.invalidPropertyValue";
const LEASE: u64 = 30 * 60;

fn claim(number: usize) -> String {
    format!("CLM{number:017}")
}

/// A token, as its paths have it.
struct Shared(String);

impl Shared {
    async fn new(creator: &Person, terms: &Value) -> Self {
        let mut body = json!({ "content": "AAAA", "expiresAt": NEVER });
        body.as_object_mut().unwrap().extend(terms.as_object().unwrap().clone());
        Self(text_of(&answer(creator.post(&format!("{OWN}/Tokens"), &body), 201).await["id"]))
    }

    fn own(&self, end: &str) -> String {
        format!("{OWN}/Tokens/{}{end}", self.0)
    }

    fn plain(&self) -> String {
        format!("/Tokens/{}", self.0)
    }

    fn claim(&self, number: usize) -> String {
        self.own(&format!("/Claims/{}", claim(number)))
    }

    fn read(&self, number: usize) -> String {
        self.own(&format!("?claim={}", claim(number)))
    }

    fn commit(&self, number: usize) -> String {
        format!("{}/Commit", self.claim(number))
    }

    async fn counts(&self, creator: &Person) -> (u64, u64) {
        let terms = answer(creator.get(&self.own("/Terms")), 200).await;
        (terms["committedUses"].as_u64().unwrap(), terms["leasedUses"].as_u64().unwrap())
    }
}

async fn leased(world: &World, token: &Shared, number: usize) -> Value {
    answer(world.anonymous(Method::PUT, &token.claim(number)).json(&json!({})), 200).await
}

fn post(world: &World, path: &str) -> RequestBuilder {
    world.anonymous(Method::POST, path)
}

#[tokio::test]
async fn a_backbone_says_that_it_counts() {
    let world = World::new().await;
    let services = answer(world.anonymous(Method::GET, &format!("{OWN}/TokenServices")), 200).await;
    assert_eq!(services, json!({ "claims": true, "terms": true, "leaseSeconds": 1800, "maxUses": 1_000_000 }));
}

#[tokio::test]
async fn a_claim_is_leased_read_and_committed_as_one_use() {
    let world = World::new().await;
    let creator = world.person(1).await;
    let token = Shared::new(&creator, &json!({ "maxUses": 2 })).await;
    let lease = leased(&world, &token, 1).await;
    let end = world.in_seconds(LEASE);
    assert_eq!(lease, json!({ "id": claim(1), "leaseEndsAt": end, "remaining": 1 }));
    assert_eq!(token.counts(&creator).await, (0, 1));
    for _ in 0..3 {
        let read = answer(world.anonymous(Method::GET, &token.read(1)), 200).await;
        assert_eq!((&read["id"], &read["content"]), (&json!(token.0), &json!("AAAA")));
        assert_eq!(leased(&world, &token, 1).await["remaining"], 1);
    }
    for _ in 0..2 {
        answer(post(&world, &token.commit(1)), 204).await;
        assert_eq!(token.counts(&creator).await, (1, 0));
    }
    // After a lost answer it goes on under the same claim.
    answer(world.anonymous(Method::GET, &token.read(1)), 200).await;
    assert_eq!(leased(&world, &token, 1).await["remaining"], 1);
    let terms = answer(creator.get(&token.own("/Terms")), 200).await;
    assert_eq!((&terms["lastReadAt"], &terms["maxUses"]), (&json!(world.in_seconds(0)), &json!(2)));
}

#[tokio::test]
async fn of_64_parallel_claimants_on_one_use_exactly_one_gets_it() {
    let world = World::with(|config| config.limits.rates.loopback_factor = 1000).await;
    let creator = world.person(1).await;
    for by_reading in [true, false] {
        let token = Shared::new(&creator, &json!({ "maxUses": 1 })).await;
        let asked = (0..64).map(|number| {
            let request = match by_reading {
                true => world.anonymous(Method::GET, &token.read(number)),
                false => world.anonymous(Method::PUT, &token.claim(number)).json(&json!({})),
            };
            async move { (request.send().await.unwrap().status().as_u16(), number) }
        });
        let answers = join_all(asked).await;
        let granted: Vec<_> = answers.iter().filter(|(status, _)| *status == 200).collect();
        assert_eq!(granted.len(), 1);
        assert_eq!(answers.iter().filter(|(status, _)| *status == 409).count(), 63);
        answer(post(&world, &token.commit(granted[0].1)), 204).await;
        assert_eq!(token.counts(&creator).await, (1, 0));
    }
}

#[tokio::test]
async fn of_64_parallel_reads_of_the_published_protocol_exactly_one_is_answered() {
    let world = World::with(|config| config.limits.rates.loopback_factor = 1000).await;
    let creator = world.person(1).await;
    let token = Shared::new(&creator, &json!({ "maxUses": 1 })).await;
    let asked = (0..64).map(|_| async { raw(world.anonymous(Method::GET, &token.plain())).await.status().as_u16() });
    let answers = join_all(asked).await;
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1);
    assert_eq!(answers.iter().filter(|status| **status == 404).count(), 63);
    assert_eq!(token.counts(&creator).await, (1, 0));
}

#[tokio::test]
async fn claims_run_in_parallel_up_to_the_limit() {
    let world = World::new().await;
    let creator = world.person(1).await;
    let token = Shared::new(&creator, &json!({ "maxUses": 3 })).await;
    for number in 1..=3 {
        assert_eq!(leased(&world, &token, number).await["remaining"], 3 - number);
    }
    let refused = |path: &str| world.anonymous(Method::PUT, path).json(&json!({}));
    assert_eq!(refusal(refused(&token.claim(4)), 409).await, EXHAUSTED);
    assert_eq!(refusal(world.anonymous(Method::GET, &token.read(4)), 409).await, EXHAUSTED);
    // One that is given back without content is free.
    answer(world.anonymous(Method::DELETE, &token.claim(2)), 204).await;
    assert_eq!(refusal(world.anonymous(Method::DELETE, &token.claim(2)), 404).await, NOT_FOUND);
    assert_eq!(leased(&world, &token, 4).await["remaining"], 0);
    // One under which content was sent is not.
    answer(world.anonymous(Method::GET, &token.read(4)), 200).await;
    answer(world.anonymous(Method::DELETE, &token.claim(4)), 204).await;
    assert_eq!(token.counts(&creator).await, (1, 2));
    assert_eq!(refusal(refused(&token.claim(5)), 409).await, EXHAUSTED);
}

#[tokio::test]
async fn a_lease_that_is_over_is_free_without_content_and_counts_with_it() {
    let mut world = World::new().await;
    let mut creator = world.person(1).await;
    let token = Shared::new(&creator, &json!({ "maxUses": 2 })).await;
    leased(&world, &token, 1).await;
    answer(world.anonymous(Method::GET, &token.read(2)), 200).await;
    world.advance(LEASE - 1);
    // Reading renews.
    answer(world.anonymous(Method::GET, &token.read(2)), 200).await;
    world.advance(1);
    creator.log_in(PASSWORD).await;
    assert_eq!(token.counts(&creator).await, (0, 1));
    assert_eq!(refusal(post(&world, &token.commit(1)), 404).await, NOT_FOUND);
    world.advance(LEASE);
    world.restart().await;
    creator = world.same_person(creator);
    creator.log_in(PASSWORD).await;
    assert_eq!(token.counts(&creator).await, (1, 0));
    answer(post(&world, &token.commit(2)), 204).await;
    assert_eq!(token.counts(&creator).await, (1, 0));
}

#[tokio::test]
async fn strict_uses_count_as_soon_as_they_are_leased() {
    let world = World::new().await;
    let creator = world.person(1).await;
    let token = Shared::new(&creator, &json!({ "maxUses": 1, "strictUses": true })).await;
    leased(&world, &token, 1).await;
    answer(world.anonymous(Method::DELETE, &token.claim(1)), 204).await;
    assert_eq!(token.counts(&creator).await, (1, 0));
    let other = world.anonymous(Method::PUT, &token.claim(2)).json(&json!({}));
    assert_eq!(refusal(other, 409).await, EXHAUSTED);
}

/// What published clients see.
#[tokio::test]
async fn a_read_of_the_published_protocol_is_one_use_but_not_for_those_who_read_before() {
    let world = World::new().await;
    let (creator, reader, other) = (world.person(1).await, world.person(2).await, world.person(3).await);
    let token = Shared::new(&creator, &json!({ "maxUses": 2 })).await;
    for _ in 0..3 {
        answer(creator.get(&token.plain()), 200).await;
    }
    assert_eq!(token.counts(&creator).await, (0, 0));
    for _ in 0..3 {
        let read = answer(reader.get(&token.plain()), 200).await;
        assert_eq!(read["content"], "AAAA");
        assert_eq!(token.counts(&creator).await, (1, 0));
    }
    answer(world.anonymous(Method::GET, &token.plain()), 200).await;
    for request in [world.anonymous(Method::GET, &token.plain()), other.get(&token.plain())] {
        assert_eq!(refusal(request, 404).await, NOT_FOUND, "for them it looks like an unknown one");
    }
    answer(reader.get(&token.plain()), 200).await;
    let list = answer(other.get(&format!("/Tokens?ids={}", token.0)), 200).await;
    assert_eq!(list, json!([]), "the refused read left no allocation");
    assert_eq!(token.counts(&creator).await, (2, 0));
}

#[tokio::test]
async fn looking_never_counts_and_admits_nobody() {
    let world = World::new().await;
    let (creator, reader) = (world.person(1).await, world.person(2).await);
    let token = Shared::new(&creator, &json!({ "maxUses": 1 })).await;
    let look = |person: &Person, path: &str| person.request(Method::HEAD, path);
    for path in [token.plain(), token.read(1), token.own("")] {
        let answered = raw(look(&reader, &path)).await;
        assert_eq!(answered.status(), 200);
        assert_eq!(answered.bytes().await.unwrap().len(), 0);
        assert_eq!(raw(world.anonymous(Method::HEAD, &path)).await.status(), 200);
    }
    answer(world.anonymous(Method::OPTIONS, &token.plain()), 405).await;
    assert_eq!(raw(world.anonymous(Method::GET, &format!("/r/{}", token.0))).await.status(), 200);
    assert_eq!(token.counts(&creator).await, (0, 0));
    answer(world.anonymous(Method::GET, &token.plain()), 200).await;
    // Who only looked has read nothing, so there is nothing left for it.
    assert_eq!(refusal(reader.get(&token.plain()), 404).await, NOT_FOUND);
    assert_eq!(raw(look(&reader, &token.plain())).await.status(), 404);
    // A password cannot be guessed by looking.
    let token = Shared::new(&creator, &json!({ "maxUses": 1, "password": password("right") })).await;
    let wrong = with_password(&token.plain(), "wrong");
    assert_eq!(raw(world.anonymous(Method::HEAD, &wrong)).await.status(), 404);
    assert_eq!(raw(look(&reader, &with_password(&token.plain(), "right"))).await.status(), 200);
    assert_eq!(refusal(reader.get(&token.plain()), 404).await, NOT_FOUND);
    let terms = answer(creator.get(&token.own("/Terms")), 200).await;
    assert_eq!((&terms["failedAttempts"], &terms["committedUses"]), (&json!(2), &json!(0)));
}

#[tokio::test]
async fn who_may_not_read_a_token_may_not_claim_it() {
    let world = World::with(|config| config.limits.wrong_passwords = 0).await;
    let (creator, reader, other) = (world.person(1).await, world.person(2).await, world.person(3).await);
    let terms = json!({ "maxUses": 1, "forIdentity": reader.address, "password": password("right") });
    let token = Shared::new(&creator, &terms).await;
    let right = json!({ "password": password("right") });
    let unknown = format!("{OWN}/Tokens/TOKaaaaaaaaaaaaaaaaa");
    for request in [
        other.put(&token.claim(1), &right),
        world.anonymous(Method::PUT, &token.claim(1)).json(&right),
        reader.put(&token.claim(1), &json!({})),
        reader.put(&token.claim(1), &json!({ "password": password("wrong") })),
        reader.put(&format!("{unknown}/Claims/{}", claim(1)), &right),
        other.get(&token.read(1)),
        reader.get(&format!("{unknown}?claim={}", claim(1))),
        reader.request(Method::POST, &token.commit(1)),
        reader.delete(&token.claim(1)),
        other.get(&token.own("/Terms")),
    ] {
        assert_eq!(refusal(request, 404).await, NOT_FOUND);
    }
    assert_eq!(token.counts(&creator).await, (0, 0));
    answer(reader.put(&token.claim(1), &right), 200).await;
    // The lease alone admits nobody.
    assert_eq!(refusal(reader.get(&token.read(1)), 404).await, NOT_FOUND);
    let encoded = with_password("", "right").replace('?', "&");
    answer(reader.get(&format!("{}{encoded}", token.read(1))), 200).await;
    answer(reader.get(&token.read(1)), 200).await;
    assert_eq!(refusal(reader.put(&token.claim(2), &json!({})), 409).await, EXHAUSTED);
    // For all others it looks like an unknown one still.
    assert_eq!(refusal(other.put(&token.claim(3), &right), 404).await, NOT_FOUND);
    assert_eq!(refusal(world.anonymous(Method::PUT, &token.claim(3)).json(&right), 404).await, NOT_FOUND);
    for _ in 0..100 {
        other.put(&token.claim(4), &json!({})).send().await.unwrap();
    }
    assert_eq!(token.counts(&creator).await, (0, 1));
}

#[tokio::test]
async fn wrong_passwords_of_claims_lock_a_token() {
    let world = World::with(|config| config.limits.wrong_passwords = 0).await;
    let creator = world.person(1).await;
    let token = Shared::new(&creator, &json!({ "maxUses": 1, "password": password("right") })).await;
    let wrong = json!({ "password": password("wrong") });
    let guess = |number| world.anonymous(Method::PUT, &token.claim(number)).json(&wrong);
    for number in 0..99 {
        assert_eq!(refusal(guess(number), 404).await, NOT_FOUND);
    }
    assert_eq!(refusal(guess(99), 400).await, "token.tooManyFailedPasswordAttempts");
    let terms = answer(creator.get(&token.own("/Terms")), 200).await;
    assert_eq!((&terms["failedAttempts"], &terms["isLocked"]), (&json!(100), &json!(true)));
}

#[tokio::test]
async fn a_creator_claims_for_those_whom_it_serves() {
    let world = World::new().await;
    let creator = world.person(1).await;
    let token = Shared::new(&creator, &json!({ "maxUses": 1 })).await;
    answer(creator.put(&token.claim(1), &json!({})), 200).await;
    answer(creator.get(&token.read(1)), 200).await;
    assert_eq!(refusal(creator.put(&token.claim(2), &json!({})), 409).await, EXHAUSTED);
    answer(creator.request(Method::POST, &token.commit(1)), 204).await;
    assert_eq!(token.counts(&creator).await, (1, 0));
}

#[tokio::test]
async fn a_token_without_limit_remembers_claims() {
    let world = World::new().await;
    let (creator, reader) = (world.person(1).await, world.person(2).await);
    let token = Shared(creator.token(json!({ "content": "AAAA", "expiresAt": NEVER })).await);
    assert_eq!(answer(reader.put(&token.claim(1), &json!({})), 200).await["remaining"], Value::Null);
    answer(reader.get(&token.read(1)), 200).await;
    answer(reader.request(Method::POST, &token.commit(1)), 204).await;
    answer(world.anonymous(Method::GET, &token.plain()), 200).await;
    assert_eq!(token.counts(&creator).await, (1, 0));
    answer(creator.delete(&token.plain()), 204).await;
    assert_eq!(refusal(reader.get(&token.read(1)), 404).await, NOT_FOUND);
}

#[tokio::test]
async fn a_token_without_limit_remembers_the_latest_claims_only() {
    let world = World::new().await;
    let (creator, reader) = (world.person(1).await, world.person(2).await);
    let token = Shared(creator.token(json!({ "content": "AAAA", "expiresAt": NEVER })).await);
    let most = transport::access::MAX_CLAIMS_WITHOUT_LIMIT;
    for number in 0..most {
        answer(reader.put(&token.claim(number), &json!({})), 200).await;
    }
    assert_eq!(token.counts(&creator).await, (0, 16));
    answer(reader.put(&token.claim(0), &json!({})), 200).await;
    answer(reader.put(&token.claim(most), &json!({})), 200).await;
    assert_eq!(token.counts(&creator).await, (0, 16));
    assert_eq!(refusal(reader.request(Method::POST, &token.commit(0)), 404).await, NOT_FOUND);
    answer(reader.request(Method::POST, &token.commit(1)), 204).await;
}

/// They are stored, so a login alone does not allow any number of them.
#[tokio::test]
async fn claims_of_others_have_a_rate_for_each_identity() {
    let rate = backbone_mock::Rate { burst: 3, interval: std::time::Duration::from_secs(3600) };
    let world = World::with(|config| {
        (config.limits.rates.anonymous_reads, config.limits.rates.loopback_factor) = (rate, 1);
    })
    .await;
    let (creator, reader, other) = (world.person(1).await, world.person(2).await, world.person(3).await);
    let token = Shared::new(&creator, &json!({ "maxUses": 100 })).await;
    let unknown = format!("{OWN}/Tokens/TOKaaaaaaaaaaaaaaaaa/Claims/{}", claim(1));
    for _ in 0..5 {
        assert_eq!(refusal(reader.put(&unknown, &json!({})), 404).await, NOT_FOUND);
    }
    for number in 1..=2 {
        answer(reader.put(&token.claim(number), &json!({})), 200).await;
    }
    answer(reader.get(&token.read(3)), 200).await;
    assert_eq!(refusal(reader.put(&token.claim(4), &json!({})), 429).await, "tooManyRequests");
    assert_eq!(refusal(reader.get(&token.read(4)), 429).await, "tooManyRequests");
    assert_eq!(token.counts(&creator).await, (0, 3));
    // Neither other requests nor other senders are affected.
    answer(reader.get(&token.plain()), 200).await;
    answer(reader.request(Method::POST, &token.commit(3)), 204).await;
    answer(other.put(&token.claim(5), &json!({})), 200).await;
    for number in 6..12 {
        answer(creator.put(&token.claim(number), &json!({})), 200).await;
    }
}

#[tokio::test]
async fn claiming_again_does_not_hold_a_use_that_is_not_read() {
    let world = World::new().await;
    let mut creator = world.person(1).await;
    let token = Shared::new(&creator, &json!({ "maxUses": 1 })).await;
    let end = leased(&world, &token, 1).await["leaseEndsAt"].clone();
    world.advance(LEASE - 1);
    assert_eq!(leased(&world, &token, 1).await["leaseEndsAt"], end);
    world.advance(1);
    creator.log_in(PASSWORD).await;
    assert_eq!(token.counts(&creator).await, (0, 0));
    assert_eq!(leased(&world, &token, 2).await["remaining"], 0);
}

#[tokio::test]
async fn a_use_can_be_committed_after_the_expiry_but_not_begun() {
    let world = World::new().await;
    let mut creator = world.person(1).await;
    let terms = json!({ "maxUses": 2, "expiresAt": world.in_seconds(600) });
    let token = Shared::new(&creator, &terms).await;
    answer(world.anonymous(Method::GET, &token.read(1)), 200).await;
    world.advance(600);
    assert_eq!(refusal(world.anonymous(Method::GET, &token.read(1)), 404).await, NOT_FOUND);
    assert_eq!(refusal(world.anonymous(Method::GET, &token.read(2)), 404).await, NOT_FOUND);
    answer(post(&world, &token.commit(1)), 204).await;
    creator.log_in(PASSWORD).await;
    assert_eq!(token.counts(&creator).await, (1, 0));
}

#[tokio::test]
async fn bad_claims_are_refused() {
    let world = World::new().await;
    let creator = world.person(1).await;
    let token = Shared::new(&creator, &json!({ "maxUses": 1 })).await;
    for end in ["CLM", "TOKaaaaaaaaaaaaaaaaa", "CLMaaaaaaaaaaaaaaaa%2f", "CLMaaaaaaaaaaaaaaaaaa"] {
        let path = token.own(&format!("/Claims/{end}"));
        assert_eq!(refusal(creator.put(&path, &json!({})), 400).await, INVALID, "{end}");
        let path = token.own(&format!("?claim={end}"));
        assert_eq!(refusal(creator.get(&path), 400).await, INVALID, "{end}");
    }
    for path in [token.own(""), token.own("?claim=")] {
        assert_eq!(refusal(creator.get(&path), 400).await, INVALID, "{path}");
    }
    assert_eq!(refusal(creator.put(&token.claim(1), &json!({ "password": "" })), 400).await, INVALID);
    assert_eq!(refusal(creator.put(&token.claim(1), &json!([])), 400).await, "inputCannotBeParsed");
    assert_eq!(token.counts(&creator).await, (0, 0));
}

/// A reader without room for an allocation gets its use, which counts, and another one the next time.
#[tokio::test]
async fn a_reader_without_room_for_an_allocation_is_counted_all_the_same() {
    let world = World::with(|config| {
        let mut guests = backbone_mock::OAuthClient::guest("guest", "guest");
        guests.terms.identity.other_bytes = 0;
        config.clients.push(guests);
    })
    .await;
    let creator = world.person(1).await;
    let guest = world.person_of(2, "guest", "guest").await;
    let token = Shared::new(&creator, &json!({ "maxUses": 3 })).await;
    answer(guest.get(&token.plain()), 200).await;
    answer(guest.get(&token.read(1)), 200).await;
    answer(guest.get(&token.plain()), 200).await;
    assert_eq!(token.counts(&creator).await, (2, 1));
    assert_eq!(refusal(guest.get(&token.plain()), 404).await, NOT_FOUND);
}

#[tokio::test]
async fn a_token_without_login_needs_one_for_terms() {
    let world = World::new().await;
    let body = json!({ "expiresAt": world.in_seconds(60), "maxUses": 1 });
    answer(post(&world, &format!("{OWN}/Tokens")).json(&body), 401).await;
    let token = format!("{OWN}/Tokens/TOKaaaaaaaaaaaaaaaaa");
    answer(world.anonymous(Method::GET, &format!("{token}/Terms")), 401).await;
    answer(world.anonymous(Method::PATCH, &format!("{token}/Terms")).json(&json!({})), 401).await;
    answer(post(&world, &format!("{token}/Revoke")), 401).await;
}
