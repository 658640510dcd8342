//! The key inside a reference.

use std::fmt;

use crate::wire::bytes::{from_base64url, to_base64url};

/// The 32 bytes of the key in a reference. `transport::crypto` (feature `client`) converts them to a usable key; with that
/// feature they are also wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct ReferenceKey([u8; Self::LENGTH]);

impl ReferenceKey {
    /// Length in bytes.
    pub const LENGTH: usize = 32;

    /// Wraps the bytes of a key.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// The secret bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    pub(super) fn to_base64url(&self) -> String {
        to_base64url(&self.0)
    }

    pub(super) fn from_base64url(text: &str) -> Option<Self> {
        from_base64url(text).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Debug for ReferenceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReferenceKey(..)")
    }
}

#[cfg(feature = "client")]
impl Drop for ReferenceKey {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}
