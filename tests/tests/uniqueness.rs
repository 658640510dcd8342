//! No nonce and no key is ever used twice, also not over restarts (T18).
#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::HashSet;

use enlace_tests::{Exchange, World, password};
use runtime::facade::CreateTokenForFile;
use serde_json::Value;
use transport::wire::bytes::from_base64url;
use transport::wire::{FileReference, TokenReference};

const RUNS: usize = 4;

/// All sealed objects in a request: verbatim (a file's bytes), or as base64url inside JSON and multipart texts.
fn sealed_objects(exchange: &Exchange) -> Vec<Value> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let words = exchange.body.split(|byte| !is_word(byte)).filter(|word| word.len() > 60);
    let encoded = words.filter_map(|word| from_base64url(std::str::from_utf8(word).unwrap()).ok());
    let verbatim = exchange.body.split(|byte| *byte == b'\n').map(<[u8]>::to_vec);
    encoded
        .chain(verbatim)
        .filter_map(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
        .filter(|object| object.get("cph").is_some())
        .collect()
}

#[tokio::test]
async fn nonces_and_keys_never_repeat_even_for_equal_contents_and_after_restarts() {
    let world = World::new();
    let mut backbone = world.backbone().await;
    let mut alice = world.node("alice", &backbone).await;
    let mut keys = HashSet::new();
    let mut sealed_count = 0;
    for _ in 0..RUNS {
        for _ in 0..5 {
            let file = alice.upload("same name", b"the same content every time").await.unwrap();
            assert!(keys.insert(*FileReference::parse(&file.reference.url).unwrap().key.expose()));
            let terms = CreateTokenForFile { password_protection: password("same"), ..CreateTokenForFile::default() };
            for _ in 0..2 {
                let token = alice.share_as(&file, terms.clone()).await.unwrap();
                let reference = TokenReference::parse(&token.reference.url).unwrap();
                assert!(keys.insert(*reference.key.expose()));
                let salt = reference.password_protection.unwrap().salt;
                assert!(salts_are_new(&mut keys, &salt));
            }
            // Per run: bytes and metadata of a file, and its tokens.
            sealed_count += 4;
        }
        alice.runtime().account().sync_datawallet().await.unwrap();
        alice = alice.restart().await;
        backbone.restart().await;
    }
    let sealed: Vec<Value> = backbone.line().recording().iter().flat_map(sealed_objects).collect();
    assert!(sealed.len() >= RUNS * 5 * 4, "{} of {sealed_count} sealed objects seen", sealed.len());
    let mut nonces = HashSet::new();
    for object in &sealed {
        assert!(object.get("cnt").is_none(), "counters are for relationships");
        let nonce = object["nnc"].as_str().unwrap();
        assert_eq!(from_base64url(nonce).unwrap().len(), 24);
        assert!(nonces.insert(nonce), "a nonce was used twice");
    }
    let ciphertexts: HashSet<&str> = sealed.iter().map(|object| object["cph"].as_str().unwrap()).collect();
    assert_eq!(ciphertexts.len(), sealed.len(), "equal contents must not look equal");
}

/// Salts share the set of keys, padded: neither may equal anything seen before.
fn salts_are_new(seen: &mut HashSet<[u8; 32]>, salt: &[u8]) -> bool {
    let mut padded = [0; 32];
    padded[..salt.len()].copy_from_slice(salt);
    seen.insert(padded)
}
