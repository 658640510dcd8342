//! Secrets that devices of one identity share through the datawallet, each encrypted under a key of its own.
//!
//! Containers are objects of the datawallet's collection `Secrets`. Several may share a name; only one of them is active.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::Error;
use crate::crypto::{Cipher, KdfContext, SecretKey, compact, random};
use crate::wire::{Timestamp, json};

const ID_PREFIX: &str = "TRPSEC";
const ID_RANDOM_LENGTH: usize = 14;
const ID_ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A secret, encrypted under a sub key of the shared secret base key. All members are technical data in the datawallet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretContainer {
    /// Whether it is the one in use among those with its name.
    pub active: bool,
    /// The secret's JSON text, sealed.
    #[serde(with = "compact")]
    pub cipher: Cipher,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Description shown to users; usually empty.
    #[serde(default)]
    pub description: String,
    /// `TRPSEC` and 14 letters or digits.
    pub id: String,
    /// What the secret is for: the id of a template key or of a relationship's secrets.
    pub name: String,
    /// Number of the sub key, below 2^31. Each device counts in its own range. Reuse is harmless, because ciphers have random
    /// nonces.
    pub nonce: u64,
    /// Start of its validity.
    pub valid_from: Timestamp,
    /// End of its validity, once it was replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_to: Option<Timestamp>,
}

impl SecretContainer {
    /// Seals a secret (a verbose JSON object) under the sub key `nonce` of the shared secret base key.
    ///
    /// # Errors
    /// [`Error::Crypto`] if the number is 2^31 or more.
    pub fn seal(name: &str, secret: &Value, base_key: &SecretKey, nonce: u64, now: Timestamp) -> Result<Self, Error> {
        let cipher =
            base_key.derive(&KdfContext::Secret, nonce)?.encrypt(Zeroizing::new(secret.to_string()).as_bytes());
        Ok(Self {
            active: true,
            cipher,
            created_at: now,
            description: String::new(),
            id: format!("{ID_PREFIX}{}", random::text(ID_ALPHABET, ID_RANDOM_LENGTH)),
            name: name.to_owned(),
            nonce,
            valid_from: now,
            valid_to: None,
        })
    }

    /// Opens the secret: a JSON object with its type in `@type`.
    ///
    /// # Errors
    /// [`Error::Decryption`] for the wrong key or an altered container, [`Error::Json`] if the secret is not JSON.
    pub fn open(&self, base_key: &SecretKey) -> Result<Value, Error> {
        let plaintext = base_key.derive(&KdfContext::Secret, self.nonce)?.decrypt(&self.cipher)?;
        let text = std::str::from_utf8(&plaintext).map_err(|_| json::InvalidJson)?;
        Ok(json::from_text(text)?)
    }
}
