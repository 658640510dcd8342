//! Records at rest: CBOR, bound to their key, sealed.
//!
//! ```text
//! version(1) nonce(24) XChaCha20-Poly1305( version(1) length(2) key value )
//! ```
//!
//! The key of the record is part of the sealed text, so that a value moved to another key is refused. Nonces are
//! random: 192 bits do not repeat.

use serde::Serialize;
use serde::de::DeserializeOwned;
use transport::crypto::{Cipher, CipherNonce, KdfContext, NONCE_LENGTH, SecretKey};
use zeroize::Zeroizing;

use super::{Result, StoreError};

/// Initial capacity for a record, in bytes: a buffer that grows leaves a copy of its content in memory.
const USUAL_RECORD: usize = 4096;
/// Version of the layout above.
const VERSION: u8 = 1;

/// The key of the store: for XChaCha20-Poly1305, and for deriving the key of the index. Wiped when dropped.
#[derive(Clone)]
pub(crate) struct StoreSecret(SecretKey);

impl StoreSecret {
    pub(crate) fn new(bytes: [u8; SecretKey::LENGTH]) -> Self {
        Self(SecretKey::from_bytes(bytes))
    }

    pub(crate) fn generate() -> Self {
        Self(SecretKey::generate())
    }

    /// The secret bytes, for writing the key file.
    pub(crate) fn expose(&self) -> &[u8; SecretKey::LENGTH] {
        self.0.expose()
    }
}

/// Seals and opens values of the store, and hashes values for keys.
pub(super) struct Sealing {
    secret: StoreSecret,
    index_key: SecretKey,
}

impl Sealing {
    pub(super) fn new(secret: StoreSecret) -> Self {
        let index_key = secret.0.derive(&KdfContext::StoreIndex, 1).expect("1 is a number that a sub key may have");
        Self { secret, index_key }
    }

    /// Seals a value for this key of the database.
    pub(super) fn seal(&self, key: &[u8], plain: &[u8]) -> Vec<u8> {
        let cipher = self.secret.0.encrypt(&Zeroizing::new([&binding(key), plain].concat()));
        match cipher.nonce() {
            CipherNonce::Random(nonce) => [&[VERSION], nonce.as_slice(), cipher.ciphertext()].concat(),
            CipherNonce::Counter(_) => unreachable!("`encrypt` takes a random nonce"),
        }
    }

    /// A keyed hash of a value for the index, truncated: different values may have the same one.
    pub(super) fn short_hash(&self, value: &[u8]) -> [u8; 8] {
        let [a, b, c, d, e, f, g, h, ..] = self.index_key.keyed_hash(value);
        [a, b, c, d, e, f, g, h]
    }

    /// Opens what was sealed for this key of the database.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if it was not, whatever the reason.
    pub(super) fn open(&self, key: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let (version, sealed) = sealed.split_first().ok_or(StoreError::Damaged)?;
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LENGTH>().ok_or(StoreError::Damaged)?;
        let cipher = Cipher::new(ciphertext.to_vec(), CipherNonce::Random(*nonce));
        let mut bound = self.secret.0.decrypt(&cipher).map_err(|_| StoreError::Damaged)?;
        let binding = binding(key);
        if *version != VERSION || !bound.starts_with(&binding) {
            return Err(StoreError::Damaged);
        }
        bound.drain(..binding.len());
        Ok(bound)
    }
}

/// The bytes before a value: the version of the layout, and its key. The length separates the key from the value unambiguously.
fn binding(key: &[u8]) -> Vec<u8> {
    let length = u16::try_from(key.len()).expect("keys are bounded where they are made");
    [&[VERSION], length.to_be_bytes().as_slice(), key].concat()
}

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(USUAL_RECORD));
    ciborium::into_writer(value, &mut *bytes).map_err(|error| StoreError::Encoding(error.to_string()))?;
    Ok(bytes)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    ciborium::from_reader(bytes).map_err(|_| StoreError::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_under_its_own_key_only() {
        let sealing = Sealing::new(StoreSecret::new([3; 32]));
        let sealed = sealing.seal(b"key", b"planted secret");
        assert_eq!(*sealing.open(b"key", &sealed).unwrap(), b"planted secret");
        assert!(!sealed.windows(7).any(|window| window == b"planted"));
        for other in [b"keys".as_slice(), b"ke", b"kez", b""] {
            assert!(matches!(sealing.open(other, &sealed), Err(StoreError::Damaged)));
        }
    }

    #[test]
    fn every_altered_byte_and_every_truncation_is_detected() {
        let sealing = Sealing::new(StoreSecret::new([3; 32]));
        let sealed = sealing.seal(b"key", b"value");
        for place in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[place] ^= 1;
            assert!(sealing.open(b"key", &altered).is_err(), "byte {place}");
            assert!(sealing.open(b"key", &sealed[..place]).is_err(), "cut at {place}");
        }
    }
}
