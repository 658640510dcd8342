//! SHA-256 and SHA-512.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256, Sha512};

use crate::wire::ByteText;
use crate::wire::bytes::{ByteTextError, from_base64url, to_base64url};

/// SHA-256 of some bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-512 of some bytes.
#[must_use]
pub fn sha512(bytes: &[u8]) -> [u8; 64] {
    Sha512::digest(bytes).into()
}

/// SHA-512 of bytes that arrive piece by piece.
#[derive(Clone, Default)]
pub struct Sha512Stream(Sha512);

impl Sha512Stream {
    /// The state before the first byte.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all pieces.
    #[must_use]
    pub fn finish(self) -> [u8; 64] {
        self.0.finalize().into()
    }

    /// The hash of all pieces as a [`Sha512Hash`].
    #[must_use]
    pub fn finish_hash(self) -> Sha512Hash {
        Sha512Hash(self.finish())
    }
}

/// A SHA-512 hash; its text form is base64url.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha512Hash([u8; Self::LENGTH]);

impl Sha512Hash {
    /// Length in bytes.
    pub const LENGTH: usize = 64;

    /// The hash of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha512(bytes))
    }

    /// Wraps the bytes of a hash.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl FromStr for Sha512Hash {
    type Err = ByteTextError;

    fn from_str(text: &str) -> Result<Self, ByteTextError> {
        from_base64url(text)?.try_into().map(Self).map_err(|_| ByteTextError)
    }
}

impl TryFrom<&ByteText> for Sha512Hash {
    type Error = ByteTextError;

    fn try_from(bytes: &ByteText) -> Result<Self, ByteTextError> {
        bytes.0.as_slice().try_into().map(Self).map_err(|_| ByteTextError)
    }
}

impl From<Sha512Hash> for ByteText {
    fn from(hash: Sha512Hash) -> Self {
        Self(hash.0.to_vec())
    }
}

impl fmt::Display for Sha512Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_base64url(&self.0))
    }
}

impl fmt::Debug for Sha512Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Sha512Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha512Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
