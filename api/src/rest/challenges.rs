//! Challenges: proving an identity, and checking the proof of another one.

use runtime::Error;
use runtime::facade::{CreateChallenge, ValidateChallenge};
use serde_json::Value;

use crate::connector::Call;
use crate::problem::Problem;
use crate::reply::Reply;
use crate::validation::{Object, ValueRule};

/// The body of a creation; the property `relationship` only with the type of that name.
pub(crate) fn creation() -> Object {
    kind().optional("relationship", ValueRule::Id("REL"), "For the type 'Relationship': which one.")
}

/// The body of a validation.
pub(crate) fn validation() -> Object {
    Object::new().required("challengeString", ValueRule::Text(0), "The signed JSON text.").required(
        "signature",
        ValueRule::Text(0),
        "base64 of the signature's JSON text.",
    )
}

fn kind() -> Object {
    Object::new().required("challengeType", ValueRule::Text(0), "'Identity', 'Device' or 'Relationship'.")
}

/// `POST Challenges`
pub(crate) async fn create(mut call: Call) -> Result<Reply, Problem> {
    let request = read_creation(call.take_json()?)?;
    let challenge = call.runtime().challenges().create_challenge(request).await?;
    Ok(Reply::created(&challenge))
}

/// `POST Challenges/Validate`
pub(crate) async fn validate(mut call: Call) -> Result<Reply, Problem> {
    let request: ValidateChallenge = call.read(&validation())?;
    let found = call.runtime().challenges().validate_challenge(request).await?;
    Ok(Reply::ok(&found))
}

/// The type decides which shape the body has.
fn read_creation(body: Value) -> Result<CreateChallenge, Problem> {
    let has_relationship = body.get("relationship").is_some();
    match body.get("challengeType").and_then(Value::as_str) {
        Some("Identity" | "Device") => kind().read(body),
        Some("Relationship") if has_relationship => creation().read(body),
        _ => Err(Error::InvalidPayload.into()),
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
