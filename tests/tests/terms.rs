//! Terms under which a token opens: for whom, until when, with which password.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use enlace_tests::{Backbone, Node, World, http, password, pin, refusal};
use futures_util::future::join_all;
use hyper::Method;
use runtime::dto::{PasswordProtection, Token};
use runtime::facade::{CreateTokenForFile, UploadOwnFile};
use runtime::{Address, Event};
use transport::wire::TokenReference;

const HOUR: Duration = Duration::from_secs(3600);
const NOT_FOUND: &str = "error.runtime.recordNotFound";
const NOT_INTENDED: &str = "error.transport.general.notIntendedForYou";
const NO_PASSWORD: &str = "error.transport.noPasswordProvided";
const LOCKED: &str = "error.platform.token.tooManyFailedPasswordAttempts";
const INVALID: &str = "error.runtime.validation.invalidPropertyValue";
/// Wrong passwords after which the backbone locks a token.
const LOCK_AFTER: usize = 100;

fn only_for(address: &Address) -> CreateTokenForFile {
    CreateTokenForFile { for_identity: Some(address.clone()), ..CreateTokenForFile::default() }
}

fn protected(password_protection: Option<PasswordProtection>) -> CreateTokenForFile {
    CreateTokenForFile { password_protection, ..CreateTokenForFile::default() }
}

async fn shared(world: &World, backbone: &Backbone, terms: CreateTokenForFile) -> (Node, Token) {
    let alice = world.node("alice", backbone).await;
    let file = alice.upload("a", b"content").await.unwrap();
    let token = alice.share_as(&file, terms).await.unwrap();
    (alice, token)
}

/// The same token, as a forger who wants it to look like one for `address` writes it.
fn forged_for(token: &Token, address: &Address) -> String {
    let mut reference = TokenReference::parse(&token.reference.url).unwrap();
    let text = address.as_str();
    reference.for_identity_truncated = Some(text[text.len() - 4..].to_owned());
    reference.to_truncated()
}

fn without_hint(token: &Token) -> String {
    let mut reference = TokenReference::parse(&token.reference.url).unwrap();
    reference.for_identity_truncated = None;
    reference.password_protection = None;
    reference.to_truncated()
}

#[tokio::test]
async fn a_personalized_token_lets_one_in_and_refuses_others_before_asking_the_backbone() {
    let world = World::new();
    let backbone = world.backbone().await;
    let (bob, eve) = (world.node("bob", &backbone).await, world.node("eve", &backbone).await);
    let (_alice, token) = shared(&world, &backbone, only_for(bob.address())).await;
    backbone.line().forget();
    assert_eq!(refusal(eve.receive(&token.reference.url).await), NOT_INTENDED);
    assert_eq!(refusal(eve.load_token(&token.reference.url).await), NOT_INTENDED);
    assert!(backbone.line().content_requests() == 0, "nobody was asked");
    assert_eq!(bob.fetch(&token.reference.url).await.unwrap(), b"content");
    assert!(eve.files().await.is_empty() && eve.tokens().await.is_empty());
}

#[tokio::test]
async fn a_forged_personalization_is_refused_by_the_backbone() {
    let world = World::new();
    let backbone = world.backbone().await;
    let (bob, eve) = (world.node("bob", &backbone).await, world.node("eve", &backbone).await);
    let (_alice, token) = shared(&world, &backbone, only_for(bob.address())).await;
    for forged in [forged_for(&token, eve.address()), without_hint(&token)] {
        backbone.line().forget();
        assert_eq!(refusal(eve.receive(&forged).await), NOT_FOUND);
        assert_eq!(backbone.line().count(&Method::GET, "/api/enlace/v1/Tokens/*"), 1, "the backbone was asked");
    }
    assert!(eve.files().await.is_empty());
    assert_eq!(bob.fetch(&token.reference.url).await.unwrap(), b"content", "whom it is for is not locked out");
}

#[tokio::test]
async fn a_token_opens_until_it_expires() {
    let world = World::new();
    let backbone = world.backbone().await;
    let (bob, carol) = (world.node("bob", &backbone).await, world.node("carol", &backbone).await);
    let expires_at = Some(world.clock().time().saturating_add(HOUR));
    let terms = CreateTokenForFile { expires_at, ..CreateTokenForFile::default() };
    let (alice, token) = shared(&world, &backbone, terms).await;
    assert_eq!(Some(token.expires_at), expires_at);
    world.advance(HOUR - Duration::from_millis(1));
    let file = bob.receive(&token.reference.url).await.unwrap();
    world.advance(Duration::from_millis(1));
    assert_eq!(refusal(carol.receive(&token.reference.url).await), NOT_FOUND);
    assert!(carol.files().await.is_empty());
    assert_eq!(bob.download(&file.id).await.unwrap(), b"content", "the file itself has not expired");
    assert_eq!(alice.tokens().await.len(), 1, "expired tokens stay listed at their creator");
}

#[tokio::test]
async fn an_expired_file_cannot_be_had_by_any_token() {
    let world = World::new();
    let backbone = world.backbone().await;
    let (alice, bob) = (world.node("alice", &backbone).await, world.node("bob", &backbone).await);
    let request = UploadOwnFile {
        expires_at: Some(world.clock().time().saturating_add(HOUR)),
        ..UploadOwnFile::new(&b"content"[..], "a".parse().unwrap(), "text/plain".parse().unwrap())
    };
    let file = alice.upload_with(request).await.unwrap();
    let token = alice.share(&file).await.unwrap();
    assert_eq!(token.expires_at, file.expires_at, "the file's expiry is the default");
    let later = CreateTokenForFile { expires_at: Some(runtime::Timestamp::NEVER), ..CreateTokenForFile::default() };
    let longer = alice.share_as(&file, later).await.unwrap();
    bob.receive(&token.reference.url).await.unwrap();
    world.advance(HOUR);
    let carol = world.node("carol", &backbone).await;
    for reference in [&token.reference.url, &longer.reference.url, &file.reference.url] {
        assert_eq!(refusal(carol.receive(reference).await), NOT_FOUND);
    }
    assert_eq!(refusal(bob.download(&file.id).await), NOT_FOUND);
    assert_eq!(refusal(alice.download(&file.id).await), NOT_FOUND);
    assert_eq!(alice.files().await.len(), 1, "the record stays");
}

#[tokio::test]
async fn nothing_is_shared_until_a_moment_in_the_past() {
    let world = World::new();
    let backbone = world.backbone().await;
    let alice = world.node("alice", &backbone).await;
    let file = alice.upload("a", b"content").await.unwrap();
    backbone.line().forget();
    let terms = CreateTokenForFile { expires_at: Some(world.clock().time()), ..CreateTokenForFile::default() };
    assert_eq!(refusal(alice.share_as(&file, terms).await), INVALID);
    assert!(backbone.line().content_requests() == 0 && alice.tokens().await.is_empty());
}

#[tokio::test]
async fn a_password_opens_and_a_wrong_or_missing_one_does_not() {
    let world = World::new();
    let backbone = world.backbone().await;
    let bob = world.node("bob", &backbone).await;
    let (_alice, token) = shared(&world, &backbone, protected(password("pässwörd"))).await;
    backbone.line().forget();
    assert_eq!(refusal(bob.receive(&token.reference.url).await), NO_PASSWORD);
    assert_eq!(refusal(bob.receive_with(&token.reference.url, "").await), NO_PASSWORD);
    assert!(backbone.line().content_requests() == 0, "no attempt is spent on no password");
    for wrong in ["pässword", "passwörd", "PÄSSWÖRD", "pässwörd ", "pa\u{308}sswo\u{308}rd"] {
        assert_eq!(refusal(bob.receive_with(&token.reference.url, wrong).await), NOT_FOUND, "{wrong}");
    }
    assert_eq!(refusal(bob.receive(&without_hint(&token)).await), NOT_FOUND, "the hint is not what protects it");
    assert!(bob.files().await.is_empty());
    let file = bob.receive_with(&token.reference.url, "pässwörd").await.unwrap();
    assert_eq!(bob.download(&file.id).await.unwrap(), b"content");
}

#[tokio::test]
async fn a_pin_opens_and_says_that_it_is_one() {
    let world = World::new();
    let backbone = world.backbone().await;
    let bob = world.node("bob", &backbone).await;
    let (alice, token) = shared(&world, &backbone, protected(pin("0815"))).await;
    let reference = TokenReference::parse(&token.reference.truncated).unwrap();
    assert_eq!(reference.password_protection.unwrap().password_type.to_string(), "pin4");
    assert_eq!(refusal(bob.receive_with(&token.reference.url, "0816").await), NOT_FOUND);
    let file = bob.receive_with(&token.reference.url, "0815").await.unwrap();
    assert_eq!(bob.download(&file.id).await.unwrap(), b"content");
    for bad in ["123", "12345678901234567", "12a4", "１２３４"] {
        assert_eq!(refusal(alice.share_as(&file, protected(pin(bad))).await), INVALID, "{bad}");
    }
}

#[tokio::test]
async fn too_many_wrong_passwords_lock_a_token_for_strangers_only() {
    let world = World::new();
    let backbone = world.backbone_with("backbone", |config| config.limits.wrong_passwords = 0).await;
    let (bob, carol) = (world.node("bob", &backbone).await, world.node("carol", &backbone).await);
    let (alice, token) = shared(&world, &backbone, protected(password("right"))).await;
    bob.receive_with(&token.reference.url, "right").await.unwrap();
    let client = http();
    let guesses = (0..LOCK_AFTER - 1).map(|guess| guess_anonymously(&client, &backbone, &token, guess));
    let statuses = join_all(guesses).await;
    assert!(statuses.iter().all(|status| *status == 404), "{statuses:?}");
    assert_eq!(refusal(carol.receive_with(&token.reference.url, "wrong").await), LOCKED, "the hundredth");
    assert_eq!(refusal(carol.receive_with(&token.reference.url, "right").await), LOCKED);
    assert!(carol.files().await.is_empty());
    let file = bob.receive_with(&token.reference.url, "right").await.unwrap();
    assert_eq!(bob.download(&file.id).await.unwrap(), b"content", "who had it keeps it");
    assert!(alice.load_token(&token.reference.url).await.is_err(), "a reference with a password needs one");
    assert_eq!(alice.tokens().await.len(), 1);
}

#[tokio::test]
async fn a_locked_token_is_announced_to_its_creator_and_can_be_unlocked_by_the_operator() {
    let world = World::new();
    let backbone = world.backbone_with("backbone", |config| config.limits.wrong_passwords = 0).await;
    let bob = world.node("bob", &backbone).await;
    let (alice, token) = shared(&world, &backbone, protected(password("right"))).await;
    let client = http();
    let guesses = (0..LOCK_AFTER).map(|guess| guess_anonymously(&client, &backbone, &token, guess));
    let locked = join_all(guesses).await.iter().filter(|status| **status == 400).count();
    assert_eq!(locked, 1, "the last guess is told, however many come at once");
    let mut events = alice.runtime().events();
    alice.runtime().account().sync_everything().await.unwrap();
    let mut announced = std::iter::from_fn(|| events.try_recv().ok());
    assert!(announced.any(|event| matches!(event, Event::TokenLocked(id) if id == token.id)));
    assert_eq!(refusal(bob.receive_with(&token.reference.url, "right").await), LOCKED);
    assert!(backbone.server().admin().reset_token_access_failed_count(&token.id).await.unwrap());
    bob.receive_with(&token.reference.url, "right").await.unwrap();
}

#[tokio::test]
async fn housekeeping_removes_what_expired_and_nodes_can_tidy_up_after_it() {
    let world = World::new();
    let backbone = world.backbone().await;
    let expires_at = Some(world.clock().time().saturating_add(HOUR));
    let terms = CreateTokenForFile { expires_at, ..CreateTokenForFile::default() };
    let (alice, token) = shared(&world, &backbone, terms).await;
    let file = alice.files().await.remove(0);
    let lasting = alice.share(&file).await.unwrap();
    world.advance(100 * 24 * HOUR);
    backbone.server().admin().sweep().await.unwrap();
    assert_eq!(alice.tokens().await.len(), 2, "what a node remembers is its own business");
    alice.runtime().tokens().delete_token(&token.id).await.unwrap();
    assert_eq!(alice.tokens().await, std::slice::from_ref(&lasting));
    let bob = world.node("bob", &backbone).await;
    assert_eq!(bob.fetch(&lasting.reference.url).await.unwrap(), b"content", "what lasts was not swept");
}

/// One wrong guess over HTTP; cheaper than by a node, which would compute a real hash.
async fn guess_anonymously(client: &reqwest::Client, backbone: &Backbone, token: &Token, guess: usize) -> u16 {
    let url = format!("{}/api/v2/Tokens/{}", backbone.line().url(), token.id);
    let query = [("password", format!("{guess:0>42}8="))];
    client.get(url).query(&query).send().await.unwrap().status().as_u16()
}
