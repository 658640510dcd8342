//! Uploads that go on after an interruption, by the client of nodes: what it can do, after power cuts, and in how much memory.
#![allow(clippy::unwrap_used, reason = "a test")]

mod calls;
#[cfg(target_os = "linux")]
mod cut;
mod follow;
#[cfg(target_os = "linux")]
mod memory;
mod receive;

use bytes::Bytes;
use enlace_tests::{NewIdentity, client};
use transport::backbone::Session;
use transport::wire::backbone::uploads::FinishUpload;
use transport::wire::{ByteText, Timestamp};

/// A new identity at the backbone there.
async fn session(url: &str) -> Session {
    let client = client(url);
    let identity = NewIdentity::create(&client).await;
    client.login(identity.credentials)
}

fn content(length: usize) -> Bytes {
    (0..length).map(|place| (place % 251) as u8 ^ (place >> 12) as u8).collect::<Vec<_>>().into()
}

/// What is said of a file, with the hash that the backbone shall find.
fn described(hash: Option<Vec<u8>>) -> FinishUpload {
    FinishUpload {
        cipher_hash: hash.map(ByteText),
        owner_signature: Some(ByteText(b"opaque".to_vec())),
        encrypted_properties: Some(ByteText(b"opaque".to_vec())),
        expires_at: Some(Timestamp::NEVER),
    }
}
