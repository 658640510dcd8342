//! Challenges: proving an identity, and checking the proof of another one.

use runtime::facade::{CreateChallenge, ValidateChallenge};
use runtime::{Error, RelationshipId, dto};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::call::read_checked;
use crate::connector::Call;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::validation::{Object, Rule};

/// A signed challenge.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Challenge {
    /// Its identifier.
    id: String,
    /// When the backbone forgets it.
    #[schema(format = DateTime)]
    expires_at: String,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    /// With which device.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by_device: Option<String>,
    /// Which key signed: `Identity`, `Device` or `Relationship`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: dto::ChallengeType,
    /// base64 of the signature's JSON text.
    signature: String,
    /// The signed JSON text.
    challenge_string: String,
}

/// Whether a challenge is what it claims to be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChallengeValidation {
    /// Expired, unknown and wrongly signed challenges are not valid.
    is_valid: bool,
    /// The relationship to the signer, if valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    corresponding_relationship: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Creation {
    #[serde(default)]
    relationship: Option<RelationshipId>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Validation {
    challenge_string: String,
    signature: String,
}

/// The body of a creation; the property `relationship` only with the type of that name.
pub(crate) fn creation() -> Object {
    kind().optional("relationship", Rule::Id("REL"), "For the type 'Relationship': which one.")
}

/// The body of a validation.
pub(crate) fn validation() -> Object {
    Object::new().required("challengeString", Rule::Text(0), "The signed JSON text.").required(
        "signature",
        Rule::Text(0),
        "base64 of the signature's JSON text.",
    )
}

fn kind() -> Object {
    Object::new().required("challengeType", Rule::Text(0), "'Identity', 'Device' or 'Relationship'.")
}

/// `POST Challenges`
pub(crate) async fn create(mut call: Call) -> Result<Reply, Problem> {
    let request = read_creation(call.take_json()?)?;
    let challenge = call.runtime().challenges().create_challenge(request).await?;
    Ok(Reply::created(&Challenge::from(challenge)))
}

/// `POST Challenges/Validate`
pub(crate) async fn validate(mut call: Call) -> Result<Reply, Problem> {
    let Validation { challenge_string, signature } = call.checked(&validation())?;
    let request = ValidateChallenge { challenge_string, signature };
    let found = call.runtime().challenges().validate_challenge(request).await?;
    let dto::ChallengeValidation { is_valid, corresponding_relationship } = found;
    Ok(Reply::ok(&ChallengeValidation { is_valid, corresponding_relationship }))
}

/// The type decides which shape the body has.
fn read_creation(body: Value) -> Result<CreateChallenge, Problem> {
    let has_relationship = body.get("relationship").is_some();
    match body.get("challengeType").and_then(Value::as_str) {
        Some("Identity") => kind().check(&body).map(|()| CreateChallenge::Identity),
        Some("Device") => kind().check(&body).map(|()| CreateChallenge::Device),
        Some("Relationship") if has_relationship => {
            let Creation { relationship } = read_checked(&creation(), body)?;
            relationship.map(CreateChallenge::Relationship).ok_or_else(|| Error::InvalidPayload.into())
        }
        _ => Err(Error::InvalidPayload.into()),
    }
}

impl From<dto::Challenge> for Challenge {
    fn from(challenge: dto::Challenge) -> Self {
        Self {
            id: challenge.id.to_string(),
            expires_at: challenge.expires_at.to_string(),
            created_by: challenge.created_by.map(|address| address.to_string()),
            created_by_device: challenge.created_by_device.map(|id| id.to_string()),
            kind: challenge.kind,
            signature: challenge.signature,
            challenge_string: challenge.challenge_string,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_type_decides_what_else_may_stand_there() {
        assert_eq!(read_creation(json!({"challengeType": "Identity"})).unwrap(), CreateChallenge::Identity);
        let id = "REL00000000000000000";
        let relationship = read_creation(json!({"challengeType": "Relationship", "relationship": id})).unwrap();
        assert_eq!(relationship, CreateChallenge::Relationship(id.parse().unwrap()));
        let payload = "error.runtime.validation.invalidPayload";
        let property = "error.runtime.validation.invalidPropertyValue";
        for (body, code) in [
            (json!({}), payload),
            (json!([]), payload),
            (json!({"challengeType": 1}), payload),
            (json!({"challengeType": "identity"}), payload),
            (json!({"challengeType": "Relationship"}), payload),
            (json!({"challengeType": "Identity", "x": 1}), property),
            (json!({"challengeType": "Identity", "relationship": id}), property),
            (json!({"challengeType": "Relationship", "relationship": "x"}), property),
        ] {
            assert_eq!(read_creation(body.clone()).unwrap_err().code(), code, "{body}");
        }
    }
}
