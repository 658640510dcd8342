//! Challenges: proof that somebody holds a key, now.
//!
//! The backbone hands out a challenge, its holder signs the challenge's text, and a verifier checks the signature over
//! exactly that text, its expiry, and at the backbone that the challenge exists. The text, not its meaning, is what is
//! signed: verifiers never write it again.

use serde::{Deserialize, Serialize};

use crate::crypto::{CryptoError, CryptoObject, Signature, SignaturePublicKey};
#[cfg(feature = "client")]
use crate::crypto::{SignatureHash, SignatureKeypair};
use crate::wire::backbone::challenges::SignedChallenge;
use crate::wire::{Address, ChallengeId, DeviceId, Timestamp};

/// Most bytes the text of a challenge may have; the longest one that follows the rules has 281.
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

/// What the text of a challenge says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Challenge {
    // the order of the members is the order in the signed text
    /// Who asked for it; absent for anonymous callers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<Address>,
    /// With which device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by_device: Option<DeviceId>,
    /// Until when it may be shown.
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

    /// Reads a text that somebody claims to have signed.
    ///
    /// # Errors
    /// [`ChallengeError::Malformed`] if it is too long or not a challenge.
    pub fn from_text(text: &str) -> Result<Self, ChallengeError> {
        if text.len() > MAX_CHALLENGE_TEXT_LENGTH {
            return Err(ChallengeError::Malformed);
        }
        serde_json::from_str(text).map_err(|_| ChallengeError::Malformed)
    }

    /// Signs it. Relationship keys name SHA-256 in the signature, the others SHA-512.
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

/// A challenge that cannot be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChallengeError {
    /// Not the text of a challenge, or not one of a signature.
    #[error("signed challenge is malformed")]
    Malformed,
    /// Signed with another key, or another text.
    #[error("signature of the challenge is not valid")]
    Signature,
    /// Too late.
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

    /// Puts together what a peer sent.
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

    /// Checks signature and expiry, and only then says what was signed.
    ///
    /// # Errors
    /// [`ChallengeError`] says which check failed.
    pub fn verify(&self, key: &SignaturePublicKey, now: Timestamp) -> Result<Challenge, ChallengeError> {
        key.verify(self.text.as_bytes(), &self.signature).map_err(|_| ChallengeError::Signature)?;
        let challenge = Challenge::from_text(&self.text)?;
        if challenge.expires_at > now { Ok(challenge) } else { Err(ChallengeError::Expired) }
    }

    /// The JSON form that is shown to peers, with its type.
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

    /// As it stands in requests to the backbone.
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
