//! Passwords of tokens: their rules, what is stored, and the hash that is sent to the backbone.

use std::fmt;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use transport::crypto::PasswordHash;
use transport::crypto::password::{generate_salt, hash_password};
use transport::wire::{PasswordLocationIndicator, PasswordType, SharedPasswordProtection};
use zeroize::Zeroizing;

use crate::blocking::blocking;
use crate::dto::{Password, PasswordLocation, PasswordProtection};
use crate::{Error, Result};

const PIN: &str = "'passwordProtection.passwordIsPin' is true, hence 'passwordProtection.password' must consist of 4 to 16 \
                   digits from 0 to 9.";
const LOCATION: &str = "must be a number from 50 to 99 or one of the following strings: Self, Letter, \
                        RegistrationLetter, Email, SMS, Website";

/// Password hashes that are computed at the same time. Each takes 20 MiB and a processor core.
const SIMULTANEOUS_HASHES: usize = 2;
static HASHING: Semaphore = Semaphore::const_new(SIMULTANEOUS_HASHES);

/// A checked password for a new token.
#[derive(Clone)]
pub(crate) struct NewPassword {
    password: Password,
    kind: PasswordType,
    location: Option<PasswordLocationIndicator>,
}

impl NewPassword {
    /// Checks the rules: first the PIN, then the location.
    ///
    /// # Errors
    /// [`Error::InvalidPropertyValue`] with the text of the published connectors.
    pub(crate) fn check(given: PasswordProtection) -> Result<Self> {
        let kind = given.kind().map_err(|_| invalid(PIN))?;
        let location = given.password_location_indicator.as_ref().map(read_location).transpose()?;
        Ok(Self { password: given.password, kind, location })
    }

    /// Adds a new salt.
    pub(crate) fn protect(self) -> StoredPassword {
        let shared =
            SharedPasswordProtection { location: self.location, password_type: self.kind, salt: generate_salt() };
        StoredPassword { password: Zeroizing::new(self.password.expose().to_owned()), shared }
    }
}

fn read_location(given: &PasswordLocation) -> Result<PasswordLocationIndicator> {
    let indicator = match given {
        PasswordLocation::Number(number) => {
            PasswordLocationIndicator::new(*number).ok().filter(|indicator| indicator.is_free())
        }
        PasswordLocation::Name(name) => PasswordLocationIndicator::from_name(name)
            .filter(|indicator| *indicator != PasswordLocationIndicator::RECOVERY_KIT),
    };
    indicator.ok_or_else(|| invalid(LOCATION))
}

fn invalid(text: &str) -> Error {
    Error::InvalidPropertyValue(text.to_owned())
}

/// The password of a token as it is stored, so that the token can be shown and shared again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredPassword {
    pub(super) password: Zeroizing<String>,
    #[serde(flatten)]
    pub(super) shared: SharedPasswordProtection,
}

impl StoredPassword {
    /// The hash that is compared by whoever holds the token; it does not reveal the password.
    pub(super) async fn hash(&self) -> PasswordHash {
        let (password, salt) = (self.password.clone(), self.shared.salt);
        let permit = HASHING.acquire().await.expect("the semaphore is never closed");
        blocking(move || {
            // The permit moves into the work, which continues if the caller is dropped.
            let _permit = permit;
            hash_password(&password, &salt)
        })
        .await
    }

    pub(super) fn to_dto(&self) -> PasswordProtection {
        let location = self.shared.location.map(|indicator| match indicator.name() {
            Some(name) => PasswordLocation::Name(name.to_owned()),
            None => PasswordLocation::Number(indicator.value()),
        });
        PasswordProtection {
            password: Password::stored(self.password.clone()),
            password_is_pin: matches!(self.shared.password_type, PasswordType::Pin(_)),
            password_location_indicator: location,
        }
    }
}

impl fmt::Debug for StoredPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredPassword").field("shared", &self.shared).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(password: &str, is_pin: bool, location: Option<PasswordLocation>) -> Result<StoredPassword> {
        let given = PasswordProtection {
            password: Password::new(password).unwrap(),
            password_is_pin: is_pin,
            password_location_indicator: location,
        };
        NewPassword::check(given).map(NewPassword::protect)
    }

    #[test]
    fn pins_are_4_to_16_digits() {
        for pin in ["1234", "0000000000000000"] {
            let stored = check(pin, true, None).unwrap();
            assert_eq!(stored.shared.password_type.to_string(), format!("pin{}", pin.len()));
            assert!(stored.to_dto().password_is_pin);
        }
        for password in ["123", "12345678901234567", "12a4", "１２３４"] {
            assert_eq!(check(password, true, None).unwrap_err().to_string(), PIN, "{password}");
        }
        assert!(check("12", false, None).is_ok());
    }

    #[test]
    fn locations_are_free_numbers_or_settable_names() {
        for number in [50, 99] {
            let stored = check("a", false, Some(PasswordLocation::Number(number))).unwrap();
            assert_eq!(stored.to_dto().password_location_indicator, Some(PasswordLocation::Number(number)));
        }
        for name in ["Self", "Letter", "RegistrationLetter", "Email", "SMS", "Website"] {
            let stored = check("a", false, Some(PasswordLocation::Name(name.into()))).unwrap();
            assert_eq!(stored.to_dto().password_location_indicator, Some(PasswordLocation::Name(name.into())));
        }
        let numbers = [0, 5, 49, 100, 255].map(PasswordLocation::Number);
        let names = ["RecoveryKit", "self", "", "Nowhere"].map(|name| PasswordLocation::Name(name.into()));
        for location in numbers.into_iter().chain(names) {
            assert_eq!(check("a", false, Some(location)).unwrap_err().to_string(), LOCATION);
        }
    }

    #[test]
    fn the_first_violated_rule_is_named() {
        let location = Some(PasswordLocation::Name("Nowhere".into()));
        assert_eq!(check("x", true, location).unwrap_err().to_string(), PIN);
    }

    #[test]
    fn the_stored_form_is_the_one_of_the_datawallet() {
        let json = r#"{"password":"pässword","passwordType":"pw","salt":"rX29cU1ghZQV8cE4VFkS5g"}"#;
        let stored: StoredPassword = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_value(&stored).unwrap(), serde_json::from_str::<serde_json::Value>(json).unwrap());
        assert!(!format!("{stored:?}").contains("ssword\":"));
        assert!(!format!("{stored:?}").contains("pässword"));
    }
}
