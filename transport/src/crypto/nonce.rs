//! Nonces that two sides derive from a shared base and a counter.

use super::random;

/// Length of a nonce in bytes.
pub const NONCE_LENGTH: usize = 24;

/// The nonce to which counters are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BaseNonce([u8; NONCE_LENGTH]);

impl BaseNonce {
    /// A random base nonce.
    #[must_use]
    pub fn generate() -> Self {
        Self(random::bytes())
    }

    /// Wraps the bytes of a nonce.
    #[must_use]
    pub fn from_bytes(bytes: [u8; NONCE_LENGTH]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; NONCE_LENGTH] {
        &self.0
    }

    /// The nonce for one counter: bytes 20 to 23 as a little-endian number plus the counter, modulo 2^32.
    #[must_use]
    pub fn at(&self, counter: u32) -> [u8; NONCE_LENGTH] {
        let [a, b, c, d] = [self.0[20], self.0[21], self.0[22], self.0[23]];
        let sum = u32::from_le_bytes([a, b, c, d]).wrapping_add(counter);
        let mut nonce = self.0;
        nonce[20..].copy_from_slice(&sum.to_le_bytes());
        nonce
    }
}
