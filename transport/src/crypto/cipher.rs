//! A ciphertext with its nonce or counter, and the base nonce to which two sides add counters.

use std::fmt;

use serde_json::Value;

use super::object::{ALGORITHM, CryptoObject, Fields, Form, Members, malformed};
use super::{CryptoError, random};

/// Length of a nonce in bytes.
pub const NONCE_LENGTH: usize = 24;

/// Length of the authentication tag at the end of every ciphertext, in bytes.
pub const TAG_LENGTH: usize = 16;

/// Maximum length in bytes of a ciphertext in a JSON object, including the tag. Files are streamed and may be longer.
pub const MAX_CIPHERTEXT_LENGTH: usize = 100 * 1024 * 1024;

const MIN_CIPHERTEXT_LENGTH: usize = 2;

/// The nonce of a ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CipherNonce {
    /// A random nonce.
    Random([u8; NONCE_LENGTH]),
    /// A counter, added to a base nonce that both sides know.
    Counter(u32),
}

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

/// A `CryptoCipher`: ciphertext, 16-byte tag, and nonce or counter.
#[derive(Clone, PartialEq, Eq)]
pub struct Cipher {
    ciphertext: Vec<u8>,
    nonce: CipherNonce,
}

impl Cipher {
    /// Combines a ciphertext, tag included, with its nonce or counter.
    #[must_use]
    pub fn new(ciphertext: Vec<u8>, nonce: CipherNonce) -> Self {
        Self { ciphertext, nonce }
    }

    /// Ciphertext and tag.
    #[must_use]
    pub fn ciphertext(&self) -> &[u8] {
        &self.ciphertext
    }

    /// Nonce or counter.
    #[must_use]
    pub fn nonce(&self) -> CipherNonce {
        self.nonce
    }
}

impl CryptoObject for Cipher {
    const TYPE: &'static str = "CryptoCipher";

    fn to_value(&self, form: Form) -> Value {
        let members = Members::new().with_bytes("cph", &self.ciphertext).with("alg", ALGORITHM);
        match self.nonce {
            CipherNonce::Random(nonce) => members.with_bytes("nnc", &nonce),
            CipherNonce::Counter(counter) => members.with("cnt", counter),
        }
        .with_type::<Self>(form)
        .build()
    }

    fn from_value(value: &Value) -> Result<Self, CryptoError> {
        let fields = Fields::<Self>::of(value)?;
        fields.check_algorithm()?;
        let ciphertext = fields.bytes("cph", "cipher")?;
        if !(MIN_CIPHERTEXT_LENGTH..=MAX_CIPHERTEXT_LENGTH).contains(&ciphertext.len()) {
            return Err(malformed::<Self>());
        }
        let nonce = match (fields.optional("nnc", "nonce"), fields.optional("cnt", "counter")) {
            (Some(_), None) => CipherNonce::Random(fields.array("nnc", "nonce")?),
            (None, Some(counter)) => {
                let counter = counter.as_u64().and_then(|counter| counter.try_into().ok());
                CipherNonce::Counter(counter.ok_or_else(malformed::<Self>)?)
            }
            _ => return Err(malformed::<Self>()),
        };
        Ok(Self { ciphertext, nonce })
    }
}

/// Shows the length only.
impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cipher({} bytes)", self.ciphertext.len())
    }
}
