//! Password protection as users see and give it.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize as _;

/// A password in clear with what is said about it. Facades check PINs and locations. Wiped when dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PasswordProtection {
    /// At least one character.
    pub password: String,
    /// Only ever `true`; then the password is 4 to 16 digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_is_pin: Option<bool>,
    /// Where the person will find the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_location_indicator: Option<PasswordLocation>,
}

impl Drop for PasswordProtection {
    fn drop(&mut self) {
        self.password.zeroize();
    }
}

impl fmt::Debug for PasswordProtection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { password: _, password_is_pin, password_location_indicator } = self;
        f.debug_struct("PasswordProtection")
            .field("password_is_pin", password_is_pin)
            .field("password_location_indicator", password_location_indicator)
            .finish_non_exhaustive()
    }
}

/// Where the person will find the password: a name, or a number from 50 to 99 whose meaning is private.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PasswordLocation {
    /// 50 to 99.
    Number(u8),
    /// `Self`, `Letter`, `RegistrationLetter`, `Email`, `SMS`, `Website`; `RecoveryKit` can be read, not set.
    Name(String),
}
