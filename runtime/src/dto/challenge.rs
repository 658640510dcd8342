//! Challenges: proofs of identity on request.

use serde::{Deserialize, Serialize};
pub use transport::challenge::ChallengeType;
use transport::wire::{Address, ChallengeId, DeviceId, Timestamp};

/// A signed challenge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Challenge {
    /// Its identifier.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub id: ChallengeId,
    /// When the backbone forgets it.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub expires_at: Timestamp,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub created_by: Option<Address>,
    /// With which device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub created_by_device: Option<DeviceId>,
    /// Which key signed: `Identity`, `Device` or `Relationship`.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub kind: ChallengeType,
    /// base64url of the signature's JSON text.
    pub signature: String,
    /// The signed JSON text.
    pub challenge_string: String,
}

/// Whether a challenge is what it claims to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ChallengeValidation {
    /// Expired, unknown and wrongly signed challenges are not valid.
    pub is_valid: bool,
    /// The relationship to the signer, if valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub corresponding_relationship: Option<serde_json::Value>,
}
