//! Data directories that are in use, damaged, or not ours to read.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use backbone_mock::Backbone as Server;
use enlace_tests::{Node, World, copy_tree, files_below};
use runtime::Config;

/// The error text of a start that must fail.
async fn refused(config: &Config, world: &World) -> String {
    match Node::start(config.clone(), world.clock().clone()).await {
        Err(error) => error.to_string(),
        Ok(_) => panic!("the node started"),
    }
}

fn assert_names(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "'{text}' does not name '{word}'");
    }
}

#[tokio::test]
async fn a_second_node_on_a_directory_is_told_who_holds_it() {
    let world = World::new();
    let backbone = world.backbone().await;
    let alice = world.node("alice", &backbone).await;
    let config = Config::new(world.directory("alice"), backbone.as_seen_by_nodes());
    let text = refused(&config, &world).await;
    assert_names(&text, &[&std::process::id().to_string(), world.directory("alice").to_str().unwrap()]);
    let file = alice.upload("a", b"content").await.unwrap();
    let alice = alice.restart().await;
    assert_eq!(alice.files().await, [file], "the first one was not disturbed");
}

#[tokio::test]
async fn a_second_backbone_on_a_directory_is_told_who_holds_it() {
    let world = World::new();
    let backbone = world.backbone().await;
    let text = match Server::start(backbone_mock::Config::new(backbone.data_dir())).await {
        Err(error) => error.to_string(),
        Ok(_) => panic!("the backbone started"),
    };
    assert_names(&text, &[&std::process::id().to_string(), backbone.data_dir().to_str().unwrap()]);
}

#[tokio::test]
async fn a_backbone_on_a_taken_port_says_which() {
    let world = World::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let holder = std::net::TcpListener::bind(taken).unwrap();
    let mut config = backbone_mock::Config::new(world.directory("backbone"));
    config.listen = taken;
    let text = match Server::start(config.clone()).await {
        Err(error) => error.to_string(),
        Ok(_) => panic!("the backbone started"),
    };
    assert_names(&text, &[&taken.to_string(), "port 0"]);
    drop(holder);
    Server::start(config).await.unwrap().shutdown().await.unwrap();
}

#[tokio::test]
async fn a_store_whose_key_is_gone_or_wrong_is_refused_and_opens_again_with_the_right_one() {
    let world = World::new();
    let backbone = world.backbone().await;
    let alice = world.node("alice", &backbone).await;
    let file = alice.upload("a", b"content").await.unwrap();
    let (config, clock) = alice.stop().await;
    let key = config.data_dir.join("store.key");
    let right = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    assert_names(&refused(&config, &world).await, &["key"]);
    assert!(!key.exists(), "no new key is made for an old store");
    let mut wrong = right.clone();
    wrong[3] = if wrong[3] == b'A' { b'B' } else { b'A' };
    write_private(&key, &wrong);
    assert_names(&refused(&config, &world).await, &["key"]);
    write_private(&key, b"not a key");
    assert_names(&refused(&config, &world).await, &["key"]);
    write_private(&key, &right);
    let alice = Node::start(config, clock).await.unwrap();
    assert_eq!(alice.files().await, [file]);
}

#[tokio::test]
async fn a_key_that_others_can_read_is_refused_with_the_command_that_helps() {
    let world = World::new();
    let backbone = world.backbone().await;
    let (config, clock) = world.node("alice", &backbone).await.stop().await;
    let key = config.data_dir.join("store.key");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_names(&refused(&config, &world).await, &["chmod", key.to_str().unwrap()]);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    Node::start(config, clock).await.unwrap();
}

#[tokio::test]
async fn a_damaged_store_is_refused_by_name_and_the_backup_of_it_works() {
    let world = World::new();
    let backbone = world.backbone().await;
    let alice = world.node("alice", &backbone).await;
    let file = alice.upload("a", b"content").await.unwrap();
    let (config, clock) = alice.stop().await;
    let backup = world.directory("backup");
    copy_tree(&config.data_dir, &backup);
    for damaged in files_below(&config.data_dir.join("store")) {
        let length = std::fs::metadata(&damaged).unwrap().len() as usize;
        std::fs::write(&damaged, vec![0xa5; length]).unwrap();
    }
    let text = refused(&config, &world).await;
    assert_names(&text, &[config.data_dir.to_str().unwrap()]);
    let restored = Config { data_dir: backup, ..config };
    let alice = Node::start(restored, clock).await.unwrap();
    assert_eq!(alice.files().await, [file]);
}

#[tokio::test]
async fn a_directory_that_is_a_file_is_refused_by_name() {
    let world = World::new();
    let backbone = world.backbone().await;
    let place = world.directory("occupied");
    std::fs::write(&place, "a file").unwrap();
    let config = Config::new(&place, backbone.as_seen_by_nodes());
    assert_names(&refused(&config, &world).await, &[place.to_str().unwrap()]);
    assert_eq!(std::fs::read(&place).unwrap(), b"a file");
}

fn write_private(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
