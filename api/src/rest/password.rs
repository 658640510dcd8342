//! Password protection as bodies give it.

use runtime::dto::{PasswordLocation, PasswordProtection};
use serde::Deserialize;
use serde_json::Value;

use crate::validation::{Object, Rule};

/// The shape of `passwordProtection`. The location is checked by the runtime, after everything structural.
pub(crate) fn shape() -> Rule {
    Rule::Object(
        Object::new()
            .required("password", Rule::Text(1), "At least one character.")
            .optional("passwordIsPin", Rule::OnlyTrue, "Then the password has 4 to 16 digits.")
            .optional(
                "passwordLocationIndicator",
                Rule::Any,
                "Where the person will find the password: a number from 50 to 99, or Self, Letter, RegistrationLetter, \
                 Email, SMS or Website.",
            ),
    )
}

/// The value of `passwordProtection`, structurally sound.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GivenPassword {
    password: String,
    password_is_pin: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    password_location_indicator: Option<Value>,
}

impl From<GivenPassword> for PasswordProtection {
    fn from(given: GivenPassword) -> Self {
        Self {
            password: given.password,
            password_is_pin: given.password_is_pin,
            password_location_indicator: given.password_location_indicator.map(location),
        }
    }
}

/// A value of another type becomes an invalid name, so that the runtime refuses it in its turn.
fn location(value: Value) -> PasswordLocation {
    match value {
        Value::String(name) => PasswordLocation::Name(name),
        other => match other.as_u64().and_then(|number| u8::try_from(number).ok()) {
            Some(number) => PasswordLocation::Number(number),
            None => PasswordLocation::Name(other.to_string()),
        },
    }
}

/// Keeps an explicit null apart from an absent property: null is refused.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_location_becomes_a_name_that_is_none() {
        for (value, expected) in [
            (json!("Self"), PasswordLocation::Name("Self".to_owned())),
            (json!(50), PasswordLocation::Number(50)),
            (json!(300), PasswordLocation::Name("300".to_owned())),
            (json!(-1), PasswordLocation::Name("-1".to_owned())),
            (json!(50.5), PasswordLocation::Name("50.5".to_owned())),
            (json!(true), PasswordLocation::Name("true".to_owned())),
            (json!(null), PasswordLocation::Name("null".to_owned())),
        ] {
            let given: GivenPassword =
                serde_json::from_value(json!({"password": "a", "passwordLocationIndicator": value})).unwrap();
            assert_eq!(PasswordProtection::from(given).password_location_indicator, Some(expected));
        }
    }
}
