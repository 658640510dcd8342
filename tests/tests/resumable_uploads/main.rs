//! Uploads that go on after an interruption, by the client of nodes: what it can do, after power cuts, and in how much memory.
#![allow(clippy::unwrap_used, reason = "a test")]

mod calls;
#[cfg(target_os = "linux")]
mod cut;
#[cfg(target_os = "linux")]
mod memory;

use bytes::Bytes;
use enlace_tests::OAUTH_CLIENT;
use transport::backbone::{Client, ClientConfig, DeviceCredentials, SecretText, Session};
use transport::challenge::{Challenge, ChallengeType};
use transport::crypto::{CryptoObject as _, SignatureKeypair};
use transport::identity::generate_device_password;
use transport::wire::backbone::identities::CreateIdentity;
use transport::wire::backbone::uploads::FinishUpload;
use transport::wire::{ByteText, Timestamp};

/// A client of the backbone there.
fn client(url: &str) -> Client {
    let (id, secret) = OAUTH_CLIENT.split_once(':').unwrap();
    Client::new(ClientConfig::new(url, id, SecretText::new(secret))).unwrap()
}

/// A new identity, whose device is logged in.
async fn new_identity(client: &Client) -> DeviceCredentials {
    let (key, password) = (SignatureKeypair::generate(), generate_device_password());
    let challenge = client.create_challenge().await.unwrap();
    let config = client.config();
    let request = CreateIdentity {
        client_id: config.client_id.clone(),
        client_secret: config.client_secret.expose().to_owned(),
        identity_public_key: key.public_key().to_byte_text(),
        device_password: password.to_string(),
        device_communication_language: None,
        identity_version: 1,
        signed_challenge: Challenge::new(challenge, ChallengeType::Identity).sign(&key).to_wire(),
    };
    let created = client.create_identity(&request).await.unwrap();
    DeviceCredentials { username: created.device.username, password: SecretText::new(password.as_str()) }
}

/// A new identity at the backbone there.
async fn session(url: &str) -> Session {
    let client = client(url);
    let credentials = new_identity(&client).await;
    client.login(credentials)
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
