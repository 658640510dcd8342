//! The main job: a file, a token, a peer.
#![allow(clippy::unwrap_used, reason = "a test")]

use enlace_tests::{World, refusal};
use runtime::Tags;
use runtime::dto::File;
use runtime::facade::{CreateOwnToken, CreateTokenForFile, LoadPeerToken, Ownership, UploadOwnFile};
use serde_json::json;

const NOT_FOUND: &str = "error.runtime.recordNotFound";

fn ephemeral() -> CreateTokenForFile {
    CreateTokenForFile { ephemeral: true, ..CreateTokenForFile::default() }
}

#[tokio::test]
async fn a_peer_receives_what_was_shared() {
    let world = World::new();
    let backbone = world.backbone().await;
    let (alice, bob) = (world.node("alice", &backbone).await, world.node("bob", &backbone).await);
    let content: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
    let (filename, mimetype) = ("папка/résumé 📎.pdf".parse().unwrap(), "application/pdf".parse().unwrap());
    let request = UploadOwnFile {
        title: Some("A title".to_owned()),
        description: Some(String::new()),
        tags: Some(Tags::new(vec!["x:one".to_owned(), "x:two".to_owned()]).unwrap()),
        ..UploadOwnFile::new(std::io::Cursor::new(content.clone()), filename, mimetype)
    };
    let uploaded = alice.upload_with(request).await.unwrap();
    let token = alice.share(&uploaded).await.unwrap();
    for reference in [&token.reference.truncated, &token.reference.url, &uploaded.reference.url] {
        let received = bob.receive(reference).await.unwrap();
        let expected = File { is_own: false, ownership_token: None, ..uploaded.clone() };
        assert_eq!(received, expected);
    }
    assert_eq!(uploaded.filename, "résumé 📎.pdf");
    assert_eq!(bob.download(&uploaded.id).await.unwrap(), content);
    assert_eq!(bob.files().await.len(), 1, "one file, however often it is loaded");
}

#[tokio::test]
async fn an_ephemeral_token_works_but_is_neither_stored_nor_listed() {
    let world = World::new();
    let backbone = world.backbone().await;
    let (alice, bob) = (world.node("alice", &backbone).await, world.node("bob", &backbone).await);
    let file = alice.upload("a", b"content").await.unwrap();
    let token = alice.share_as(&file, ephemeral()).await.unwrap();
    assert!(token.is_ephemeral);
    assert_eq!(bob.fetch(&token.reference.url).await.unwrap(), b"content");
    assert!(alice.tokens().await.is_empty());
    assert!(bob.tokens().await.is_empty(), "a token that only leads to a file is not kept");
    assert_eq!(refusal(alice.runtime().tokens().token(&token.id).await), NOT_FOUND);
    assert_eq!(refusal(alice.runtime().tokens().delete_token(&token.id).await), NOT_FOUND);
    let alice = alice.restart().await;
    assert!(alice.tokens().await.is_empty());
}

#[tokio::test]
async fn a_stored_token_is_listed_until_it_is_deleted() {
    let world = World::new();
    let backbone = world.backbone().await;
    let (alice, bob) = (world.node("alice", &backbone).await, world.node("bob", &backbone).await);
    let file = alice.upload("a", b"content").await.unwrap();
    let token = alice.share(&file).await.unwrap();
    assert_eq!(alice.tokens().await, std::slice::from_ref(&token));
    alice.runtime().tokens().delete_token(&token.id).await.unwrap();
    assert!(alice.tokens().await.is_empty());
    assert_eq!(refusal(bob.receive(&token.reference.url).await), NOT_FOUND);
    assert_eq!(alice.download(&file.id).await.unwrap(), b"content", "the file outlives its token");
}

#[tokio::test]
async fn a_token_that_is_gone_at_the_backbone_can_still_be_deleted() {
    let world = World::new();
    let backbone = world.backbone().await;
    let alice = world.node("alice", &backbone).await;
    let file = alice.upload("a", b"content").await.unwrap();
    let token = alice.share(&file).await.unwrap();
    let not_found = json!({"error": {"id": "ERR1", "code": "error.platform.recordNotFound", "message": "Token not found.",
        "docs": "", "time": "2030-01-01T00:00:00.000Z", "data": null}});
    let gone = enlace_tests::Fate::Answered(hyper::StatusCode::NOT_FOUND, not_found.to_string());
    backbone.line().next(1, hyper::Method::DELETE, "/api/v2/Tokens/*", gone);
    alice.runtime().tokens().delete_token(&token.id).await.unwrap();
    assert!(alice.tokens().await.is_empty());
}

#[tokio::test]
async fn a_peers_token_is_deleted_here_only() {
    let world = World::new();
    let backbone = world.backbone().await;
    let (alice, bob) = (world.node("alice", &backbone).await, world.node("bob", &backbone).await);
    let file = alice.upload("a", b"content").await.unwrap();
    let token = alice.share(&file).await.unwrap();
    let loaded = bob.load_token(&token.reference.url).await.unwrap();
    assert!(!loaded.is_own);
    assert_eq!(loaded.content, token.content);
    assert_eq!(bob.tokens().await.len(), 1);
    bob.runtime().tokens().delete_token(&token.id).await.unwrap();
    assert!(bob.tokens().await.is_empty());
    assert_eq!(bob.fetch(&token.reference.url).await.unwrap(), b"content", "it is still there for everybody");
}

#[tokio::test]
async fn deleting_an_own_file_takes_it_from_everybody() {
    let world = World::new();
    let backbone = world.backbone().await;
    let (alice, bob) = (world.node("alice", &backbone).await, world.node("bob", &backbone).await);
    let file = alice.upload("a", b"content").await.unwrap();
    let token = alice.share(&file).await.unwrap();
    bob.receive(&token.reference.url).await.unwrap();
    alice.runtime().files().delete_file(&file.id).await.unwrap();
    assert!(alice.files().await.is_empty());
    assert_eq!(refusal(alice.download(&file.id).await), NOT_FOUND);
    assert_eq!(refusal(bob.download(&file.id).await), NOT_FOUND);
    let carol = world.node("carol", &backbone).await;
    assert_eq!(refusal(carol.receive(&token.reference.url).await), NOT_FOUND);
    assert!(carol.files().await.is_empty());
}

#[tokio::test]
async fn deleting_a_peers_file_forgets_it_here_only() {
    let world = World::new();
    let backbone = world.backbone().await;
    let (alice, bob) = (world.node("alice", &backbone).await, world.node("bob", &backbone).await);
    let file = alice.upload("a", b"content").await.unwrap();
    let token = alice.share(&file).await.unwrap();
    bob.receive(&token.reference.url).await.unwrap();
    bob.runtime().files().delete_file(&file.id).await.unwrap();
    assert!(bob.files().await.is_empty());
    assert_eq!(alice.download(&file.id).await.unwrap(), b"content");
    assert_eq!(bob.fetch(&token.reference.url).await.unwrap(), b"content", "it can be loaded anew");
}

#[tokio::test]
async fn a_received_file_can_be_shared_again() {
    let world = World::new();
    let backbone = world.backbone().await;
    let (alice, bob) = (world.node("alice", &backbone).await, world.node("bob", &backbone).await);
    let carol = world.node("carol", &backbone).await;
    let file = alice.upload("a", b"content").await.unwrap();
    let first = alice.share(&file).await.unwrap();
    let received = bob.receive(&first.reference.url).await.unwrap();
    let second = bob.share(&received).await.unwrap();
    assert_eq!(second.created_by, *bob.address());
    assert_ne!(second.reference.url, first.reference.url);
    assert_eq!(carol.fetch(&second.reference.url).await.unwrap(), b"content");
    assert_eq!(carol.files().await[0].created_by, *alice.address());
}

#[tokio::test]
async fn own_references_lead_back_to_own_records() {
    let world = World::new();
    let backbone = world.backbone().await;
    let alice = world.node("alice", &backbone).await;
    let file = alice.upload("a", b"content").await.unwrap();
    let token = alice.share(&file).await.unwrap();
    assert!(alice.receive(&token.reference.url).await.unwrap().is_own);
    assert!(alice.load_token(&token.reference.truncated).await.unwrap().is_own);
    assert_eq!((alice.files().await.len(), alice.tokens().await.len()), (1, 1));
}

#[tokio::test]
async fn tokens_carry_any_content() {
    let world = World::new();
    let backbone = world.backbone().await;
    let (alice, bob) = (world.node("alice", &backbone).await, world.node("bob", &backbone).await);
    let content = json!({"hello": "world", "nested": {"list": [1, 2.5, null, "ü"]}});
    let request = CreateOwnToken::new(content.clone(), runtime::Timestamp::NEVER);
    let token = alice.runtime().tokens().create_own_token(request).await.unwrap();
    let load = LoadPeerToken { reference: token.reference.truncated.clone(), ephemeral: true, password: None };
    let loaded = bob.runtime().tokens().load_peer_token(load).await.unwrap();
    assert_eq!((loaded.content.to_value(), loaded.is_ephemeral), (content, true));
    assert!(bob.tokens().await.is_empty());
    assert_eq!(refusal(bob.receive(&token.reference.url).await), "error.runtime.invalidTokenContent");
}

#[tokio::test]
async fn everything_is_there_after_everything_was_restarted() {
    let world = World::new();
    let mut backbone = world.backbone().await;
    let (alice, bob) = (world.node("alice", &backbone).await, world.node("bob", &backbone).await);
    let file = alice.upload("a", b"content").await.unwrap();
    let token = alice.share(&file).await.unwrap();
    let received = bob.receive(&token.reference.url).await.unwrap();
    let address = alice.address().clone();
    let (alice, bob) = (alice.stop().await, bob.stop().await);
    backbone.restart().await;
    let alice = enlace_tests::Node::start(alice.0, alice.1).await.unwrap();
    let bob = enlace_tests::Node::start(bob.0, bob.1).await.unwrap();
    assert_eq!(*alice.address(), address);
    assert_eq!(alice.files().await, std::slice::from_ref(&file));
    assert_eq!(alice.tokens().await, std::slice::from_ref(&token));
    assert_eq!(bob.files().await, [received]);
    assert_eq!(bob.download(&file.id).await.unwrap(), b"content");
    let carol = world.node("carol", &backbone).await;
    assert_eq!(carol.fetch(&token.reference.url).await.unwrap(), b"content");
    let peers = bob.runtime().files().files(Ownership::Peer, &[]).unwrap().collect().await.unwrap();
    assert_eq!(peers.len(), 1);
    assert!(bob.runtime().files().files(Ownership::Own, &[]).unwrap().collect().await.unwrap().is_empty());
}
