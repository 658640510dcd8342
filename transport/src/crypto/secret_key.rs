//! Keys for encryption.

use std::fmt;

use chacha20poly1305::aead::Aead;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use serde_json::Value;
use subtle::ConstantTimeEq;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::object::{ALGORITHM, CryptoObject, Fields, Form, Members};
use super::{BaseNonce, Cipher, CipherNonce, CryptoError, KdfContext, NONCE_LENGTH, kdf, random};
use crate::wire::ReferenceKey;

/// A 32-byte key for XChaCha20-Poly1305 and for deriving others. Wiped from memory when dropped.
#[derive(Clone, ZeroizeOnDrop)]
pub struct SecretKey([u8; Self::LENGTH]);

impl SecretKey {
    /// Length in bytes.
    pub const LENGTH: usize = 32;

    /// A random key.
    #[must_use]
    pub fn generate() -> Self {
        Self(random::bytes())
    }

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

    /// Encrypts with a random nonce.
    #[must_use]
    pub fn encrypt(&self, plaintext: &[u8]) -> Cipher {
        self.encrypt_with_nonce(plaintext, random::bytes())
    }

    /// Encrypts with a given nonce, which must never have been used with this key before: reuse reveals both plaintexts and
    /// allows forgeries. Prefer [`SecretKey::encrypt`].
    #[must_use]
    pub fn encrypt_with_nonce(&self, plaintext: &[u8], nonce: [u8; NONCE_LENGTH]) -> Cipher {
        Cipher::new(self.seal(plaintext, nonce), CipherNonce::Random(nonce))
    }

    /// Encrypts in the counter form. The caller must use each counter once and persist it before use.
    #[must_use]
    pub fn encrypt_with_counter(&self, plaintext: &[u8], base: &BaseNonce, counter: u32) -> Cipher {
        Cipher::new(self.seal(plaintext, base.at(counter)), CipherNonce::Counter(counter))
    }

    /// Decrypts a cipher that carries its nonce.
    ///
    /// # Errors
    /// [`CryptoError::Decryption`] for a wrong key, an altered cipher, or one in counter form.
    pub fn decrypt(&self, cipher: &Cipher) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        match cipher.nonce() {
            CipherNonce::Random(nonce) => self.open(cipher.ciphertext(), nonce),
            CipherNonce::Counter(_) => Err(CryptoError::Decryption),
        }
    }

    /// Decrypts a cipher in the counter form. Does not check the order of counters, nor detect repeated ones.
    ///
    /// # Errors
    /// [`CryptoError::Decryption`] for a wrong key, an altered cipher, or one with a nonce of its own.
    pub fn decrypt_with_counter(&self, cipher: &Cipher, base: &BaseNonce) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        match cipher.nonce() {
            CipherNonce::Counter(counter) => self.open(cipher.ciphertext(), base.at(counter)),
            CipherNonce::Random(_) => Err(CryptoError::Decryption),
        }
    }

    /// The sub key for a purpose, numbered 0 to [`MAX_KEY_ID`](super::MAX_KEY_ID).
    ///
    /// # Errors
    /// [`CryptoError::KeyId`] for higher numbers.
    pub fn derive(&self, context: &KdfContext, id: u64) -> Result<Self, CryptoError> {
        kdf::derive(&self.0, *context, id)
    }

    /// Keyed BLAKE2b-256 of a message: computing or checking it needs the key. Use a key that was
    /// [derived](Self::derive) for the purpose.
    #[must_use]
    pub fn keyed_hash(&self, message: &[u8]) -> [u8; 32] {
        kdf::keyed_hash(&self.0, message)
    }

    /// Whether somebody presents the [keyed hash](Self::keyed_hash) of a message. Compares in constant time.
    #[must_use]
    pub fn has_keyed_hash(&self, message: &[u8], presented: &[u8]) -> bool {
        self.keyed_hash(message).as_slice().ct_eq(presented).into()
    }

    fn seal(&self, plaintext: &[u8], nonce: [u8; NONCE_LENGTH]) -> Vec<u8> {
        XChaCha20Poly1305::new(&self.0.into())
            .encrypt(&nonce.into(), plaintext)
            .expect("only plaintexts beyond 256 GiB are refused, and no slice that long fits in memory")
    }

    /// The plaintext is wiped on drop, because most plaintexts contain further keys.
    fn open(&self, ciphertext: &[u8], nonce: [u8; NONCE_LENGTH]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let plaintext = XChaCha20Poly1305::new(&self.0.into()).decrypt(&nonce.into(), ciphertext);
        plaintext.map(Zeroizing::new).map_err(|_| CryptoError::Decryption)
    }
}

impl CryptoObject for SecretKey {
    const TYPE: &'static str = "CryptoSecretKey";

    fn to_value(&self, form: Form) -> Value {
        Members::new().with_bytes("key", &self.0).with("alg", ALGORITHM).with_type::<Self>(form).build()
    }

    fn from_value(value: &Value) -> Result<Self, CryptoError> {
        let fields = Fields::<Self>::of(value)?;
        fields.check_algorithm()?;
        fields.array("key", "secretKey").map(Self)
    }
}

impl From<ReferenceKey> for SecretKey {
    fn from(key: ReferenceKey) -> Self {
        Self(*key.expose())
    }
}

impl From<&ReferenceKey> for SecretKey {
    fn from(key: &ReferenceKey) -> Self {
        Self(*key.expose())
    }
}

impl From<&SecretKey> for ReferenceKey {
    fn from(key: &SecretKey) -> Self {
        Self::from_bytes(key.0)
    }
}

impl From<SecretKey> for ReferenceKey {
    fn from(key: SecretKey) -> Self {
        Self::from_bytes(key.0)
    }
}

/// Compares in constant time.
impl PartialEq for SecretKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretKey {}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}
