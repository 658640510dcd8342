//! The store of a running node: one process, restarts, keys.

use std::sync::Arc;

use runtime::facade::Ownership;
use runtime::{DirectoryLock, Error, LOCK_FILE, Runtime, StoreKey};
use serde_json::json;

use crate::world::{World, bytes_of, file, own_token};

#[tokio::test]
async fn a_restart_finds_the_identity_and_everything_that_was_acknowledged() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let identity = alice.account().identity_info().await.unwrap();
    let uploaded = alice.files().upload_own_file(file("a", "kept")).await.unwrap();
    let token = alice.tokens().create_own_token(own_token(json!({}), world.at(60))).await.unwrap();
    alice.shutdown().await.unwrap();
    drop(alice);
    let alice = world.node("alice").await;
    assert_eq!(alice.account().identity_info().await.unwrap(), identity);
    assert_eq!(
        alice.files().files(Ownership::Any, &[]).unwrap().collect().await.unwrap(),
        std::slice::from_ref(&uploaded)
    );
    assert_eq!(alice.tokens().tokens(Ownership::Any, &[]).unwrap().collect().await.unwrap(), [token]);
    assert_eq!(bytes_of(&alice, &uploaded).await.unwrap(), b"kept");
}

#[tokio::test]
async fn a_second_node_on_the_same_directory_is_told_who_has_it() {
    let world = World::new().await;
    let _alice = world.node("alice").await;
    let refusal = world.start(world.config("alice")).await.err().unwrap();
    assert!(matches!(refusal, Error::Store(_)));
    let text = refusal.to_string();
    assert!(text.contains(&format!("in use by process {}", std::process::id())), "{text}");
    assert!(text.contains("choose another directory"), "{text}");
}

#[tokio::test]
async fn an_app_can_hand_over_its_lock_and_only_that_of_the_directory() {
    let world = World::new().await;
    let config = world.config("alice");
    std::fs::create_dir(&config.data_dir).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&config.data_dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let take = |directory| DirectoryLock::take(directory, LOCK_FILE).map(Arc::new);
    let elsewhere = take(world.path()).unwrap();
    let refusal = Runtime::builder(config.clone()).lock(elsewhere).start().await.err().unwrap();
    assert!(matches!(refusal, Error::Config(_)), "{refusal}");
    let lock = take(&config.data_dir).unwrap();
    let alice = Runtime::builder(config.clone()).lock(lock.clone()).start().await.unwrap();
    drop(lock);
    assert!(take(&config.data_dir).is_err(), "the node holds it");
    alice.shutdown().await.unwrap();
    drop(alice);
    take(&config.data_dir).unwrap();
}

#[tokio::test]
async fn the_wrong_key_is_named_and_changes_nothing() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let identity = alice.account().identity_info().await.unwrap();
    alice.shutdown().await.unwrap();
    drop(alice);
    let mut config = world.config("alice");
    let other = world.data_dir("other.key");
    std::fs::write(&other, transport::wire::bytes::to_base64url(&[9; 32])).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&other, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    config.store_key = StoreKey::FileAt(other);
    let text = world.start(config).await.err().unwrap().to_string();
    assert!(text.contains("the store key does not open this store"), "{text}");
    assert_eq!(world.node("alice").await.account().identity_info().await.unwrap(), identity);
}
