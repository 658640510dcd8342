//! Challenges: proof of possession of a key, with an expiry.
//!
//! The backbone issues a challenge, the holder of the key signs its text, and a verifier checks the signature over
//! exactly that text, its expiry, and with the backbone that the challenge exists. The signature covers the bytes of
//! the text: verifiers never re-serialize it.

use serde::{Deserialize, Serialize};

use crate::crypto::{CryptoError, CryptoObject, Signature, SignaturePublicKey};
#[cfg(feature = "client")]
use crate::crypto::{SignatureHash, SignatureKeypair};
use crate::wire::backbone::challenges::SignedChallenge;
use crate::wire::{Address, ChallengeId, DeviceId, Timestamp};

/// Maximum length of the text of a challenge in bytes; the longest valid one has 281.
pub const MAX_CHALLENGE_TEXT_LENGTH: usize = 1024;

/// Which key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChallengeType {
    /// The identity key.
    Identity,
    /// The device key.
    Device,
    /// The signature key of a relationship.
    Relationship,
}

/// The members of a challenge's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Challenge {
    // the order of the members is the order in the signed text
    /// The identity that requested it; absent for anonymous requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<Address>,
    /// The device that requested it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by_device: Option<DeviceId>,
    /// When it expires.
    pub expires_at: Timestamp,
    /// Its identifier at the backbone.
    pub id: ChallengeId,
    /// Which key signs.
    #[serde(rename = "type")]
    pub kind: ChallengeType,
}

impl Challenge {
    /// A challenge of the backbone, to be signed with the key of `kind`.
    #[must_use]
    pub fn new(challenge: crate::wire::backbone::challenges::Challenge, kind: ChallengeType) -> Self {
        Self {
            created_by: challenge.created_by,
            created_by_device: challenge.created_by_device,
            expires_at: challenge.expires_at,
            id: challenge.id,
            kind,
        }
    }

    /// The text that is signed.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("a challenge has text keys only")
    }

    /// Parses a text that a peer claims to have signed.
    ///
    /// # Errors
    /// [`ChallengeError::Malformed`] if it is too long or not a challenge.
    pub fn from_text(text: &str) -> Result<Self, ChallengeError> {
        if text.len() > MAX_CHALLENGE_TEXT_LENGTH {
            return Err(ChallengeError::Malformed);
        }
        serde_json::from_str(text).map_err(|_| ChallengeError::Malformed)
    }

    /// Signs it. Signatures with relationship keys name SHA-256, all others SHA-512.
    #[cfg(feature = "client")]
    #[must_use]
    pub fn sign(&self, key: &SignatureKeypair) -> ChallengeSigned {
        let hash = match self.kind {
            ChallengeType::Relationship => SignatureHash::Sha256,
            ChallengeType::Identity | ChallengeType::Device => SignatureHash::Sha512,
        };
        let text = self.to_text();
        let signature = key.sign(text.as_bytes(), hash);
        ChallengeSigned { text, signature }
    }
}

/// Why a signed challenge was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChallengeError {
    /// The challenge or the signature cannot be parsed.
    #[error("signed challenge is malformed")]
    Malformed,
    /// The signature was made with another key or over another text.
    #[error("signature of the challenge is not valid")]
    Signature,
    /// The challenge has expired.
    #[error("challenge has expired; ask for a new one")]
    Expired,
}

/// The text of a challenge and its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChallengeSigned {
    text: String,
    signature: Signature,
}

impl ChallengeSigned {
    const TYPE: &'static str = "ChallengeSigned";

    /// Combines a text and a signature received from a peer. Nothing is verified yet.
    #[must_use]
    pub fn from_parts(text: String, signature: Signature) -> Self {
        Self { text, signature }
    }

    /// The signed text, byte for byte.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Verifies signature and expiry, and returns the challenge.
    ///
    /// # Errors
    /// [`ChallengeError`] says which check failed.
    pub fn verify(&self, key: &SignaturePublicKey, now: Timestamp) -> Result<Challenge, ChallengeError> {
        key.verify(self.text.as_bytes(), &self.signature).map_err(|_| ChallengeError::Signature)?;
        let challenge = Challenge::from_text(&self.text)?;
        if challenge.expires_at > now { Ok(challenge) } else { Err(ChallengeError::Expired) }
    }

    /// The JSON form that is sent to peers, with `@type`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let members = SignedText {
            challenge: self.text.clone(),
            signature: self.signature.to_base64(),
            type_name: Some(Self::TYPE.to_owned()),
        };
        serde_json::to_string(&members).expect("a signed challenge has text keys only")
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`ChallengeError::Malformed`] if it is not one.
    pub fn from_json(text: &str) -> Result<Self, ChallengeError> {
        let members: SignedText = serde_json::from_str(text).map_err(|_| ChallengeError::Malformed)?;
        let signature = Signature::from_base64(&members.signature).map_err(|_| ChallengeError::Malformed)?;
        Ok(Self { text: members.challenge, signature })
    }

    /// The form used in requests to the backbone.
    #[must_use]
    pub fn to_wire(&self) -> SignedChallenge {
        SignedChallenge { challenge: self.text.clone(), signature: self.signature.to_byte_text() }
    }
}

impl TryFrom<&SignedChallenge> for ChallengeSigned {
    type Error = CryptoError;

    fn try_from(signed: &SignedChallenge) -> Result<Self, CryptoError> {
        Ok(Self { text: signed.challenge.clone(), signature: Signature::from_bytes(&signed.signature.0)? })
    }
}

#[derive(Serialize, Deserialize)]
struct SignedText {
    challenge: String,
    signature: String,
    #[serde(rename = "@type", default, skip_serializing_if = "Option::is_none")]
    type_name: Option<String>,
}
