//! The password protection of a token or template, as described to its receivers.
//!
//! The password itself is never sent: receivers hash it with the salt and send the hash to the backbone.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bytes::{from_base64url, to_base64url};

/// Length of the salt in bytes.
pub const SALT_LENGTH: usize = 16;

/// A description of a password protection is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordProtectionError {
    /// Neither `pw` nor `pin4` to `pin16`.
    #[error("password type is not `pw` or `pin4` to `pin16`")]
    Type,
    /// Not base64 or not 16 bytes.
    #[error("salt is not base64 of 16 bytes")]
    Salt,
    /// Not an integer from 0 to 99.
    #[error("password location indicator is not an integer from 0 to 99")]
    Location,
    /// Not two or three parts (four in references of some versions).
    #[error("password protection has the wrong number of parts")]
    Parts,
}

/// What a receiver has to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PasswordType {
    /// Any text.
    Pw,
    /// A PIN with this many digits, 4 to 16.
    Pin(u8),
}

impl PasswordType {
    /// A PIN of `length` digits.
    ///
    /// # Errors
    /// [`PasswordProtectionError::Type`] unless the length is 4 to 16.
    pub fn pin(length: usize) -> Result<Self, PasswordProtectionError> {
        match u8::try_from(length) {
            Ok(length @ 4..=16) => Ok(Self::Pin(length)),
            _ => Err(PasswordProtectionError::Type),
        }
    }

    /// Whether a password is of this type: not empty, or for a PIN, exactly this many ASCII digits.
    #[must_use]
    pub fn fits(self, password: &str) -> bool {
        match self {
            Self::Pw => !password.is_empty(),
            Self::Pin(length) => {
                password.len() == usize::from(length) && password.bytes().all(|byte| byte.is_ascii_digit())
            }
        }
    }
}

impl fmt::Display for PasswordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pw => f.write_str("pw"),
            Self::Pin(length) => write!(f, "pin{length}"),
        }
    }
}

impl FromStr for PasswordType {
    type Err = PasswordProtectionError;

    fn from_str(text: &str) -> Result<Self, PasswordProtectionError> {
        if text == "pw" {
            return Ok(Self::Pw);
        }
        let length = text.strip_prefix("pin").filter(|digits| !digits.starts_with(['0', '+']));
        Self::pin(length.and_then(|digits| digits.parse().ok()).ok_or(PasswordProtectionError::Type)?)
    }
}

impl Serialize for PasswordType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PasswordType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Where a receiver finds the password: 0 to 49 are defined by or reserved for the protocol, 50 to 99 free for applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct PasswordLocationIndicator(u8);

impl PasswordLocationIndicator {
    /// In a recovery kit. Accepted from peers; applications cannot set it.
    pub const RECOVERY_KIT: Self = Self(0);

    const NAMES: [&str; 7] = ["RecoveryKit", "Self", "Letter", "RegistrationLetter", "Email", "SMS", "Website"];

    /// An indicator by number.
    ///
    /// # Errors
    /// [`PasswordProtectionError::Location`] above 99.
    pub fn new(value: u8) -> Result<Self, PasswordProtectionError> {
        if value <= 99 { Ok(Self(value)) } else { Err(PasswordProtectionError::Location) }
    }

    /// An indicator by its name, for example `RegistrationLetter`; `None` for unknown names.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().position(|known| *known == name).and_then(|place| u8::try_from(place).ok()).map(Self)
    }

    /// The number, 0 to 99.
    #[must_use]
    pub fn value(self) -> u8 {
        self.0
    }

    /// The name, for the numbers that have one.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Self::NAMES.get(usize::from(self.0)).copied()
    }

    /// Whether the number is free for applications (50 to 99).
    #[must_use]
    pub fn is_free(self) -> bool {
        self.0 >= 50
    }
}

impl TryFrom<u8> for PasswordLocationIndicator {
    type Error = PasswordProtectionError;

    fn try_from(value: u8) -> Result<Self, PasswordProtectionError> {
        Self::new(value)
    }
}

impl From<PasswordLocationIndicator> for u8 {
    fn from(indicator: PasswordLocationIndicator) -> Self {
        indicator.0
    }
}

/// The description of a password protection in a reference or token content.
///
/// JSON: `{"passwordLocationIndicator"?, "passwordType", "salt"}` with the salt as base64url.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SharedPasswordProtection {
    /// Where the receiver finds the password.
    #[serde(rename = "passwordLocationIndicator", default, skip_serializing_if = "Option::is_none")]
    pub location: Option<PasswordLocationIndicator>,
    /// What the receiver has to ask for.
    pub password_type: PasswordType,
    /// Salt of the password hash; public.
    #[serde(serialize_with = "write_salt", deserialize_with = "read_salt")]
    pub salt: [u8; SALT_LENGTH],
}

fn write_salt<S: Serializer>(salt: &[u8; SALT_LENGTH], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&to_base64url(salt))
}

fn read_salt<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; SALT_LENGTH], D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    from_base64url(&text)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| serde::de::Error::custom(PasswordProtectionError::Salt))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_types_read_back_as_written_and_others_are_refused() {
        for text in ["pw", "pin4", "pin9", "pin16"] {
            assert_eq!(text.parse::<PasswordType>().unwrap().to_string(), text);
        }
        for text in ["", "PW", "pin", "pin3", "pin17", "pin04", "pin+4", "pin4 ", "pin260"] {
            assert_eq!(text.parse::<PasswordType>(), Err(PasswordProtectionError::Type), "{text}");
        }
    }

    #[test]
    fn a_pin_fits_only_its_length_in_ascii_digits() {
        let pin = PasswordType::Pin(4);
        assert!(pin.fits("0123"));
        for password in ["012", "01234", "012a", "\u{661}\u{661}", ""] {
            assert!(!pin.fits(password), "{password}");
        }
        assert!(!PasswordType::Pw.fits(""));
    }

    #[test]
    fn locations_have_names_and_a_limit() {
        assert_eq!(PasswordLocationIndicator::from_name("SMS").map(u8::from), Some(5));
        assert_eq!(PasswordLocationIndicator::new(6).unwrap().name(), Some("Website"));
        assert_eq!(PasswordLocationIndicator::new(50).unwrap().name(), None);
        assert_eq!(PasswordLocationIndicator::new(100), Err(PasswordProtectionError::Location));
        assert!(serde_json::from_str::<PasswordLocationIndicator>("100").is_err());
    }

    #[test]
    fn json_has_sorted_members_and_refuses_short_salts() {
        let text = r#"{"passwordLocationIndicator":2,"passwordType":"pin4","salt":"gPbbCBP3Y-yLht14Zbbing"}"#;
        let protection: SharedPasswordProtection = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&protection).unwrap(), text);
        assert!(serde_json::from_str::<SharedPasswordProtection>(r#"{"passwordType":"pw","salt":"AAAA"}"#).is_err());
    }
}
