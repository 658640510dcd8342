//! `/Challenges` and the signed challenges inside other requests.

use serde::{Deserialize, Serialize};

use crate::wire::{Address, ByteText, ChallengeId, DeviceId, Timestamp};

/// A challenge as the backbone issues it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Challenge {
    /// Its identifier.
    pub id: ChallengeId,
    /// Ten minutes after creation.
    pub expires_at: Timestamp,
    /// The identity that requested it; absent for anonymous requests.
    pub created_by: Option<Address>,
    /// The device that requested it.
    pub created_by_device: Option<DeviceId>,
}

/// A challenge with a signature over its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedChallenge {
    /// The JSON text that was signed, byte for byte.
    pub challenge: String,
    /// The UTF-8 bytes of a `CryptoSignature` JSON text.
    pub signature: ByteText,
}
