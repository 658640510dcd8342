//! Another identity, which calls the backbone directly.

use transport::backbone::{Client, ClientConfig, DeviceCredentials, SecretText, Session};
use transport::challenge::{Challenge, ChallengeType};
use transport::crypto::{CryptoObject as _, SignatureKeypair};
use transport::identity::generate_device_password;
use transport::wire::backbone::identities::CreateIdentity;

pub(crate) async fn stranger(url: &str) -> Session {
    let client = Client::new(ClientConfig::new(url, "test", SecretText::new("test"))).unwrap();
    let (key, password) = (SignatureKeypair::generate(), generate_device_password());
    let challenge = client.create_challenge().await.unwrap();
    let signed = Challenge::new(challenge, ChallengeType::Identity).sign(&key);
    let identity = CreateIdentity {
        client_id: "test".to_owned(),
        client_secret: "test".to_owned(),
        identity_public_key: key.public_key().to_byte_text(),
        device_password: password.to_string(),
        device_communication_language: None,
        identity_version: 1,
        signed_challenge: signed.to_wire(),
    };
    let created = client.create_identity(&identity).await.unwrap();
    client.login(DeviceCredentials { username: created.device.username, password: SecretText::new(password.as_str()) })
}
