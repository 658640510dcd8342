//! Password hashes. The backbone sees them and must not learn the password, so they are slow ones: Argon2id.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::ZeroizeOnDrop;

use super::random;
use crate::wire::bytes::to_base64;
use crate::wire::password::SALT_LENGTH;

const MEMORY_KIB: u32 = 20_480;
const PASSES: u32 = 3;
const LANES: u32 = 1;
const OUTPUT_LENGTH: usize = 32;

/// The hash that a receiver sends to the backbone in place of a password.
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct PasswordHash([u8; OUTPUT_LENGTH]);

impl PasswordHash {
    /// Wraps the bytes of a hash that was computed before.
    #[must_use]
    pub fn from_bytes(bytes: [u8; OUTPUT_LENGTH]) -> Self {
        Self(bytes)
    }

    /// Standard base64 with padding, 44 characters, the form that the backbone compares.
    #[must_use]
    pub fn to_backbone_text(&self) -> String {
        to_base64(&self.0)
    }

    /// The bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8; OUTPUT_LENGTH] {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// Hashes a password as typed, without Unicode normalization. Blocks for tens of milliseconds and takes 20 MiB of memory:
/// do not call it on a thread of the async runtime.
#[must_use]
pub fn hash_password(password: &str, salt: &[u8; SALT_LENGTH]) -> PasswordHash {
    let parameters = Params::new(MEMORY_KIB, PASSES, LANES, Some(OUTPUT_LENGTH)).expect("the parameters are constants");
    let mut hash = [0; OUTPUT_LENGTH];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
        .hash_password_into(password.as_bytes(), salt, &mut hash)
        .expect("16 bytes of salt and 32 of output are in range, and no password reaches 4 GiB");
    PasswordHash(hash)
}

/// A fresh salt.
#[must_use]
pub fn generate_salt() -> [u8; SALT_LENGTH] {
    random::bytes()
}
