//! What the disk and the output reveal.

use std::path::Path;

use runtime::Tags;
use runtime::facade::{CreateTokenForFile, UploadOwnFile};
use serde_json::json;

use crate::world::{World, file, own_token, protected, stored};

fn all_files(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { all_files(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn neither_the_node_nor_the_backbone_keeps_plaintext_on_disk() {
    const PLANTED: [&str; 6] =
        ["planted-content", "planted-name", "planted-title", "planted-tag", "planted-password", "planted-json"];
    let world = World::new().await;
    let alice = world.node("alice").await;
    let request = UploadOwnFile {
        title: Some("planted-title".into()),
        tags: Some(Tags::new(vec!["planted-tag".into()]).unwrap()),
        ..file("planted-name", "planted-content ".repeat(100_000))
    };
    let uploaded = alice.files().upload_own_file(request).await.unwrap();
    let request = CreateTokenForFile { password_protection: protected("planted-password"), ..stored() };
    let token = alice.files().create_token_for_file(&uploaded.id, request).await.unwrap();
    alice.tokens().create_own_token(own_token(json!({"a": "planted-json"}), world.at(60))).await.unwrap();
    alice.account().sync_datawallet().await.unwrap();
    let key = token.content.to_value()["secretKey"]["key"].as_str().unwrap().to_owned();
    alice.shutdown().await.unwrap();
    let mut searched = 0;
    for path in all_files(world.path()) {
        let bytes = std::fs::read(&path).unwrap();
        searched += bytes.len();
        for planted in PLANTED.iter().copied().chain([key.as_str(), "test-secret"]) {
            let found = bytes.windows(planted.len()).any(|window| window == planted.as_bytes());
            assert!(!found, "{planted} in {}", path.display());
        }
    }
    assert!(searched > 1_000_000, "the upload must be among what was searched");
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_may_read_the_data_directory() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new().await;
    let alice = world.node("alice").await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let data_dir = &alice.config().data_dir;
    assert_eq!(mode(data_dir), 0o700);
    assert_eq!(mode(&data_dir.join("tmp")), 0o700);
    assert_eq!(mode(&data_dir.join("store.key")), 0o600);
    assert_eq!(mode(&data_dir.join("node.lock")), 0o600);
}

#[tokio::test]
async fn debug_forms_and_errors_tell_no_secrets() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let mut events = alice.events();
    let uploaded = alice.files().upload_own_file(file("planted-name", "x")).await.unwrap();
    let request = CreateTokenForFile { password_protection: protected("planted-password"), ..stored() };
    let token = alice.files().create_token_for_file(&uploaded.id, request.clone()).await.unwrap();
    let mut announced = Vec::new();
    while let Ok(event) = events.try_recv() {
        announced.push(event);
    }
    assert!(announced.len() >= 2, "the upload and the token: {announced:?}");
    let shown = format!("{:?}{request:?}{uploaded:?}{token:?}{announced:?}", alice.config());
    let content = token.content.to_value();
    let key = content["secretKey"]["key"].as_str().unwrap();
    let ownership_token = uploaded.ownership_token.as_deref().unwrap();
    let references = [token.reference.truncated.as_str(), uploaded.reference.truncated.as_str()];
    for secret in
        ["test-secret", "planted-password", "planted-name", key, ownership_token].into_iter().chain(references)
    {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert!(shown.contains(token.id.as_str()) && shown.contains(uploaded.id.as_str()), "{shown}");
}
