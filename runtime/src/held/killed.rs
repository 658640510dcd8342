//! A process that holds tokens is killed: what it acknowledged is there afterwards.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;

use futures_util::future::join_all;
use transport::access::MAX_FAILED_ATTEMPTS;
use transport::backbone::new_claim_id;
use transport::crypto::{PasswordHash, SignatureKeypair};
use transport::identity::{PublicIdentity, derive_address};
use transport::peer::{Channel, Refusal};
use transport::wire::{ClaimId, TokenId};

use super::tests::counted::limited;
use super::tests::{World, channel_to, protected};
use super::*;
use crate::clock::Clock as _;
use crate::core::account::AccountRecord;
use crate::delivery::memory;

const DIRECTORY: &str = "ENLACE_TEST_HELD_DIRECTORY";
const WRONG: [u8; 32] = [9; 32];
/// Uses of a direct share, and those who ask for one at the same time.
const USES: u32 = 8;
const CLAIMANTS: usize = 64;

/// The same identity in both processes.
fn reader(world: &World) -> Channel {
    let (identity_key, account) = (SignatureKeypair::from_seed(&[7; 32]), memory::new_account(world.clock.now()));
    let public_key = identity_key.public_key();
    let identity = PublicIdentity { address: derive_address(&public_key, "localhost").unwrap(), public_key };
    let account = AccountRecord { identity, identity_key: Some(identity_key), ..account };
    channel_to(Some(&account), world.clock.now())
}

fn tell(what: &str, id: &TokenId, hash: &PasswordHash) {
    tell_text(what, id, &hash.to_backbone_text());
}

fn tell_text(what: &str, id: &TokenId, text: &str) {
    // A line of its own, behind whatever the test runner writes.
    println!("\n{what} {id} {text}");
    std::io::stdout().flush().unwrap();
}

/// What a token has gone through.
#[derive(Default)]
struct Acknowledged {
    hash: String,
    wrong: u32,
    is_read: bool,
}

/// The process that is killed: makes tokens, and lets them be guessed and read, until there is no end of it.
#[tokio::test]
#[ignore = "the process that another test kills"]
async fn the_process_that_is_killed() {
    let directory = std::env::var_os(DIRECTORY).expect("the other test says where");
    World::run_in(directory.as_ref(), async |world| {
        let (reader, stranger) = (reader(world), world.stranger());
        loop {
            let token = world.shared(protected()).await;
            let hash = world.hash(&token);
            tell("token", &token.id, &hash);
            for number in 0..9 {
                if number == 5 {
                    world.ask(&token, &reader, Some(&hash)).await.unwrap();
                    tell("read", &token.id, &hash);
                }
                let wrong = PasswordHash::from_bytes(WRONG);
                assert_eq!(world.ask(&token, &stranger, Some(&wrong)).await, Err(Refusal::NotFound));
                tell("wrong", &token.id, &hash);
            }
        }
    })
    .await;
}

/// Kills the process when it has acknowledged so much, and says what.
fn kill_after(lines: usize, directory: &std::path::Path) -> HashMap<TokenId, Acknowledged> {
    let mut acknowledged: HashMap<TokenId, Acknowledged> = HashMap::new();
    let name = "held::killed::the_process_that_is_killed";
    crate::killed::kill_after(lines, name, (DIRECTORY, directory), |line| {
        let words: Vec<_> = line.split(' ').collect();
        let [what @ ("token" | "read" | "wrong"), id, hash] = words[..] else { return false };
        let entry = acknowledged.entry(id.parse().unwrap()).or_default();
        hash.clone_into(&mut entry.hash);
        entry.is_read |= what == "read";
        entry.wrong += u32::from(what == "wrong");
        true
    });
    acknowledged
}

#[tokio::test]
async fn a_killed_node_serves_every_token_that_it_acknowledged_and_forgets_no_attempt() {
    for lines in [1, 8, 25] {
        let directory = tempfile::tempdir().unwrap();
        let acknowledged = kill_after(lines, directory.path());
        World::run_in(directory.path(), async |world| {
            let (reader, stranger) = (reader(world), world.stranger());
            for (id, before) in &acknowledged {
                let held = HeldToken::stored(&world.node.core.store.view(), id).unwrap().expect("it was acknowledged");
                let hash = held.password.unwrap();
                assert_eq!(hash.to_backbone_text(), before.hash);
                let counted = HeldToken::ledger(&world.node.core.store.view(), id).unwrap().failed_attempts;
                // One more may have been counted, whose answer did not leave.
                assert!((before.wrong..=before.wrong + 1).contains(&counted), "{counted} {}", before.wrong);
                if before.is_read {
                    assert!(world.ask_for(id, &reader, None).await.is_ok());
                }
                assert!(world.ask_for(id, &stranger, Some(&hash)).await.is_ok());
                let wrong = PasswordHash::from_bytes(WRONG);
                for _ in counted + 1..MAX_FAILED_ATTEMPTS {
                    assert_eq!(world.ask_for(id, &stranger, Some(&wrong)).await, Err(Refusal::NotFound));
                }
                assert_eq!(world.ask_for(id, &stranger, Some(&wrong)).await, Err(Refusal::Locked));
            }
        })
        .await;
    }
}

/// The process that is killed: lets more ask for uses of direct shares than there are.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the process that another test kills"]
async fn the_process_that_counts_uses_and_is_killed() {
    let directory = std::env::var_os(DIRECTORY).expect("the other test says where");
    World::run_in(directory.as_ref(), async |world| {
        world.is_reachable();
        let source = std::path::Path::new(&directory).join("source");
        std::fs::write(&source, vec![7; 100_000]).unwrap();
        loop {
            let token = world.shared_directly_from(&source, limited(USES.into())).await;
            tell_text("shared", &token.id, "-");
            let claimants = (0..CLAIMANTS).map(|_| async {
                let (peer, claim) = (world.stranger(), new_claim_id());
                if world.claim(&token.id, &peer, &claim, None).await.is_ok() {
                    tell_text("used", &token.id, claim.as_str());
                }
            });
            join_all(claimants).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_node_forgets_no_use_that_it_acknowledged_and_gives_none_twice() {
    for lines in [1, 7, 40] {
        let directory = tempfile::tempdir().unwrap();
        let mut acknowledged: HashMap<TokenId, HashSet<ClaimId>> = HashMap::new();
        let name = "held::killed::the_process_that_counts_uses_and_is_killed";
        crate::killed::kill_after(lines, name, (DIRECTORY, directory.path()), |line| {
            let words: Vec<_> = line.split(' ').collect();
            let [what @ ("shared" | "used"), id, claim] = words[..] else { return false };
            let claims = acknowledged.entry(id.parse().unwrap()).or_default();
            if what == "used" {
                claims.insert(claim.parse().unwrap());
            }
            true
        });
        World::run_in(directory.path(), async |world| {
            let peer = world.stranger();
            for (id, claims) in &acknowledged {
                // More may have been counted, whose answers did not leave.
                let (_, taken, remaining) = world.counts(id);
                assert_eq!(taken + remaining.unwrap(), USES);
                assert!(taken as usize >= claims.len(), "{taken} of {}", claims.len());
                for claim in claims {
                    assert!(world.claim(id, &peer, claim, None).await.is_ok());
                }
                assert_eq!(world.counts(id), (0, taken, remaining), "they were the same uses");
                let others: Vec<_> = (0..CLAIMANTS).map(|_| new_claim_id()).collect();
                let outcomes = join_all(others.iter().map(|claim| world.claim(id, &peer, claim, None))).await;
                let granted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
                assert_eq!(granted, remaining.unwrap() as usize);
            }
        })
        .await;
    }
}
