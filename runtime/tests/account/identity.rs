use runtime::dto::IdentityMetadata;
use serde_json::json;

use crate::world::{World, stop};

#[tokio::test]
async fn an_identity_survives_restarts_of_node_and_backbone() {
    let mut world = World::new().await;
    let node = world.node("node").await;
    let (identity, device) =
        (node.account().identity_info().await.unwrap(), node.account().device_info().await.unwrap());
    assert_eq!(identity.address.host(), "localhost");
    assert!(device.is_admin);
    node.account().sync_everything().await.unwrap();
    stop(node).await;
    world.stop_backbone().await;
    world.start_backbone().await;
    let node = world.node("node").await;
    assert_eq!(node.account().identity_info().await.unwrap(), identity);
    assert_eq!(node.account().device_info().await.unwrap(), device);
    node.account().sync_everything().await.unwrap();
    let info = node.account().sync_info().await.unwrap();
    assert!(info.last_sync_run.is_some() && info.last_datawallet_sync.is_some());
}

#[tokio::test]
async fn a_node_with_an_identity_works_without_its_backbone_and_synchronizes_later() {
    let mut world = World::new().await;
    let node = world.node("node").await;
    node.account().sync_datawallet().await.unwrap();
    let reference = node.account().identity_info().await.unwrap().address;
    stop(node).await;
    world.stop_backbone().await;

    let node = world.node("node").await;
    let health = node.account().health().await;
    assert!(health.database && !health.backbone_connection && !health.backbone_authentication);
    let note = IdentityMetadata { reference: reference.clone(), key: None, value: json!({ "a": 1 }) };
    node.identity_metadata().upsert(note.clone()).await.unwrap();
    let error = node.account().sync_datawallet().await.unwrap_err();
    assert_eq!(error.code(), "error.transport.request.network");

    world.start_backbone().await;
    node.account().sync_datawallet().await.unwrap();
    let health = node.account().health().await;
    assert!(health.backbone_connection && health.backbone_authentication);
    assert_eq!(node.identity_metadata().find(&reference, None).await.unwrap(), note);
}

#[tokio::test]
async fn a_first_start_without_a_backbone_fails_and_succeeds_later() {
    let mut world = World::new().await;
    world.stop_backbone().await;
    let error = world.start("node").await.err().unwrap();
    assert_eq!(error.code(), "error.transport.request.network");
    world.start_backbone().await;
    world.node("node").await.account().sync_everything().await.unwrap();
}

#[tokio::test]
async fn a_wrong_client_secret_is_reported_at_the_first_start() {
    let world = World::new().await;
    let mut config = world.config("node");
    config.backbone.client_secret = runtime::Secret::new("wrong");
    let error = runtime::Runtime::builder(config).start().await.err().unwrap();
    assert_eq!(error.code(), "error.transport.general.platformClientInvalid");
}

#[tokio::test]
async fn synchronizations_at_the_same_time_all_succeed() {
    let world = World::new().await;
    let node = world.node("node").await;
    let account = node.account();
    let (first, second, third) =
        tokio::join!(account.sync_everything(), account.sync_datawallet(), account.sync_everything());
    first.and(second).and(third).unwrap();
}

#[tokio::test]
async fn calls_after_a_shutdown_say_that_the_node_is_shut_down() {
    let world = World::new().await;
    let node = world.node("node").await;
    node.shutdown().await.unwrap();
    node.shutdown().await.unwrap();
    let error = node.account().sync_everything().await.unwrap_err();
    assert_eq!(error.code(), "error.transport.request.aborted");
}
