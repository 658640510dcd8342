//! Tokens that can be used so many times: who gets the file, what counts, and what a receiver is told.
#![allow(clippy::unwrap_used, reason = "a test")]

use enlace_tests::{Backbone, Fate, Node, World, http, refusal};
use futures_util::future::join_all;
use hyper::{Method, StatusCode};
use runtime::dto::{Token, TokenStatus, TokenTerms};
use runtime::facade::{CreateTokenForFile, NewTerms};

const EXHAUSTED: &str = "error.platform.token.exhausted";
const NOT_SUPPORTED: &str = "error.runtime.notSupported";
const SERVICES: &str = "/api/enlace/v1/TokenServices";
const RECEIVERS: usize = 8;

fn at_most(number: u64) -> CreateTokenForFile {
    let max_downloads = Some(number.try_into().unwrap());
    CreateTokenForFile { terms: NewTerms { max_downloads, ..NewTerms::default() }, ..CreateTokenForFile::default() }
}

async fn shared(world: &World, backbone: &Backbone, terms: CreateTokenForFile) -> (Node, Token) {
    let alice = world.node("alice", backbone).await;
    let file = alice.upload("a", b"content").await.unwrap();
    let token = alice.share_as(&file, terms).await.unwrap();
    (alice, token)
}

async fn terms(node: &Node, token: &Token) -> TokenTerms {
    node.runtime().tokens().token_terms(&token.id).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_receivers_at_the_same_time_as_many_get_the_file_as_there_are_uses() {
    let world = World::new();
    let backbone = world.backbone().await;
    let (alice, token) = shared(&world, &backbone, at_most(1)).await;
    let names: Vec<String> = (0..RECEIVERS).map(|number| format!("receiver {number}")).collect();
    let receivers = join_all(names.iter().map(|name| world.node(name, &backbone))).await;
    let outcomes = join_all(receivers.iter().map(|node| node.fetch(&token.reference.url))).await;
    let (fetched, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(fetched.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [b"content".to_vec()]);
    assert_eq!(refused.len(), RECEIVERS - 1);
    for refused in refused {
        assert!(refused.as_ref().unwrap_err().to_string().contains("use"), "{refused:?}");
        assert_eq!(refusal(refused), EXHAUSTED);
    }
    for receiver in receivers {
        receiver.stop().await;
    }
    let terms = terms(&alice, &token).await;
    assert_eq!((terms.status, terms.committed_uses, terms.leased_uses), (TokenStatus::Exhausted, 1, 0));
}

#[tokio::test]
async fn a_receiver_that_goes_on_after_an_interruption_is_one_use_and_so_is_a_second_download() {
    let world = World::new();
    let backbone = world.backbone().await;
    let (alice, token) = shared(&world, &backbone, at_most(1)).await;
    let bob = world.node("bob", &backbone).await;
    backbone.line().always(Method::GET, "/api/v2/Files/*", Fate::LostAnswer);
    assert!(bob.fetch(&token.reference.url).await.is_err(), "the token was loaded, the file was not");
    assert_eq!(terms(&alice, &token).await.leased_uses, 1);
    let bob = bob.restart().await;
    backbone.line().behave();
    for _ in 0..2 {
        assert_eq!(bob.fetch(&token.reference.url).await.unwrap(), b"content");
    }
    bob.stop().await;
    assert_eq!(terms(&alice, &token).await.committed_uses, 1);
}

#[tokio::test]
async fn whoever_only_looks_uses_nothing() {
    let world = World::new();
    let backbone = world.backbone().await;
    let (alice, token) = shared(&world, &backbone, at_most(1)).await;
    let url = backbone.line().url();
    for path in [format!("/r/{}", token.id), format!("/api/v2/Tokens/{}", token.id)] {
        http().head(format!("{url}{path}")).send().await.unwrap();
    }
    http().get(format!("{url}/r/{}", token.id)).header("user-agent", "preview").send().await.unwrap();
    let seen = terms(&alice, &token).await;
    assert_eq!((seen.status, seen.committed_uses, seen.leased_uses), (TokenStatus::Active, 0, 0));
    assert_eq!(alice.fetch(&token.reference.url).await.unwrap(), b"content", "nor does the creator");
    assert_eq!(terms(&alice, &token).await.status, TokenStatus::Active);
}

#[tokio::test]
async fn a_backbone_that_does_not_count_is_asked_as_before_and_limits_are_refused() {
    let world = World::new();
    let backbone = world.backbone().await;
    let missing = Fate::Answered(StatusCode::NOT_FOUND, String::new());
    backbone.line().always(Method::GET, SERVICES, missing);
    let (alice, token) = shared(&world, &backbone, CreateTokenForFile::default()).await;
    let before = alice.tokens().await.len();
    let file = alice.files().await.remove(0);
    assert_eq!(refusal(alice.share_as(&file, at_most(1)).await), NOT_SUPPORTED);
    assert_eq!(alice.tokens().await.len(), before, "nothing was made");
    let bob = world.node("bob", &backbone).await;
    backbone.line().forget();
    for _ in 0..2 {
        assert_eq!(bob.fetch(&token.reference.url).await.unwrap(), b"content");
    }
    assert_eq!(backbone.line().count(&Method::GET, "/api/v2/Tokens/*"), 2);
    assert_eq!(backbone.line().count(&Method::GET, "/api/enlace/v1/Tokens/*"), 0);
    assert_eq!(backbone.line().count(&Method::GET, SERVICES), 1, "once in a while");
    bob.stop().await;
    assert_eq!(backbone.line().count(&Method::POST, "/api/enlace/v1/Tokens/*/Claims/*/Commit"), 0);
}
