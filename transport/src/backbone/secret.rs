//! Secret texts, which are never printed.

use std::fmt;

use zeroize::Zeroizing;

use crate::wire::Username;

/// A secret text: a device password, a client secret, an access token. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Wraps a secret text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, only for sending or storing it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// The credentials of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCredentials {
    /// Login name, assigned by the backbone.
    pub username: Username,
    /// Password of the device.
    pub password: SecretText,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_password() {
        let username = "USRabcdefghijklmno12".parse().unwrap();
        let credentials = DeviceCredentials { username, password: SecretText::new("hunter2") };
        assert_eq!(
            format!("{credentials:?}"),
            "DeviceCredentials { username: USRabcdefghijklmno12, password: SecretText(…) }"
        );
    }
}
