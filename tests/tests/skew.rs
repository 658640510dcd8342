//! Clocks that disagree: the backbone's time decides about expiry, and a node says what is wrong (T16).
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use enlace_tests::{World, refusal};
use runtime::facade::CreateTokenForFile;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn nodes_a_day_off_share_and_receive() {
    let world = World::new();
    let backbone = world.backbone().await;
    let ahead = world.node_with_clock("ahead", &backbone, world.clock().ahead_by(DAY)).await;
    let behind = world.node_with_clock("behind", &backbone, world.clock().behind_by(DAY)).await;
    for (sender, receiver) in [(&ahead, &behind), (&behind, &ahead)] {
        let file = sender.upload("a", b"content").await.unwrap();
        let token = sender.share(&file).await.unwrap();
        assert_eq!(receiver.fetch(&token.reference.url).await.unwrap(), b"content");
    }
}

#[tokio::test]
async fn a_slow_clock_does_not_resurrect_an_expired_token() {
    let world = World::new();
    let backbone = world.backbone().await;
    let alice = world.node("alice", &backbone).await;
    let behind = world.node_with_clock("behind", &backbone, world.clock().behind_by(DAY)).await;
    let file = alice.upload("a", b"content").await.unwrap();
    let expires_at = Some(world.clock().time().saturating_add(HOUR));
    let token = alice.share_as(&file, CreateTokenForFile { expires_at, ..Default::default() }).await.unwrap();
    world.advance(HOUR);
    assert_eq!(refusal(behind.receive(&token.reference.url).await), "error.runtime.recordNotFound");
}

#[tokio::test]
async fn a_fast_clock_does_not_expire_a_good_token() {
    let world = World::new();
    let backbone = world.backbone().await;
    let alice = world.node("alice", &backbone).await;
    let ahead = world.node_with_clock("ahead", &backbone, world.clock().ahead_by(DAY)).await;
    let file = alice.upload("a", b"content").await.unwrap();
    let expires_at = Some(world.clock().time().saturating_add(HOUR));
    let token = alice.share_as(&file, CreateTokenForFile { expires_at, ..Default::default() }).await.unwrap();
    assert_eq!(ahead.fetch(&token.reference.url).await.unwrap(), b"content");
}

#[tokio::test]
async fn an_expiry_that_only_a_slow_clock_takes_for_the_future_is_refused_by_the_backbone() {
    let world = World::new();
    let backbone = world.backbone().await;
    let behind = world.node_with_clock("behind", &backbone, world.clock().behind_by(DAY)).await;
    let file = behind.upload("a", b"content").await.unwrap();
    let expires_at = Some(world.clock().time().saturating_sub(HOUR));
    let outcome = behind.share_as(&file, CreateTokenForFile { expires_at, ..Default::default() }).await;
    assert_eq!(refusal(outcome), "error.platform.validation.invalidPropertyValue");
    assert!(behind.tokens().await.is_empty());
}
