//! Who may load a token, and attempts that count.

use futures_util::FutureExt as _;

use super::*;

/// The same table is run over the backbone, in its tests.
#[tokio::test(flavor = "multi_thread")]
async fn who_may_load_a_token_is_decided_as_by_a_backbone() {
    let table: Value =
        serde_json::from_str(include_str!("../../../../transport/tests/vectors/token-access.json")).unwrap();
    let cases = table["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 10);
    for case in cases {
        let allowed = case["wrongPasswordsPerSender"].as_u64().unwrap_or_default();
        World::run_with(allowed.try_into().unwrap(), async |world| {
            let is_set = |name: &str| case[name].as_bool().unwrap_or_default();
            let people =
                [world.account.clone(), memory::new_account(world.clock.now()), memory::new_account(world.clock.now())];
            let terms = if is_set("hasPassword") { protected() } else { CreateTokenForFile::default() };
            let terms = CreateTokenForFile {
                for_identity: is_set("isForReader").then(|| people[1].identity.address.clone()),
                expires_at: in_hours(world, 1),
                ephemeral: true,
                ..terms
            };
            let token = world.shared(terms).await;
            for (number, attempt) in case["attempts"].as_array().unwrap().iter().enumerate() {
                if attempt["expire"].as_bool().unwrap_or_default() {
                    world.clock.advance(HOUR);
                    continue;
                }
                let by = match attempt["by"].as_str().unwrap() {
                    "creator" => Some(&people[0]),
                    "reader" => Some(&people[1]),
                    "other" => Some(&people[2]),
                    _ => None,
                };
                let password =
                    attempt["password"].as_str().map(|word| match is_set("hasPassword") && word == "right" {
                        true => world.hash(&token),
                        false => PasswordHash::from_bytes([9; 32]),
                    });
                for time in 0..attempt["times"].as_u64().unwrap_or(1) {
                    let outcome = world.ask(&token, &channel_to(by, world.clock.now()), password.as_ref()).await;
                    let outcome = match outcome {
                        Ok(shown) => {
                            assert_eq!((&shown.id, shown.is_password_protected), (&token.id, is_set("hasPassword")));
                            "granted"
                        }
                        Err(Refusal::NotFound) => "notFound",
                        Err(Refusal::Locked) => "locked",
                        Err(Refusal::Busy) => "tooMany",
                        Err(refusal) => panic!("{refusal}"),
                    };
                    assert_eq!(attempt["outcome"], outcome, "{}: attempt {number}, {time}", case["name"]);
                }
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn peers_of_one_host_try_passwords_together_and_may_again_after_a_while_or_when_the_token_is_unlocked() {
    World::run_with(2, async |world| {
        let (token, now) = (world.shared(protected()).await, world.clock.now());
        let (right, wrong) = (world.hash(&token), PasswordHash::from_bytes([9; 32]));
        let stranger = |host: &str| channel_to(None, now).at(Some(host.parse().unwrap()));
        let identity = |host: &str| channel_to(Some(&memory::new_account(now)), now).at(Some(host.parse().unwrap()));
        // Whoever they are: peer ids and identities cost nothing.
        assert_eq!(world.ask(&token, &stranger("192.0.2.1"), Some(&wrong)).await, Err(Refusal::NotFound));
        assert_eq!(world.ask(&token, &identity("192.0.2.1"), Some(&wrong)).await, Err(Refusal::NotFound));
        for late in [stranger("192.0.2.1"), identity("192.0.2.1")] {
            assert_eq!(world.ask(&token, &late, Some(&right)).await, Err(Refusal::Busy));
        }
        assert_eq!(world.ledger(&token).failed_attempts, 2, "what is not judged does not count");
        assert!(world.ask(&token, &stranger("192.0.2.2"), Some(&right)).await.is_ok());
        let other = world.shared(protected()).await;
        assert!(world.ask(&other, &stranger("192.0.2.1"), Some(&world.hash(&other))).await.is_ok());

        unlock(&world.node.core, &token.id).await.unwrap();
        for _ in 0..2 {
            assert_eq!(world.ask(&token, &stranger("192.0.2.1"), Some(&wrong)).await, Err(Refusal::NotFound));
        }
        assert_eq!(world.ask(&token, &stranger("192.0.2.1"), Some(&right)).await, Err(Refusal::Busy));
        tokio::time::advance(transport::access::GUESSING_WINDOW).await;
        assert!(world.ask(&token, &stranger("192.0.2.1"), Some(&right)).await.is_ok());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_400_parallel_wrong_passwords_exactly_100_are_checked() {
    World::run(async |world| {
        let token = world.shared(protected()).await;
        let (mut events, stranger) = (world.node.core.events.subscribe(), world.stranger());
        let wrong = PasswordHash::from_bytes([9; 32]);
        let outcomes = join_all((0..400).map(|_| world.ask(&token, &stranger, Some(&wrong)))).await;
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(Refusal::NotFound)).count(), 99);
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Err(Refusal::Locked)).count(), 301);
        assert_eq!(world.ledger(&token).failed_attempts, MAX_FAILED_ATTEMPTS);
        let right = world.hash(&token);
        assert_eq!(world.ask(&token, &stranger, Some(&right)).await, Err(Refusal::Locked));
        assert!(matches!(events.recv().await.unwrap(), Event::TokenLocked(id) if id == token.id));
        assert!(events.try_recv().is_err(), "once");
        unlock(&world.node.core, &token.id).await.unwrap();
        assert!(world.ask(&token, &stranger, Some(&right)).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn an_attempt_counts_although_who_made_it_has_gone() {
    World::run(async |world| {
        let token = world.shared(protected()).await;
        let (stranger, wrong) = (world.stranger(), PasswordHash::from_bytes([9; 32]));
        // Dropped while it waits for the disk; the next one is judged behind it.
        assert!(world.ask(&token, &stranger, Some(&wrong)).now_or_never().is_none());
        assert_eq!(world.ask(&token, &stranger, Some(&wrong)).await, Err(Refusal::NotFound));
        assert_eq!(world.ledger(&token).failed_attempts, 2);
    })
    .await;
}

#[tokio::test]
async fn counts_and_readers_survive_a_restart() {
    World::run(async |world| {
        let token = world.shared(protected()).await;
        let reader = world.somebody();
        let stranger = world.stranger();
        let (right, wrong) = (world.hash(&token), PasswordHash::from_bytes([9; 32]));
        assert!(world.ask(&token, &reader, Some(&right)).await.is_ok());
        for _ in 1..MAX_FAILED_ATTEMPTS {
            assert_eq!(world.ask(&token, &stranger, Some(&wrong)).await, Err(Refusal::NotFound));
        }
        world.restart(None).await;
        assert_eq!(world.ask(&token, &stranger, Some(&wrong)).await, Err(Refusal::Locked));
        assert!(world.ask(&token, &reader, None).await.is_ok());
    })
    .await;
}

#[tokio::test]
async fn beyond_their_bound_readers_give_the_password_each_time() {
    World::run(async |world| {
        let token = world.shared(protected()).await;
        let mut batch = Batch::new();
        let almost_full = LedgerRecord { failed_attempts: 0, readers: MAX_READERS - 1 };
        HeldToken::put_ledger(&mut batch, &token.id, almost_full).unwrap();
        world.node.core.store.commit(batch).await.unwrap();
        let right = world.hash(&token);
        for is_remembered in [true, false] {
            let reader = world.somebody();
            assert!(world.ask(&token, &reader, Some(&right)).await.is_ok());
            assert_eq!(world.ask(&token, &reader, None).await.is_ok(), is_remembered);
            assert!(world.ask(&token, &reader, Some(&right)).await.is_ok());
        }
        assert_eq!(world.ledger(&token).readers, MAX_READERS);
    })
    .await;
}
