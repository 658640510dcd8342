//! Password protection as users see and give it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use transport::wire::PasswordType;
use zeroize::Zeroizing;

/// The password of a token in clear, at least one character. Wiped when dropped; its `Debug` form shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

/// A password without characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a password must have at least one character")]
pub struct EmptyPassword;

/// A PIN does not have 4 to 16 digits from 0 to 9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an invalid PIN: it must have 4 to 16 digits from 0 to 9")]
pub struct InvalidPin;

impl Password {
    /// Takes a password that somebody chose.
    ///
    /// # Errors
    /// The text is empty.
    pub fn new(text: impl Into<String>) -> Result<Self, EmptyPassword> {
        let text = Zeroizing::new(text.into());
        if text.is_empty() { Err(EmptyPassword) } else { Ok(Self(text)) }
    }

    /// The password itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A password that was checked before it was stored.
    pub(crate) fn stored(text: Zeroizing<String>) -> Self {
        Self(text)
    }

    /// Writes the password in clear: fields name this function, because the type does not implement [`Serialize`].
    fn serialize_in_clear<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A password with what is said about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct PasswordProtection {
    /// In clear; at least one character.
    #[serde(serialize_with = "Password::serialize_in_clear")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub password: Password,
    /// Whether the password is a PIN of 4 to 16 digits; in JSON only ever `true`.
    #[serde(default, skip_serializing_if = "is_false")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<bool>))]
    pub password_is_pin: bool,
    /// Where the person will find the password: a name, or a number from 50 to 99.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<serde_json::Value>))]
    pub password_location_indicator: Option<PasswordLocation>,
}

impl PasswordProtection {
    /// Protection by a password about which nothing is said.
    #[must_use]
    pub fn new(password: Password) -> Self {
        Self { password, password_is_pin: false, password_location_indicator: None }
    }

    /// Protection by a PIN.
    ///
    /// # Errors
    /// The PIN does not have 4 to 16 digits.
    pub fn pin(pin: Password) -> Result<Self, InvalidPin> {
        let protection = Self { password_is_pin: true, ..Self::new(pin) };
        protection.kind().map(|_| protection)
    }

    /// What the password is, with the length of a PIN. Facades ask in their turn, after the expiry: a request may hold a PIN
    /// that nobody has checked.
    pub(crate) fn kind(&self) -> Result<PasswordType, InvalidPin> {
        let password = self.password.expose();
        match self.password_is_pin {
            false => Ok(PasswordType::Pw),
            true => PasswordType::pin(password.len()).ok().filter(|kind| kind.fits(password)).ok_or(InvalidPin),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Keeps a null apart from an absent member: as a location it is invalid.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PasswordLocation>, D::Error> {
    PasswordLocation::deserialize(deserializer).map(Some)
}

/// Where the person will find the password: a name, or a number from 50 to 99 whose meaning is private.
///
/// Reading it from JSON accepts anything, so that facades can refuse invalid locations in their turn, after an invalid PIN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, from = "Value")]
pub enum PasswordLocation {
    /// 50 to 99.
    Number(u8),
    /// `Self`, `Letter`, `RegistrationLetter`, `Email`, `SMS`, `Website`; `RecoveryKit` can be read, not set.
    Name(String),
}

impl From<Value> for PasswordLocation {
    /// What cannot be a location at all becomes an unknown name.
    fn from(value: Value) -> Self {
        match value {
            Value::String(name) => Self::Name(name),
            other => match other.as_u64().and_then(|number| u8::try_from(number).ok()) {
                Some(number) => Self::Number(number),
                None => Self::Name(other.to_string()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_password_has_a_character_and_shows_in_clear_only_where_a_field_says_so() {
        assert_eq!(Password::new(""), Err(EmptyPassword));
        assert!(serde_json::from_value::<Password>(json!("")).is_err());
        let protection = PasswordProtection::new(Password::new("geheim").unwrap());
        assert!(!format!("{protection:?}").contains("geheim"));
        assert_eq!(serde_json::to_value(&protection).unwrap(), json!({"password": "geheim"}));
    }

    #[test]
    fn an_invalid_location_is_read_as_an_unknown_name() {
        for (value, expected) in [
            (json!("Self"), PasswordLocation::Name("Self".to_owned())),
            (json!(50), PasswordLocation::Number(50)),
            (json!(300), PasswordLocation::Name("300".to_owned())),
            (json!(-1), PasswordLocation::Name("-1".to_owned())),
            (json!(50.5), PasswordLocation::Name("50.5".to_owned())),
            (json!(true), PasswordLocation::Name("true".to_owned())),
            (json!(null), PasswordLocation::Name("null".to_owned())),
        ] {
            let given = json!({"password": "a", "passwordLocationIndicator": value});
            let read: PasswordProtection = serde_json::from_value(given).unwrap();
            assert_eq!(read.password_location_indicator, Some(expected));
        }
    }

    #[test]
    fn a_pin_has_4_to_16_digits() {
        let pin = |text: &str| PasswordProtection::pin(Password::new(text).unwrap());
        for text in ["1234", "0000000000000000"] {
            assert!(pin(text).unwrap().password_is_pin, "{text}");
        }
        for text in ["123", "12345678901234567", "12ab", " 1234", "\u{661}\u{662}", "１２３４"] {
            assert_eq!(pin(text), Err(InvalidPin), "{text}");
        }
    }
}
