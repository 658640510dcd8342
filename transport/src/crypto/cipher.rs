//! A ciphertext with its nonce or counter.

use std::fmt;

use serde_json::Value;

use super::object::{ALGORITHM, CryptoObject, Fields, Form, Members, malformed};
use super::{CryptoError, NONCE_LENGTH};

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
