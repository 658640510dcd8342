//! An identity without a node: created by the client that nodes use.

use transport::backbone::{Client, ClientConfig, DeviceCredentials, SecretText};
use transport::challenge::{Challenge, ChallengeType};
use transport::crypto::{CryptoObject as _, SignatureKeypair};
use transport::identity::generate_device_password;
use transport::wire::backbone::identities::{CreateIdentity, CreatedIdentity};

use crate::OAUTH_CLIENT;

/// A client of the backbone with this URL.
///
/// # Panics
/// If the URL is invalid.
#[must_use]
pub fn client(url: &str) -> Client {
    let (id, secret) = OAUTH_CLIENT.split_once(':').expect("an id and a secret");
    Client::new(ClientConfig::new(url, id, SecretText::new(secret))).expect("the URL is valid")
}

/// An identity that was just created.
pub struct NewIdentity {
    /// Its key.
    pub key: SignatureKeypair,
    /// What the backbone answered.
    pub created: CreatedIdentity,
    /// The login of its first device.
    pub credentials: DeviceCredentials,
}

impl NewIdentity {
    /// Creates one.
    ///
    /// # Panics
    /// If the backbone does not create it.
    pub async fn create(client: &Client) -> Self {
        let (key, password) = (SignatureKeypair::generate(), generate_device_password());
        let challenge = client.create_challenge().await.expect("the backbone makes challenges");
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
        let created = client.create_identity(&request).await.expect("the backbone creates identities");
        let username = created.device.username.clone();
        let credentials = DeviceCredentials { username, password: SecretText::new(password.as_str()) };
        Self { key, created, credentials }
    }
}
