//! The backbone fails at each step: a clear error, success later, nothing lost and nothing doubled.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fmt::Debug;

use enlace_tests::{Backbone, Fate, Node, World};
use hyper::{Method, StatusCode};
use runtime::{Config, Error};

const TOKENS: &str = "/api/v2/Tokens";
const OWN_TOKEN: &str = "/api/v2/Tokens/*";
/// Where a token is loaded as one use.
const TOKEN: &str = "/api/enlace/v1/Tokens/*";
const FILES: &str = "/api/v2/Files";
const FILE: &str = "/api/v2/Files/*";
const METADATA: &str = "/api/v2/Files/*/Metadata";
/// A request that only reads is tried again by itself; so often at most, plus once.
const ATTEMPTS: usize = 8;

/// An error that tells the user that the backbone is what failed.
#[track_caller]
fn assert_outage<T: Debug>(outcome: Result<T, Error>) {
    let error = outcome.expect_err("the backbone is away");
    let (code, text) = (error.code(), error.to_string());
    let known = ["error.transport.request.", "error.platform."].iter().any(|prefix| code.starts_with(prefix));
    assert!(known, "{code}: {text}");
    assert!(text.len() > 10 && !text.contains("unwrap"), "an error for people: {text}");
}

fn outages() -> [(&'static str, Fate); 4] {
    [
        ("lost request", Fate::LostRequest),
        ("lost answer", Fate::LostAnswer),
        ("half an answer", Fate::BrokenAnswer(7)),
        ("gateway without a backbone", Fate::Answered(StatusCode::BAD_GATEWAY, "<html>Bad Gateway</html>".to_owned())),
    ]
}

/// Makes one kind of request fail in a way until the backbone behaves again.
fn break_down(backbone: &Backbone, method: Method, path: &str, fate: &Fate) {
    backbone.line().next(ATTEMPTS, method, path, fate.clone());
}

#[tokio::test]
async fn every_step_of_the_main_job_fails_clearly_without_a_backbone_and_works_with_one() {
    let world = World::new();
    let backbone = world.backbone().await;
    let (alice, bob) = (world.node("alice", &backbone).await, world.node("bob", &backbone).await);
    let line = backbone.line();

    line.cut().await;
    assert_outage(alice.upload("a", b"content").await);
    assert!(alice.files().await.is_empty());
    line.heal().await;
    let file = alice.upload("a", b"content").await.unwrap();
    assert_eq!(alice.files().await.len(), 1);

    line.cut().await;
    assert_outage(alice.share(&file).await);
    assert!(alice.tokens().await.is_empty());
    line.heal().await;
    let token = alice.share(&file).await.unwrap();
    assert_eq!(alice.tokens().await.len(), 1);

    line.cut().await;
    assert_outage(bob.receive(&token.reference.url).await);
    assert!(bob.files().await.is_empty());
    line.heal().await;
    bob.receive(&token.reference.url).await.unwrap();

    line.cut().await;
    assert_outage(bob.download(&file.id).await);
    bob.receive(&file.reference.url).await.expect("what is known needs no backbone");
    line.heal().await;
    assert_eq!(bob.download(&file.id).await.unwrap(), b"content");

    line.cut().await;
    assert_outage(alice.runtime().tokens().delete_token(&token.id).await);
    assert_outage(alice.runtime().files().delete_file(&file.id).await);
    assert_eq!((alice.files().await.len(), alice.tokens().await.len()), (1, 1));
    line.heal().await;
    alice.runtime().tokens().delete_token(&token.id).await.unwrap();
    alice.runtime().files().delete_file(&file.id).await.unwrap();
    assert_eq!((alice.files().await.len(), alice.tokens().await.len()), (0, 0));
}

#[tokio::test]
async fn a_failed_upload_leaves_no_record_and_a_second_one_succeeds() {
    let world = World::new();
    let backbone = world.backbone().await;
    let alice = world.node("alice", &backbone).await;
    for (number, (how, fate)) in outages().into_iter().enumerate() {
        break_down(&backbone, Method::POST, FILES, &fate);
        assert_outage(alice.upload("a", b"content").await);
        assert_eq!(alice.files().await.len(), number, "{how}");
        backbone.line().behave();
        let file = alice.upload("a", b"content").await.unwrap();
        assert_eq!(alice.download(&file.id).await.unwrap(), b"content", "{how}");
    }
    let temporary = alice.data_dir().join("tmp");
    assert!(std::fs::read_dir(temporary).is_ok_and(|mut entries| entries.next().is_none()), "nothing is left over");
}

#[tokio::test]
async fn a_failed_sharing_leaves_no_token_and_is_not_repeated_behind_the_users_back() {
    let world = World::new();
    let backbone = world.backbone().await;
    let alice = world.node("alice", &backbone).await;
    let file = alice.upload("a", b"content").await.unwrap();
    for (number, (how, fate)) in outages().into_iter().enumerate() {
        backbone.line().forget();
        break_down(&backbone, Method::POST, TOKENS, &fate);
        assert_outage(alice.share(&file).await);
        assert_eq!(backbone.line().count(&Method::POST, TOKENS), 1, "{how}: a second try might make a second token");
        assert_eq!(alice.tokens().await.len(), number, "{how}");
        backbone.line().behave();
        alice.share(&file).await.unwrap();
    }
}

#[tokio::test]
async fn a_failed_receipt_keeps_nothing_and_a_second_one_succeeds() {
    let world = World::new();
    let backbone = world.backbone().await;
    let alice = world.node("alice", &backbone).await;
    let file = alice.upload("a", b"content").await.unwrap();
    let token = alice.share(&file).await.unwrap();
    for (step, path) in [TOKEN, METADATA].into_iter().enumerate() {
        for (number, (how, fate)) in outages().into_iter().enumerate() {
            let bob = world.node(&format!("bob-{step}-{number}"), &backbone).await;
            break_down(&backbone, Method::GET, path, &fate);
            assert_outage(bob.receive(&token.reference.url).await);
            assert!(bob.files().await.is_empty() && bob.tokens().await.is_empty(), "{how} of {path}");
            backbone.line().behave();
            assert_eq!(bob.fetch(&token.reference.url).await.unwrap(), b"content", "{how} of {path}");
            assert_eq!(bob.files().await.len(), 1);
        }
    }
}

#[tokio::test]
async fn a_short_outage_of_reading_goes_unnoticed() {
    let world = World::new();
    let backbone = world.backbone().await;
    let (alice, bob) = (world.node("alice", &backbone).await, world.node("bob", &backbone).await);
    let file = alice.upload("a", b"content").await.unwrap();
    let token = alice.share(&file).await.unwrap();
    for path in [TOKEN, METADATA, FILE] {
        backbone.line().next(1, Method::GET, path, Fate::LostAnswer);
    }
    assert_eq!(bob.fetch(&token.reference.url).await.unwrap(), b"content");
    assert_eq!(bob.files().await.len(), 1);
}

#[tokio::test]
async fn a_download_that_breaks_off_hands_out_nothing_and_leaves_nothing() {
    let world = World::new();
    let backbone = world.backbone().await;
    let alice = world.node("alice", &backbone).await;
    let content = vec![7; 2_000_000];
    let file = alice.upload("a", &content).await.unwrap();
    for arrived in [0, 1, 1_000_000, 2_666_000] {
        break_down(&backbone, Method::GET, FILE, &Fate::BrokenAnswer(arrived));
        assert_outage(alice.download(&file.id).await);
        let mut left = std::fs::read_dir(alice.data_dir().join("tmp")).unwrap();
        assert!(left.next().is_none(), "something is left after {arrived} bytes");
        backbone.line().behave();
    }
    assert_eq!(alice.download(&file.id).await.unwrap(), content);
}

#[tokio::test]
async fn a_deletion_whose_answer_was_lost_is_completed_by_a_second_one() {
    let world = World::new();
    let backbone = world.backbone().await;
    let alice = world.node("alice", &backbone).await;
    let file = alice.upload("a", b"content").await.unwrap();
    let token = alice.share(&file).await.unwrap();
    backbone.line().next(1, Method::DELETE, OWN_TOKEN, Fate::LostAnswer);
    backbone.line().next(1, Method::DELETE, FILE, Fate::LostAnswer);
    assert_outage(alice.runtime().tokens().delete_token(&token.id).await);
    assert_outage(alice.runtime().files().delete_file(&file.id).await);
    assert_eq!((alice.files().await.len(), alice.tokens().await.len()), (1, 1), "not known to be gone");
    alice.runtime().tokens().delete_token(&token.id).await.unwrap();
    alice.runtime().files().delete_file(&file.id).await.unwrap();
    assert_eq!((alice.files().await.len(), alice.tokens().await.len()), (0, 0));
}

#[tokio::test]
async fn a_node_with_an_identity_starts_without_its_backbone() {
    let world = World::new();
    let backbone = world.backbone().await;
    let alice = world.node("alice", &backbone).await;
    let file = alice.upload("a", b"content").await.unwrap();
    let (config, clock) = alice.stop().await;
    backbone.line().cut().await;
    let alice = Node::start(config, clock).await.unwrap();
    assert_eq!(alice.files().await, std::slice::from_ref(&file));
    assert_outage(alice.download(&file.id).await);
    backbone.line().heal().await;
    assert_eq!(alice.download(&file.id).await.unwrap(), b"content");
}

#[tokio::test]
async fn a_first_start_without_a_backbone_fails_clearly_and_the_next_one_works() {
    let world = World::new();
    let backbone = world.backbone().await;
    let config = Config::new(world.directory("alice"), backbone.as_seen_by_nodes());
    let start = async || {
        let node = Node::start(config.clone(), world.clock().clone()).await?;
        let address = node.address().clone();
        node.stop().await;
        Ok(address)
    };
    backbone.line().cut().await;
    assert_outage(start().await);
    backbone.line().heal().await;
    for path in ["/api/v2/Challenges", "/api/v2/Identities", "/connect/token"] {
        for (_, fate) in outages() {
            break_down(&backbone, Method::POST, path, &fate);
            // Not every step has to succeed for a start, but a start that fails has to be repeatable.
            let _ = start().await;
            backbone.line().behave();
        }
    }
    let first = start().await.unwrap();
    assert_eq!(start().await.unwrap(), first, "one identity for good");
    let alice = Node::start(config.clone(), world.clock().clone()).await.unwrap();
    alice.upload("a", b"content").await.unwrap();
}

#[tokio::test]
async fn an_expired_login_is_renewed_without_anybody_noticing() {
    let world = World::new();
    let mut backbone = world.backbone().await;
    let alice = world.node("alice", &backbone).await;
    let file = alice.upload("a", b"content").await.unwrap();
    world.advance(std::time::Duration::from_secs(600));
    assert_eq!(alice.download(&file.id).await.unwrap(), b"content");
    backbone.restart().await;
    assert_eq!(alice.upload("b", b"more").await.unwrap().filesize, 4);
    assert_eq!(alice.files().await.len(), 2);
}
