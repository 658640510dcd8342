//! Ed25519 signatures: what a signer needs.

use std::fmt;

use ed25519_dalek::{Signer, SigningKey};
use serde_json::Value;
use zeroize::Zeroizing;

use super::object::{ALGORITHM, CryptoObject, Fields, Form, Members, malformed};
use super::{CryptoError, Signature, SignatureHash, SignaturePublicKey, random};

/// The private and public key of an identity, a device or a relationship. Wiped from memory when dropped.
#[derive(Clone)]
pub struct SignatureKeypair(SigningKey);

impl SignatureKeypair {
    const PRIVATE_TYPE: &'static str = "CryptoSignaturePrivateKey";

    /// A fresh pair.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_seed(&Zeroizing::new(random::bytes()))
    }

    /// The pair that belongs to a 32-byte seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> SignaturePublicKey {
        SignaturePublicKey::from_raw(self.0.verifying_key().to_bytes())
    }

    /// Signs a message. `hash` is only written into the signature's text.
    #[must_use]
    pub fn sign(&self, message: &[u8], hash: SignatureHash) -> Signature {
        Signature::from_raw(self.0.sign(message).to_bytes(), hash)
    }

    /// `HKDF-SHA256(no salt, seed, label)`: a secret for another purpose, from which nothing follows about this key.
    #[must_use]
    pub(crate) fn derive_seed(&self, label: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut derived = Zeroizing::new([0; 32]);
        hkdf::Hkdf::<sha2::Sha256>::new(None, self.0.as_bytes())
            .expand(label, derived.as_mut())
            .expect("HKDF gives up to 8160 bytes");
        derived
    }

    /// The 32-byte secret seed.
    #[must_use]
    pub fn expose_seed(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The private key as its own JSON object (`CryptoSignaturePrivateKey`).
    #[must_use]
    pub fn expose_private_key(&self, form: Form) -> Value {
        let private = Zeroizing::new(self.0.to_keypair_bytes());
        let members = Members::new().with_bytes("prv", private.as_slice()).with("alg", ALGORITHM);
        match form {
            Form::Verbose => members.with("@type", Self::PRIVATE_TYPE),
            Form::Compact => members,
        }
        .build()
    }

    /// Reads a `CryptoSignaturePrivateKey`, which contains the public key too.
    ///
    /// # Errors
    /// [`CryptoError::Malformed`] if it cannot be parsed or its halves do not match.
    pub fn from_private_key(value: &Value) -> Result<Self, CryptoError> {
        let fields = Fields::<Self>::of(value)?;
        fields.check_algorithm()?;
        let private = Zeroizing::new(fields.array("prv", "privateKey")?);
        SigningKey::from_keypair_bytes(&private).map(Self).map_err(|_| malformed::<Self>())
    }
}

impl CryptoObject for SignatureKeypair {
    const TYPE: &'static str = "CryptoSignatureKeypair";

    fn to_value(&self, form: Form) -> Value {
        Members::new()
            .with("pub", self.public_key().to_value(Form::Compact))
            .with("prv", self.expose_private_key(Form::Compact))
            .with_type::<Self>(form)
            .build()
    }

    fn from_value(value: &Value) -> Result<Self, CryptoError> {
        let fields = Fields::<Self>::of(value)?;
        let public = SignaturePublicKey::from_value(fields.required("pub", "publicKey")?)?;
        let pair = Self::from_private_key(fields.required("prv", "privateKey")?)?;
        if pair.public_key() == public { Ok(pair) } else { Err(malformed::<Self>()) }
    }
}

/// Shows the public half only.
impl fmt::Debug for SignatureKeypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SignatureKeypair").field(&self.public_key()).finish()
    }
}
