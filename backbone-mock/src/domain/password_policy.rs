//! How strong device passwords have to be.

use std::time::Duration;

use crate::config::PasswordPolicy;

/// Failed logins that lock a device out.
pub(crate) const MAX_FAILED_LOGINS: u32 = 3;
const PRODUCTION_LENGTH: usize = 10;

impl PasswordPolicy {
    /// Why a password is too weak, if it is.
    pub(crate) fn objection(self, password: &str) -> Option<&'static str> {
        if password.is_empty() {
            return Some("the password is empty");
        }
        if self == Self::Development {
            return None;
        }
        let has = |kind: fn(&char) -> bool| password.chars().any(|character| kind(&character));
        match () {
            () if password.chars().count() < PRODUCTION_LENGTH => Some("at least 10 characters are needed"),
            () if !has(char::is_ascii_uppercase) => Some("an upper-case letter is needed"),
            () if !has(char::is_ascii_lowercase) => Some("a lower-case letter is needed"),
            () if !has(char::is_ascii_digit) => Some("a digit is needed"),
            () if !has(|character| !character.is_ascii_alphanumeric()) => Some("a symbol is needed"),
            () => None,
        }
    }

    /// How long a device is locked out.
    pub(crate) fn lockout(self) -> Duration {
        Duration::from_secs(match self {
            Self::Production => 600,
            Self::Development => 60,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_character_is_needed_in_production() {
        for weak in ["", "Aa1!", "aaaaaaaa1!", "AAAAAAAA1!", "AAAAaaaa!!", "AAAAaaaa11"] {
            assert!(PasswordPolicy::Production.objection(weak).is_some(), "{weak}");
        }
        assert_eq!(PasswordPolicy::Production.objection("AAAaaaa11!"), None);
        assert_eq!(PasswordPolicy::Development.objection("a"), None);
        assert!(PasswordPolicy::Development.objection("").is_some());
    }
}
