//! `POST /Identities`.

use serde::{Deserialize, Serialize};

use super::challenges::SignedChallenge;
use crate::wire::{Address, ByteText, DeviceId, Timestamp, Username};

/// Request for a new identity with its first device.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateIdentity {
    /// OAuth client.
    pub client_id: String,
    /// Secret of the OAuth client.
    pub client_secret: String,
    /// The UTF-8 bytes of a `CryptoSignaturePublicKey` JSON text.
    pub identity_public_key: ByteText,
    /// Login password of the first device.
    pub device_password: String,
    /// Two-letter language for push texts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_communication_language: Option<String>,
    /// Stored, but not interpreted.
    pub identity_version: u8,
    /// Proof that the sender holds the identity key.
    pub signed_challenge: SignedChallenge,
}

/// Answer to [`CreateIdentity`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedIdentity {
    /// Address of the identity; clients verify it.
    pub address: Address,
    /// Time of creation.
    pub created_at: Timestamp,
    /// The first device.
    pub device: FirstDevice,
}

/// The device inside [`CreatedIdentity`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FirstDevice {
    /// Its identifier.
    pub id: DeviceId,
    /// Its login name.
    pub username: Username,
    /// Time of creation.
    pub created_at: Timestamp,
}
