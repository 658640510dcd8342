//! Nodes on different backbones: a reference says where it belongs, and a node that cannot follow says so.
#![allow(clippy::unwrap_used, reason = "a test")]

use enlace_tests::{World, assert_mentions};

#[tokio::test]
async fn a_reference_to_another_backbone_is_refused_by_an_error_that_names_both() {
    let world = World::new();
    let (here, there) = (world.backbone_at("here").await, world.backbone_at("there").await);
    let alice = world.node("alice", &there).await;
    let bob = world.node("bob", &here).await;
    let file = alice.upload("a", b"content").await.unwrap();
    let token = alice.share(&file).await.unwrap();
    let both = [there.line().url(), here.line().url()];
    let both = both.each_ref().map(String::as_str);
    assert_mentions(bob.receive(&token.reference.url).await, &both);
    assert_mentions(bob.receive(&token.reference.truncated).await, &both);
    assert_mentions(bob.receive(&file.reference.url).await, &both);
    assert_mentions(bob.load_token(&token.reference.url).await, &both);
    assert!(bob.files().await.is_empty() && bob.tokens().await.is_empty());
}

#[tokio::test]
async fn an_equal_id_at_ones_own_backbone_is_not_taken_for_the_one_that_is_meant() {
    let world = World::new();
    let (here, there) = (world.backbone_at("here").await, world.backbone_at("there").await);
    let alice = world.node("alice", &there).await;
    let (bob, carol) = (world.node("bob", &here).await, world.node("carol", &here).await);
    let file = alice.upload("a", b"meant").await.unwrap();
    let token = alice.share(&file).await.unwrap();
    let other = carol.upload("b", b"not meant").await.unwrap();
    let decoy = carol.share(&other).await.unwrap();
    // The worst case of a chance that is not worth a thought: both backbones gave the same id.
    let reference = token.reference.url.replace(token.id.as_str(), decoy.id.as_str());
    assert!(bob.receive(&reference).await.is_err());
    assert!(bob.files().await.is_empty());
}

#[tokio::test]
async fn a_node_on_each_backbone_shares_within_its_own() {
    let world = World::new();
    let (here, there) = (world.backbone_at("here").await, world.backbone_at("there").await);
    for (name, backbone) in [("here", &here), ("there", &there)] {
        let sender = world.node(&format!("{name}-sender"), backbone).await;
        let receiver = world.node(&format!("{name}-receiver"), backbone).await;
        let file = sender.upload("a", name.as_bytes()).await.unwrap();
        let token = sender.share(&file).await.unwrap();
        assert!(token.reference.url.starts_with(&backbone.line().url()), "references name their backbone");
        assert_eq!(receiver.fetch(&token.reference.url).await.unwrap(), name.as_bytes());
    }
}
