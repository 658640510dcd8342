//! Addresses of identities: `did:e:<host>:dids:<20 hex digits><2 hex digits>`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Maximum length of an address in characters.
pub const MAX_ADDRESS_LENGTH: usize = 80;

const SCHEME: &str = "did:e:";
const MIDDLE: &str = ":dids:";
const TAIL_LENGTH: usize = 22;
const CHECKSUM_LENGTH: usize = 2;

/// A text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an address of the form did:e:<host>:dids:<22 lower-case hex digits>")]
pub struct AddressError;

/// The address of an identity.
///
/// Parsing checks the form. Checksum and key are checked where a hash
/// function is at hand: `transport::identity` (feature `verify`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(String);

impl Address {
    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host name between `did:e:` and `:dids:`.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.0[SCHEME.len()..self.0.len() - TAIL_LENGTH - MIDDLE.len()]
    }

    /// The 20 hex digits derived from the identity's public key.
    #[must_use]
    pub fn key_digits(&self) -> &str {
        &self.0[self.0.len() - TAIL_LENGTH..self.0.len() - CHECKSUM_LENGTH]
    }

    /// The part that the checksum covers.
    #[must_use]
    pub fn checked_part(&self) -> &str {
        &self.0[..self.0.len() - CHECKSUM_LENGTH]
    }

    /// The checksum: the last two hex digits.
    #[must_use]
    pub fn checksum_digits(&self) -> &str {
        &self.0[self.0.len() - CHECKSUM_LENGTH..]
    }

    /// The last four characters, which name the addressee in references.
    #[must_use]
    pub fn truncated(&self) -> &str {
        &self.0[self.0.len() - 4..]
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let well_formed = || {
            let rest = text.strip_prefix(SCHEME)?;
            let (rest, tail) = rest.split_at_checked(rest.len().checked_sub(TAIL_LENGTH)?)?;
            let host = rest.strip_suffix(MIDDLE)?;
            let host_fits = !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
            let tail_fits = tail.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            (text.len() <= MAX_ADDRESS_LENGTH && host_fits && tail_fits).then_some(())
        };
        well_formed().map(|()| Self(text.to_owned())).ok_or(AddressError)
    }
}

impl AsRef<str> for Address {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_address() {
        let address: Address = "did:e:bb.example.org:dids:c5b454f4a8133c3d2cf2ef".parse().unwrap();
        assert_eq!(address.host(), "bb.example.org");
        assert_eq!(address.key_digits(), "c5b454f4a8133c3d2cf2");
        assert_eq!(address.checksum_digits(), "ef");
        assert_eq!(address.truncated(), "f2ef");
        assert_eq!(address.checked_part(), "did:e:bb.example.org:dids:c5b454f4a8133c3d2cf2");
    }

    #[test]
    fn malformed_texts_are_refused() {
        for text in [
            "",
            "did:e::dids:c5b454f4a8133c3d2cf2ef",
            "did:e:localhost:dids:c5b454f4a8133c3d2cf2e",
            "did:e:localhost:dids:C5b454f4a8133c3d2cf2ef",
            "xdid:e:localhost:dids:c5b454f4a8133c3d2cf2ef",
            "did:e:local host:dids:c5b454f4a8133c3d2cf2ef",
            "did:e:localhost:dids:c5b454f4a8133c3d2c\u{e9}ef",
        ] {
            assert_eq!(text.parse::<Address>(), Err(AddressError), "{text:?}");
        }
    }
}
