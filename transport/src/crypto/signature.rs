//! Ed25519 signatures: what a verifier needs.

use std::fmt;

use ed25519_dalek::VerifyingKey;
use serde_json::Value;

use super::CryptoError;
use super::object::{ALGORITHM, CryptoObject, Fields, Form, Members, malformed};

/// The public key of an identity, a device or a relationship.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignaturePublicKey([u8; Self::LENGTH]);

impl SignaturePublicKey {
    /// Length in bytes.
    pub const LENGTH: usize = 32;

    /// Wraps the bytes of a key. Weak keys are refused during verification.
    #[must_use]
    pub fn from_raw(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// The bytes of the key.
    #[must_use]
    pub fn as_raw(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// Checks a signature strictly: non-canonical signatures and keys of small order are refused.
    ///
    /// # Errors
    /// [`CryptoError::Signature`] if the signature is not this key's signature of `message`.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), CryptoError> {
        VerifyingKey::from_bytes(&self.0)
            .and_then(|key| key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(&signature.bytes)))
            .map_err(|_| CryptoError::Signature)
    }
}

impl CryptoObject for SignaturePublicKey {
    const TYPE: &'static str = "CryptoSignaturePublicKey";

    fn to_value(&self, form: Form) -> Value {
        Members::new().with_bytes("pub", &self.0).with("alg", ALGORITHM).with_type::<Self>(form).build()
    }

    fn from_value(value: &Value) -> Result<Self, CryptoError> {
        let fields = Fields::<Self>::of(value)?;
        fields.check_algorithm()?;
        fields.array("pub", "publicKey").map(Self)
    }
}

impl fmt::Debug for SignaturePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignaturePublicKey({})", crate::wire::bytes::to_base64url(&self.0))
    }
}

/// The hash that a signature object names. It does not affect the signature, but other clients expect the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureHash {
    /// In signatures with relationship keys.
    Sha256 = 1,
    /// In signatures with identity and device keys.
    Sha512 = 2,
}

/// A signature and the hash it names.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature {
    bytes: [u8; Self::LENGTH],
    hash: SignatureHash,
}

impl Signature {
    /// Length in bytes.
    pub const LENGTH: usize = 64;

    /// Wraps the bytes of a signature.
    #[must_use]
    pub fn from_raw(bytes: [u8; Self::LENGTH], hash: SignatureHash) -> Self {
        Self { bytes, hash }
    }

    /// The bytes of the signature.
    #[must_use]
    pub fn as_raw(&self) -> &[u8; Self::LENGTH] {
        &self.bytes
    }
}

impl CryptoObject for Signature {
    const TYPE: &'static str = "CryptoSignature";

    fn to_value(&self, form: Form) -> Value {
        Members::new().with_bytes("sig", &self.bytes).with("alg", self.hash as u8).with_type::<Self>(form).build()
    }

    fn from_value(value: &Value) -> Result<Self, CryptoError> {
        let fields = Fields::<Self>::of(value)?;
        let hash = match fields.required("alg", "algorithm")?.as_u64() {
            Some(1) => SignatureHash::Sha256,
            Some(2) => SignatureHash::Sha512,
            _ => return Err(malformed::<Self>()),
        };
        Ok(Self { bytes: fields.array("sig", "signature")?, hash })
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_small_order_verify_nothing() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut zero_scalar_signature = [0; 64];
        zero_scalar_signature[0] = 1;
        let signature = Signature::from_raw(zero_scalar_signature, SignatureHash::Sha512);
        assert_eq!(SignaturePublicKey::from_raw(identity).verify(b"any", &signature), Err(CryptoError::Signature));
    }
}
