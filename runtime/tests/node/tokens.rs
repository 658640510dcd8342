//! Tokens: create, load, list, delete.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use backbone_mock::fault::{Fault, Gate, Matching};
use http::Method;
use runtime::dto::{Notify, Password, PasswordLocation, PasswordProtection, Token, TokenPath, TokenStatus, TokenTerms};
use runtime::facade::{
    CreateOwnToken, CreateTokenForFile, LoadFile, LoadPeerToken, NewContent, NewTerms, Ownership, UpdateToken,
    UploadOwnFile,
};
use runtime::{Event, ManualClock, Runtime, Timestamp, TokenId};
use serde_json::{Value, json};
use transport::backbone::{Client, ClientConfig, SecretText};
use transport::crypto::SecretKey;
use transport::wire::TokenReference;
use transport::wire::backbone::tokens::CreateToken;
use transport::wire::bytes::to_base64;

use crate::world::{World, code, file, load_token, own_token, protected, stored};

/// In seconds.
const DAY: u64 = 24 * 60 * 60;

/// Wrong passwords after which the backbone locks a token.
const ALLOWED_FAILURES: usize = 100;

#[tokio::test]
async fn any_json_but_null_reaches_another_node_unchanged() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    for content in [
        json!({}),
        json!({"b": [1, null, "x"], "a": {"@type": "Nope"}}),
        json!("text"),
        json!(1),
        json!([1]),
        json!(true),
    ] {
        let token = alice.tokens().create_own_token(own_token(content.clone(), world.at(60))).await.unwrap();
        assert_eq!((token.content.to_value(), token.is_own, token.is_ephemeral), (content.clone(), true, false));
        let loaded = load_token(&bob, &token.reference, None).await.unwrap();
        assert_eq!((loaded.content.to_value(), loaded.is_own, loaded.reference), (content, false, token.reference));
    }
}

#[tokio::test]
async fn contents_that_no_client_can_read_are_refused() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    for content in [Value::Null, json!({"@type": "Nope"}), json!({"@type": 1}), json!({"@type": "TokenContentFile"})] {
        let refusal = alice.tokens().create_own_token(own_token(content, world.at(60))).await.unwrap_err();
        assert_eq!(refusal.code(), "error.runtime.invalidTokenContent");
        assert_eq!(refusal.to_string(), "The given Token has an invalid content for this route.");
    }
    let expired = alice.tokens().create_own_token(own_token(Value::Null, world.at(0))).await.unwrap_err();
    assert_eq!(expired.to_string(), "'expiresAt' must be in the future");
}

#[tokio::test]
async fn a_clock_that_is_behind_is_explained() {
    let world = World::new().await;
    let clock = Arc::new(ManualClock::new(world.at(0)));
    world.clock.advance(Duration::from_secs(3600));
    let late = Runtime::builder(world.config("late")).clock(clock).start().await.unwrap();
    let upload = UploadOwnFile { expires_at: Some(world.at(60)), ..file("a", "b") };
    let refusals = [
        late.tokens().create_own_token(own_token(json!({}), world.at(60))).await.err().unwrap(),
        late.files().upload_own_file(upload).await.err().unwrap(),
    ];
    for refusal in refusals {
        assert_eq!(refusal.code(), "error.platform.validation.invalidPropertyValue");
        assert!(refusal.to_string().contains("By this node's clock it is 2030-01-01T00:00:00.000Z"), "{refusal}");
    }
    let other = late.tokens().create_own_token(own_token(json!({}), world.at(7200))).await;
    assert!(other.is_ok(), "the backbone's time decides");
}

#[tokio::test]
async fn a_guest_sees_the_shortened_expiry_of_its_tokens_and_files() {
    let world = World::of_guests().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let month = world.at(30 * DAY);
    let uploaded = alice.files().upload_own_file(file("a", "a")).await.unwrap();
    let token = alice.tokens().create_own_token(own_token(json!({}), Timestamp::NEVER)).await.unwrap();
    assert_eq!((uploaded.expires_at, token.expires_at), (month, month));
    assert_eq!(alice.files().file(&uploaded.id).await.unwrap().expires_at, month);
    assert_eq!(alice.tokens().token(&token.id).await.unwrap().expires_at, month);
    assert_eq!(load_token(&bob, &token.reference, None).await.unwrap().expires_at, month);
    world.clock.advance(Duration::from_secs(60));
    let for_file = alice.files().create_token_for_file(&uploaded.id, stored()).await.unwrap();
    assert_eq!(for_file.expires_at, month, "as long as the file");
}

#[tokio::test]
async fn an_expiry_that_is_too_late_for_a_guest_is_not_blamed_on_the_clock() {
    let world = World::of_guests().await;
    let alice = world.node("alice").await;
    let late = world.at(30 * DAY + 1);
    let upload = |expires_at| UploadOwnFile { expires_at: Some(expires_at), ..file("a", "b") };
    let unread = UploadOwnFile { content: NewContent::Stream(Box::pin(Unread)), ..upload(late) };
    let refusals = [
        (alice.tokens().create_own_token(own_token(json!({}), late)).await.err().unwrap(), "platform"),
        (alice.files().upload_own_file(unread).await.err().unwrap(), "runtime"),
    ];
    alice.files().upload_own_file(upload(world.at(30 * DAY))).await.unwrap();
    for (refusal, by) in refusals {
        assert_eq!(refusal.code(), format!("error.{by}.validation.invalidPropertyValue"));
        let text = refusal.to_string();
        assert!(text.contains("at most 30 days") && !text.contains("clock"), "{text}");
    }
}

/// Content of a file that must not be read.
struct Unread;

impl tokio::io::AsyncRead for Unread {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        panic!("the content was read")
    }
}

#[tokio::test]
async fn a_loaded_token_shows_its_password() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let protection = PasswordProtection {
        password_location_indicator: Some(PasswordLocation::Name("SMS".into())),
        ..PasswordProtection::pin(Password::new("4711").unwrap()).unwrap()
    };
    let request =
        CreateOwnToken { password_protection: Some(protection.clone()), ..own_token(json!({}), world.at(60)) };
    let token = alice.tokens().create_own_token(request).await.unwrap();
    assert_eq!(token.password_protection, Some(protection));
    assert_eq!(alice.tokens().token(&token.id).await.unwrap(), token);
    assert_eq!(code(load_token(&bob, &token.reference, Some("4712")).await), "error.runtime.recordNotFound");
    let loaded = load_token(&bob, &token.reference, Some("4711")).await.unwrap();
    assert_eq!(loaded.password_protection, token.password_protection);
    // A known token is not checked again, but its reference still asks for some password.
    assert_eq!(code(load_token(&bob, &token.reference, None).await), "error.transport.noPasswordProvided");
    assert!(load_token(&bob, &token.reference, Some("wrong")).await.is_ok());
}

#[tokio::test]
async fn a_token_locks_after_too_many_wrong_passwords_until_its_creator_unlocks_it() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let request = CreateOwnToken { password_protection: protected("right"), ..own_token(json!({}), world.at(60)) };
    let token = alice.tokens().create_own_token(request).await.unwrap();
    let stranger = stranger(&world);
    for _ in 0..ALLOWED_FAILURES {
        assert!(stranger.token(&token.id, Some(&to_base64(&[0; 32]))).await.is_err());
    }
    let refusal = load_token(&bob, &token.reference, Some("right")).await;
    assert_eq!(code(refusal), "error.platform.token.tooManyFailedPasswordAttempts");
    alice.tokens().unlock_token(&token.id).await.unwrap();
    load_token(&bob, &token.reference, Some("right")).await.unwrap();
}

/// A client without a login.
fn stranger(world: &World) -> Client {
    Client::new(ClientConfig::new(world.backbone.url(), "test", SecretText::new("test-secret"))).unwrap()
}

#[tokio::test]
async fn a_stored_token_is_loaded_from_the_store_whatever_its_addressee() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let for_identity = Some(bob.account().identity_info().await.unwrap().address);
    let request = CreateOwnToken { for_identity, ..own_token(json!({"a": 1}), world.at(60)) };
    let stored = alice.tokens().create_own_token(request.clone()).await.unwrap();
    assert_eq!(load_token(&alice, &stored.reference, None).await.unwrap(), stored);
    let ephemeral = alice.tokens().create_own_token(CreateOwnToken { ephemeral: true, ..request }).await.unwrap();
    assert_eq!(code(load_token(&alice, &ephemeral.reference, None).await), "error.transport.general.notIntendedForYou");
}

#[tokio::test]
async fn an_ephemeral_load_is_not_remembered() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let token = alice.tokens().create_own_token(own_token(json!({}), world.at(60))).await.unwrap();
    let request = LoadPeerToken { reference: token.reference.url.clone(), ephemeral: true, password: None };
    let loaded = bob.tokens().load_peer_token(request.clone()).await.unwrap();
    assert!(loaded.is_ephemeral);
    assert!(bob.tokens().tokens(Ownership::Any, &[]).unwrap().collect().await.unwrap().is_empty());
    assert!(!load_token(&bob, &token.reference, None).await.unwrap().is_ephemeral);
    let known = bob.tokens().load_peer_token(request).await.unwrap();
    assert!(!known.is_ephemeral, "it is stored now");
    assert_eq!(bob.tokens().tokens(Ownership::Peer, &[]).unwrap().collect().await.unwrap(), [known]);
}

#[tokio::test]
async fn tokens_expire_for_others_and_stay_listed() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let token = alice.tokens().create_own_token(own_token(json!({}), world.at(60))).await.unwrap();
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(code(load_token(&bob, &token.reference, None).await), "error.runtime.recordNotFound");
    assert_eq!(alice.tokens().tokens(Ownership::Own, &[]).unwrap().collect().await.unwrap(), [token]);
}

#[tokio::test]
async fn deleting_an_own_token_deletes_it_for_everybody() {
    let world = World::new().await;
    let (alice, bob, carol) = (world.node("alice").await, world.node("bob").await, world.node("carol").await);
    let token = alice.tokens().create_own_token(own_token(json!({}), world.at(60))).await.unwrap();
    load_token(&bob, &token.reference, None).await.unwrap();
    bob.tokens().delete_token(&token.id).await.unwrap();
    assert_eq!(code(bob.tokens().token(&token.id).await), "error.runtime.recordNotFound");
    assert!(load_token(&bob, &token.reference, None).await.is_ok(), "a peer deletes its own copy only");
    let mut events = alice.events();
    alice.tokens().delete_token(&token.id).await.unwrap();
    while !matches!(events.recv().await.unwrap(), Event::TokenDeleted(id) if id == token.id) {}
    assert_eq!(code(load_token(&carol, &token.reference, None).await), "error.runtime.recordNotFound");
    assert_eq!(code(alice.tokens().delete_token(&token.id).await), "error.runtime.recordNotFound");
}

#[tokio::test]
async fn only_its_creator_unlocks_a_token() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let token = alice.tokens().create_own_token(own_token(json!({}), world.at(60))).await.unwrap();
    load_token(&bob, &token.reference, None).await.unwrap();
    assert_eq!(code(bob.tokens().unlock_token(&token.id).await), "error.platform.forbidden");
    let unknown = "TOKaaaaaaaaaaaaaaaa1".parse().unwrap();
    assert_eq!(code(alice.tokens().unlock_token(&unknown).await), "error.runtime.recordNotFound");
}

#[tokio::test]
async fn a_token_that_is_gone_at_the_backbone_counts_as_deleted() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let token = alice.tokens().create_own_token(own_token(json!({}), world.at(60))).await.unwrap();
    let deletion = Matching::path("/Tokens").method(Method::DELETE).times(1);
    world.faults.inject(deletion, Fault::DropAfter);
    assert_eq!(code(alice.tokens().delete_token(&token.id).await), "error.transport.request.network");
    assert!(alice.tokens().token(&token.id).await.is_ok());
    alice.tokens().delete_token(&token.id).await.unwrap();
    assert!(alice.tokens().tokens(Ownership::Any, &[]).unwrap().collect().await.unwrap().is_empty());
}

#[tokio::test]
async fn unreadable_references_are_distinguished_from_references_to_other_records() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let load = async |reference: &str| {
        let request = LoadPeerToken { reference: reference.into(), ephemeral: false, password: None };
        alice.tokens().load_peer_token(request).await.unwrap_err()
    };
    let file = alice.files().upload_own_file(crate::world::file("a", "a")).await.unwrap();
    assert_eq!(load(&file.reference.truncated).await.to_string(), "token reference invalid");
    assert_eq!(load("VE9L####").await.code(), "error.core-types.invalidTruncatedReference");
    let id: TokenId = "TOK00000000000000000".parse().unwrap();
    assert_eq!(code(alice.tokens().token(&id).await), "error.runtime.recordNotFound");
    let unknown = TokenReference::new(id, SecretKey::generate().into());
    let refusal = load(&unknown.to_truncated()).await;
    assert_eq!(refusal.code(), "error.runtime.recordNotFound");
}

#[tokio::test]
async fn an_empty_token_is_reported_as_empty() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let request = CreateToken { content: None, expires_at: world.at(120), for_identity: None, password: None };
    let created = stranger(&world).create_token(&request).await.unwrap();
    let reference = TokenReference::new(created.id, SecretKey::generate().into()).to_truncated();
    let request = LoadPeerToken { reference, ephemeral: true, password: None };
    assert_eq!(code(alice.tokens().load_peer_token(request).await), "error.transport.tokens.emptyToken");
}

#[tokio::test]
async fn a_reference_to_another_backbone_is_explained() {
    let (here, there) = (World::new().await, World::new().await);
    let (alice, bob) = (there.node("alice").await, here.node("bob").await);
    let token = alice.tokens().create_own_token(own_token(json!({}), there.at(60))).await.unwrap();
    let refusal = load_token(&bob, &token.reference, None).await.unwrap_err();
    assert_eq!(refusal.code(), "error.runtime.recordNotFound");
    let text = refusal.to_string();
    assert!(text.contains(&there.backbone.url()) && text.contains(&here.backbone.url()), "{text}");
}

#[tokio::test]
async fn an_unreachable_backbone_is_named_and_nothing_is_stored() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    world.faults.inject(Matching::path("/Tokens"), Fault::DropBefore);
    let refusal = alice.tokens().create_own_token(own_token(json!({}), world.at(60))).await;
    assert_eq!(code(refusal), "error.transport.request.network");
    assert!(alice.tokens().tokens(Ownership::Any, &[]).unwrap().collect().await.unwrap().is_empty());
    world.faults.clear();
    alice.tokens().create_own_token(own_token(json!({}), world.at(60))).await.unwrap();
    assert_eq!(alice.tokens().tokens(Ownership::Any, &[]).unwrap().collect().await.unwrap().len(), 1);
}

#[tokio::test]
async fn tokens_are_filtered_by_what_protects_them() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let plain = alice.tokens().create_own_token(own_token(json!({}), world.at(60))).await.unwrap();
    let request = CreateOwnToken { password_protection: protected("pw"), ..own_token(json!({}), world.at(90)) };
    let locked = alice.tokens().create_own_token(request).await.unwrap();
    let found = async |name: &str, value: &str| {
        let tokens =
            alice.tokens().tokens(Ownership::Own, &[(name.into(), value.into())]).unwrap().collect().await.unwrap();
        tokens.into_iter().map(|token| token.id).collect::<Vec<_>>()
    };
    let (plain, locked) = ([plain.id], [locked.id]);
    assert_eq!(found("passwordProtection", "").await, locked);
    assert_eq!(found("passwordProtection", "!").await, plain);
    assert_eq!(found("passwordProtection.password", "pw").await, locked);
    assert_eq!(found("expiresAt", &format!("<{}", world.at(70))).await, plain);
}

async fn expect(node: &Runtime, token: &TokenId, status: TokenStatus) -> TokenTerms {
    let terms = node.tokens().token_terms(token).await.unwrap();
    assert_eq!(terms.status, status);
    terms
}

#[tokio::test]
async fn a_receiver_follows_an_expiry_that_is_extended_and_shortened() {
    let world = World::new().await;
    let (alice, bob, carol) = (world.node("alice").await, world.node("bob").await, world.node("carol").await);
    let token = alice.tokens().create_own_token(own_token(json!({}), world.at(60))).await.unwrap();
    expect(&alice, &token.id, TokenStatus::Active).await;
    world.clock.advance(Duration::from_secs(61));
    expect(&alice, &token.id, TokenStatus::Expired).await;
    assert_eq!(code(load_token(&bob, &token.reference, None).await), "error.runtime.recordNotFound");
    let mut events = alice.events();
    let later = UpdateToken::until(world.at(600));
    let changed = alice.tokens().update_token(&token.id, later).await.unwrap();
    let expected = Token { expires_at: world.at(600), ..token.clone() };
    assert_eq!((changed.token, changed.backbone), (expected.clone(), TokenPath::Changed));
    assert_eq!(changed.peers, TokenPath::NotOffered);
    while !matches!(events.recv().await.unwrap(), Event::TokenChanged(token) if *token == expected) {}
    assert_eq!(load_token(&bob, &token.reference, None).await.unwrap().expires_at, world.at(600));
    let sooner = UpdateToken::until(world.at(90));
    alice.tokens().update_token(&token.id, sooner).await.unwrap();
    assert_eq!(alice.tokens().token(&token.id).await.unwrap().expires_at, world.at(90));
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(code(load_token(&carol, &token.reference, None).await), "error.runtime.recordNotFound");
}

#[tokio::test]
async fn a_revoked_token_is_closed_and_stays_in_the_list() {
    let world = World::new().await;
    let (alice, bob, carol) = (world.node("alice").await, world.node("bob").await, world.node("carol").await);
    let token = alice.tokens().create_own_token(own_token(json!({}), world.at(60))).await.unwrap();
    load_token(&bob, &token.reference, None).await.unwrap();
    bob.tokens().delete_token(&token.id).await.unwrap();
    world.clock.advance(Duration::from_secs(5));
    let mut events = alice.events();
    let changed = alice.tokens().revoke_token(&token.id).await.unwrap();
    let expected = Token { revoked_at: Some(world.at(5)), expires_at: world.at(5), ..token.clone() };
    assert_eq!(
        (&changed.token, changed.backbone, changed.peers),
        (&expected, TokenPath::Revoked, TokenPath::NotOffered)
    );
    while !matches!(events.recv().await.unwrap(), Event::TokenRevoked(token) if *token == expected) {}
    for node in [&bob, &carol] {
        assert_eq!(code(load_token(node, &token.reference, None).await), "error.runtime.recordNotFound");
    }
    assert_eq!(alice.tokens().tokens(Ownership::Own, &[]).unwrap().collect().await.unwrap(), [expected]);
    assert_eq!(expect(&alice, &token.id, TokenStatus::Revoked).await.revoked_at, Some(world.at(5)));
    world.clock.advance(Duration::from_secs(5));
    assert_eq!(alice.tokens().revoke_token(&token.id).await.unwrap(), changed, "again, it changes nothing");
    let update = alice.tokens().update_token(&token.id, UpdateToken::until(world.at(60))).await;
    assert!(update.unwrap_err().to_string().contains("is revoked"));
}

#[tokio::test]
async fn a_revocation_that_the_backbone_did_not_confirm_is_not_shown_and_can_be_repeated() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let token = alice.tokens().create_own_token(own_token(json!({}), world.at(60))).await.unwrap();
    world.faults.inject(Matching::path("/Revoke").method(Method::POST), Fault::DropBefore);
    assert!(alice.tokens().revoke_token(&token.id).await.is_err());
    assert_eq!(alice.tokens().token(&token.id).await.unwrap(), token);
    let update = alice.tokens().update_token(&token.id, UpdateToken::until(world.at(90))).await;
    assert!(update.unwrap_err().to_string().contains("is revoked"), "what has begun is not taken back");
    world.faults.clear();
    let changed = alice.tokens().revoke_token(&token.id).await.unwrap();
    assert_eq!((changed.backbone, changed.token.revoked_at), (TokenPath::Revoked, Some(world.at(0))));
    assert_eq!(code(load_token(&bob, &token.reference, None).await), "error.runtime.recordNotFound");
}

#[tokio::test]
async fn an_answer_about_the_terms_from_before_a_change_is_not_kept_after_it() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let [token, other] = [
        alice.tokens().create_own_token(own_token(json!({}), world.at(60))).await.unwrap(),
        alice.tokens().create_own_token(own_token(json!({}), world.at(60))).await.unwrap(),
    ];
    let gate = Gate::new();
    let terms = format!("{}/Terms", token.id);
    world.faults.inject(Matching::path(&terms).method(Method::GET).times(1), Fault::HoldAfter(gate.clone()));
    let limit = UpdateToken { max_downloads: Some(Some(1.try_into().unwrap())), ..UpdateToken::default() };
    let (asked, changed, ()) = tokio::join!(
        async { alice.tokens().token_terms(&token.id).await },
        async {
            gate.wait_for_arrivals(1).await;
            alice.tokens().update_token(&token.id, limit).await
        },
        async {
            gate.wait_for_arrivals(1).await;
            // The change has the time of many requests.
            for _ in 0..20 {
                alice.tokens().token_terms(&other.id).await.unwrap();
            }
            gate.open();
        },
    );
    assert_eq!(asked.unwrap().max_uses, None);
    assert_eq!(changed.unwrap().token.max_downloads.map(|most| most.get()), Some(1));
    let kept = alice.tokens().token(&token.id).await.unwrap();
    assert_eq!(kept.max_downloads.map(|most| most.get()), Some(1));
}

#[tokio::test]
async fn a_backbone_without_terms_is_explained_and_nothing_changes() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let token = alice.tokens().create_own_token(own_token(json!({}), world.at(60))).await.unwrap();
    world.faults.inject(Matching::path("/TokenServices"), Fault::RefuseBefore(http::StatusCode::NOT_FOUND));
    let update = alice.tokens().update_token(&token.id, UpdateToken::until(world.at(90))).await;
    let revocation = alice.tokens().revoke_token(&token.id).await;
    for refusal in [update.unwrap_err(), revocation.unwrap_err()] {
        assert_eq!(refusal.code(), "error.runtime.notSupported");
        assert!(refusal.to_string().contains("delete the token instead"), "{refusal}");
    }
    assert_eq!(code(alice.tokens().token_terms(&token.id).await), "error.runtime.notSupported");
    let services = alice.tokens().services().await.unwrap();
    assert_eq!(code(counted(&world, 1).terms.check(&services)), "error.runtime.notSupported");
    assert_eq!(alice.tokens().token(&token.id).await.unwrap(), token);
    assert!(load_token(&bob, &token.reference, None).await.is_ok());
}

#[tokio::test]
async fn only_own_tokens_that_are_known_here_have_terms() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let token = alice.tokens().create_own_token(own_token(json!({}), world.at(60))).await.unwrap();
    load_token(&bob, &token.reference, None).await.unwrap();
    let later = || UpdateToken::until(world.at(90));
    let unknown: TokenId = "TOKunknownunknown123".parse().unwrap();
    for (id, expected) in [(&token.id, "error.runtime.notSupported"), (&unknown, "error.runtime.recordNotFound")] {
        assert_eq!(code(bob.tokens().token_terms(id).await), expected);
        assert_eq!(code(bob.tokens().update_token(id, later()).await), expected);
        assert_eq!(code(bob.tokens().revoke_token(id).await), expected);
    }
    let past = alice.tokens().update_token(&token.id, UpdateToken::until(world.at(0))).await;
    assert_eq!(past.unwrap_err().to_string(), "'expiresAt' must be in the future");
}

fn counted(world: &World, most: u64) -> CreateOwnToken {
    let max_downloads = Some(most.try_into().unwrap());
    let label = Some("for Bob".parse().unwrap());
    let terms = NewTerms { max_downloads, label, notify: Some(Notify::Each), ..NewTerms::default() };
    CreateOwnToken { terms, ..own_token(json!({}), world.at(60)) }
}

#[tokio::test]
async fn a_counted_token_is_given_out_as_often_as_its_limit_says_and_shows_its_settings() {
    let world = World::new().await;
    let (alice, bob, carol) = (world.node("alice").await, world.node("bob").await, world.node("carol").await);
    let token = alice.tokens().create_own_token(counted(&world, 1)).await.unwrap();
    assert_eq!(token.label.as_ref().map(|label| label.as_str()), Some("for Bob"));
    assert_eq!((token.max_downloads.map(u32::from), token.notify), (Some(1), Some(Notify::Each)));
    assert_eq!(alice.tokens().token(&token.id).await.unwrap(), token);
    assert_eq!(
        alice.tokens().tokens(Ownership::Own, &[]).unwrap().collect().await.unwrap(),
        std::slice::from_ref(&token)
    );
    load_token(&bob, &token.reference, None).await.unwrap();
    assert!(load_token(&carol, &token.reference, None).await.is_err());
    expect(&alice, &token.id, TokenStatus::Exhausted).await;
    alice.tokens().delete_token(&token.id).await.unwrap();
    let ephemeral = CreateOwnToken { ephemeral: true, ..counted(&world, 1) };
    let refused = alice.tokens().create_own_token(ephemeral.clone()).await.unwrap_err().to_string();
    assert!(refused.contains("leave out 'notify', or make the token not ephemeral"), "{refused}");
    let ephemeral = CreateOwnToken { terms: NewTerms { notify: None, ..ephemeral.terms }, ..ephemeral };
    let ephemeral = alice.tokens().create_own_token(ephemeral).await.unwrap();
    assert!(ephemeral.label.is_some() && alice.tokens().token(&ephemeral.id).await.is_err());
    load_token(&bob, &ephemeral.reference, None).await.unwrap();
    assert!(load_token(&carol, &ephemeral.reference, None).await.is_err(), "the backbone counts it all the same");
}

#[tokio::test]
async fn a_node_that_nobody_asks_tells_of_uses_and_goes_on_after_a_failure() {
    let world = World::new().await;
    let interval = Some(Duration::from_millis(10));
    let alice = world.start(runtime::Config { token_interval: interval, ..world.config("alice") }).await.unwrap();
    let bob = world.node("bob").await;
    let token = alice.tokens().create_own_token(counted(&world, 2)).await.unwrap();
    let mut events = alice.events();
    world.faults.inject(Matching::path("/Terms").method(Method::GET).times(2), Fault::DropBefore);
    load_token(&bob, &token.reference, None).await.unwrap();
    let (told, uses, remaining) = loop {
        if let Event::TokenUsed { token, uses, remaining } = events.recv().await.unwrap() {
            break (token, uses, remaining);
        }
    };
    assert_eq!((told.id, uses, remaining), (token.id.clone(), 1, Some(1)));
    let listed = alice.tokens().find(runtime::facade::FindTokens::default()).await.unwrap();
    assert_eq!(listed.tokens[0].remaining, Some(1), "what was told is kept");
}

#[tokio::test]
async fn a_token_is_not_given_out_before_its_beginning_which_comes_before_its_end() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let from = |second| CreateOwnToken {
        terms: NewTerms { not_before: Some(world.at(second)), ..NewTerms::default() },
        ..own_token(json!({}), world.at(60))
    };
    let refusal = alice.tokens().create_own_token(from(60)).await.unwrap_err();
    assert_eq!(refusal.to_string(), "'notBefore' must be before 'expiresAt'");
    let token = alice.tokens().create_own_token(from(30)).await.unwrap();
    assert_eq!(token.not_before, Some(world.at(30)));
    assert_eq!(code(load_token(&bob, &token.reference, None).await), "error.runtime.recordNotFound");
    expect(&alice, &token.id, TokenStatus::NotYetValid).await;
    world.clock.advance(Duration::from_secs(30));
    load_token(&bob, &token.reference, None).await.unwrap();
}

#[tokio::test]
async fn what_a_backbone_cannot_enforce_is_refused_before_a_token_is_made() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    world.faults.inject(Matching::path("/TokenServices"), Fault::RefuseBefore(http::StatusCode::NOT_FOUND));
    let refusal = alice.tokens().create_own_token(counted(&world, 1)).await.unwrap_err();
    assert_eq!(refusal.code(), "error.runtime.notSupported");
    assert!(refusal.to_string().contains("maxDownloads"), "{refusal}");
    assert!(alice.tokens().tokens(Ownership::Own, &[]).unwrap().collect().await.unwrap().is_empty());
    let mut noted = counted(&world, 1);
    noted.terms.max_downloads = None;
    let refusal = alice.tokens().create_own_token(noted.clone()).await.unwrap_err();
    assert_eq!(refusal.code(), "error.runtime.notSupported");
    assert!(refusal.to_string().contains("leave out 'notify'"), "{refusal}");
    assert!(alice.tokens().tokens(Ownership::Own, &[]).unwrap().collect().await.unwrap().is_empty());
    noted.terms.notify = Some(Notify::None);
    assert!(alice.tokens().create_own_token(noted).await.unwrap().label.is_some(), "a label needs no backbone");
}

#[tokio::test]
async fn terms_of_a_token_are_changed_one_by_one_and_ended() {
    let world = World::new().await;
    let (alice, bob, carol) = (world.node("alice").await, world.node("bob").await, world.node("carol").await);
    let token = alice.tokens().create_own_token(counted(&world, 1)).await.unwrap();
    load_token(&bob, &token.reference, None).await.unwrap();
    assert_eq!(code(load_token(&carol, &token.reference, None).await), "error.platform.token.exhausted");
    let noted = UpdateToken { label: Some(None), notify: Some(Notify::None), ..UpdateToken::default() };
    let changed = alice.tokens().update_token(&token.id, noted).await.unwrap();
    assert_eq!((changed.backbone, changed.token.label), (TokenPath::Unchanged, None));
    let more = UpdateToken { max_downloads: Some(Some(2.try_into().unwrap())), ..UpdateToken::default() };
    let changed = alice.tokens().update_token(&token.id, more).await.unwrap();
    assert_eq!((changed.backbone, changed.token.max_downloads.map(u32::from)), (TokenPath::Changed, Some(2)));
    load_token(&carol, &token.reference, None).await.unwrap();
    let any = UpdateToken { max_downloads: Some(None), ..UpdateToken::default() };
    let changed = alice.tokens().update_token(&token.id, any).await.unwrap();
    assert_eq!((changed.token.max_downloads, changed.token.expires_at), (None, token.expires_at));
    expect(&alice, &token.id, TokenStatus::Active).await;
    let late = UpdateToken { not_before: Some(Some(world.at(60))), ..UpdateToken::default() };
    assert!(alice.tokens().update_token(&token.id, late).await.unwrap_err().to_string().contains("before"));
    assert!(alice.tokens().update_token(&token.id, UpdateToken::default()).await.is_err());
}

#[tokio::test]
async fn a_token_that_is_loaded_again_is_one_use() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let token = alice.tokens().create_own_token(counted(&world, 1)).await.unwrap();
    let request = LoadPeerToken { reference: token.reference.url.clone(), ephemeral: true, password: None };
    for _ in 0..3 {
        bob.tokens().load_peer_token(request.clone()).await.unwrap();
    }
    world.faults.inject(Matching::path("/Tokens/").method(Method::GET), Fault::DropAfter);
    let second = alice.tokens().create_own_token(counted(&world, 1)).await.unwrap();
    let request = LoadPeerToken { reference: second.reference.url.clone(), ephemeral: true, password: None };
    assert!(bob.tokens().load_peer_token(request.clone()).await.is_err(), "the answer is lost");
    world.faults.clear();
    bob.shutdown().await.unwrap();
    drop(bob);
    let bob = world.node("bob").await;
    bob.tokens().load_peer_token(request).await.unwrap();
}

#[tokio::test]
async fn a_use_is_committed_when_the_file_was_read_to_its_end() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let uploaded = alice.files().upload_own_file(file("a", "content")).await.unwrap();
    let terms = NewTerms { max_downloads: Some(2.try_into().unwrap()), ..NewTerms::default() };
    let limited = CreateTokenForFile { terms, ..stored() };
    let token = alice.files().create_token_for_file(&uploaded.id, limited).await.unwrap();
    let request = LoadFile { reference: token.reference.url.clone(), password: None };
    bob.files().get_or_load_file(request.clone()).await.unwrap();
    let terms = expect(&alice, &token.id, TokenStatus::Active).await;
    assert_eq!((terms.committed_uses, terms.leased_uses), (0, 1));
    for _ in 0..2 {
        bob.files().download_file(&uploaded.id, None).await.unwrap();
        bob.files().get_or_load_file(request.clone()).await.unwrap();
    }
    // A stop waits until the end of the use is told.
    bob.shutdown().await.unwrap();
    let terms = expect(&alice, &token.id, TokenStatus::Active).await;
    assert_eq!((terms.committed_uses, terms.leased_uses), (1, 0));
}

#[tokio::test]
async fn a_replaced_token_ends_and_the_new_one_has_the_uses_that_are_left() {
    let world = World::new().await;
    let (alice, bob, carol) = (world.node("alice").await, world.node("bob").await, world.node("carol").await);
    let token = alice.tokens().create_own_token(counted(&world, 3)).await.unwrap();
    load_token(&bob, &token.reference, None).await.unwrap();
    world.faults.inject(Matching::path("/Revoke").method(Method::POST), Fault::DropBefore);
    let failed = alice.tokens().rotate_token(&token.id).await.unwrap_err();
    let runtime::Error::Unreplaced { new: made, cause } = &failed else { panic!("{failed}") };
    assert!(failed.to_string().contains(made.as_str()) && failed.code() == cause.code(), "{failed}");
    assert!(alice.tokens().token(made).await.is_ok(), "it is in the list");
    world.faults.clear();
    let rotated = alice.tokens().rotate_token(&token.id).await.unwrap();
    assert_eq!(rotated.token.id, *made);
    assert_eq!((rotated.old.backbone, rotated.old.token.id.clone()), (TokenPath::Revoked, token.id.clone()));
    let new = &rotated.token;
    assert_eq!(new.max_downloads.map(u32::from), Some(2));
    assert_eq!((&new.label, &new.content, new.expires_at), (&token.label, &token.content, token.expires_at));
    assert_ne!((&new.id, &new.reference.url), (&token.id, &token.reference.url));
    assert_eq!(alice.tokens().tokens(Ownership::Own, &[]).unwrap().collect().await.unwrap().len(), 2, "no further one");
    assert_eq!(alice.tokens().rotate_token(&token.id).await.unwrap(), rotated, "again, it changes nothing");
    assert_eq!(code(load_token(&carol, &token.reference, None).await), "error.runtime.recordNotFound");
    load_token(&carol, &new.reference, None).await.unwrap();
    let spent = alice.tokens().create_own_token(counted(&world, 1)).await.unwrap();
    load_token(&carol, &spent.reference, None).await.unwrap();
    assert!(alice.tokens().rotate_token(&spent.id).await.unwrap_err().to_string().contains("higher limit"));
    assert_eq!(code(bob.tokens().rotate_token(&token.id).await), "error.runtime.notSupported");
}

#[tokio::test]
async fn a_rotation_that_fails_after_the_old_token_has_ended_names_the_new_one_and_is_completed() {
    let world = World::new().await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    let token = alice.tokens().create_own_token(counted(&world, 3)).await.unwrap();
    world.faults.inject(Matching::path("/Revoke").method(Method::POST), Fault::DropBefore);
    alice.tokens().rotate_token(&token.id).await.unwrap_err();
    load_token(&bob, &token.reference, None).await.unwrap();
    world.faults.clear();
    world.faults.inject(Matching::path("/Terms").method(Method::PATCH), Fault::DropBefore);
    let failed = alice.tokens().rotate_token(&token.id).await.unwrap_err();
    let runtime::Error::Unreplaced { new: made, .. } = &failed else { panic!("{failed}") };
    assert!(failed.to_string().contains("the same call completes the rotation"), "{failed}");
    assert!(alice.tokens().token(&token.id).await.unwrap().revoked_at.is_some(), "the old one has ended");
    world.faults.clear();
    let rotated = alice.tokens().rotate_token(&token.id).await.unwrap();
    assert_eq!((&rotated.token.id, rotated.token.max_downloads.map(u32::from)), (made, Some(2)));
}

#[tokio::test]
async fn a_node_that_reads_faster_than_claims_are_made_for_it_reads_without_and_is_counted_once() {
    let rate = backbone_mock::Rate { burst: 1, interval: Duration::from_secs(3600) };
    let limit = |config: &mut backbone_mock::Config| {
        (config.limits.rates.anonymous_reads, config.limits.rates.loopback_factor) = (rate, 1);
    };
    let world = World::with(limit).await;
    let (alice, bob) = (world.node("alice").await, world.node("bob").await);
    // The first one is read under a claim, which is all there are.
    for reads in [1, 2, 2] {
        let token = alice.tokens().create_own_token(counted(&world, 1)).await.unwrap();
        let request = LoadPeerToken { reference: token.reference.url.clone(), ephemeral: true, password: None };
        for _ in 0..reads {
            bob.tokens().load_peer_token(request.clone()).await.unwrap();
        }
        let terms = expect(&alice, &token.id, TokenStatus::Exhausted).await;
        assert_eq!(terms.committed_uses + terms.leased_uses, 1);
    }
}
