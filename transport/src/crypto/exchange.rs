//! Key agreement, as libsodium's `crypto_kx` does it.
//!
//! Both sides derive one key per direction. In this protocol the requestor of a relationship is the *server* of `crypto_kx`
//! and the templator is its *client*.

use std::fmt;

use blake2::{Blake2b512, Digest};
use serde_json::Value;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::object::{ALGORITHM, CryptoObject, Fields, Form, Members, malformed};
use super::{CryptoError, SecretKey, random};

/// The public half of an exchange key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExchangePublicKey([u8; 32]);

impl ExchangePublicKey {
    /// Wraps the bytes of a key. Weak keys are refused during the exchange.
    #[must_use]
    pub fn from_raw(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes of the key.
    #[must_use]
    pub fn as_raw(&self) -> &[u8; 32] {
        &self.0
    }
}

impl CryptoObject for ExchangePublicKey {
    const TYPE: &'static str = "CryptoExchangePublicKey";

    fn to_value(&self, form: Form) -> Value {
        // the only key object in which `@type` comes first
        Members::new().with_type::<Self>(form).with_bytes("pub", &self.0).with("alg", ALGORITHM).build()
    }

    fn from_value(value: &Value) -> Result<Self, CryptoError> {
        let fields = Fields::<Self>::of(value)?;
        fields.check_algorithm()?;
        fields.array("pub", "publicKey").map(Self)
    }
}

impl fmt::Debug for ExchangePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExchangePublicKey({})", crate::wire::bytes::to_base64url(&self.0))
    }
}

/// A pair of exchange keys. Wiped from memory when dropped.
#[derive(Clone)]
pub struct ExchangeKeypair {
    private: StaticSecret,
    public: ExchangePublicKey,
}

impl ExchangeKeypair {
    const PRIVATE_TYPE: &'static str = "CryptoExchangePrivateKey";

    /// A fresh pair.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_private_bytes(random::bytes())
    }

    /// The pair of a private key.
    #[must_use]
    pub fn from_private_bytes(bytes: [u8; 32]) -> Self {
        let private = StaticSecret::from(bytes);
        let public = ExchangePublicKey(PublicKey::from(&private).to_bytes());
        Self { private, public }
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> ExchangePublicKey {
        self.public
    }

    /// The private key as its own JSON object (`CryptoExchangePrivateKey`).
    #[must_use]
    pub fn expose_private_key(&self, form: Form) -> Value {
        let members = Members::new().with_bytes("prv", self.private.as_bytes()).with("alg", ALGORITHM);
        match form {
            Form::Verbose => members.with("@type", Self::PRIVATE_TYPE),
            Form::Compact => members,
        }
        .build()
    }

    /// The keys of the requestor.
    ///
    /// # Errors
    /// [`CryptoError::WeakExchangeKey`] if the peer's key leads to an all-zero secret.
    pub fn agree_as_requestor(&self, templator: &ExchangePublicKey) -> Result<ExchangeSecrets, CryptoError> {
        let [receiving, transmission] = self.agree(templator, templator, &self.public)?.map(SecretKey::from_bytes);
        Ok(ExchangeSecrets { receiving: transmission, transmission: receiving })
    }

    /// The keys of the templator.
    ///
    /// # Errors
    /// [`CryptoError::WeakExchangeKey`] if the peer's key leads to an all-zero secret.
    pub fn agree_as_templator(&self, requestor: &ExchangePublicKey) -> Result<ExchangeSecrets, CryptoError> {
        let [receiving, transmission] = self.agree(requestor, &self.public, requestor)?.map(SecretKey::from_bytes);
        Ok(ExchangeSecrets { receiving, transmission })
    }

    /// `BLAKE2b-512(X25519(own, peer) || client public || server public)`, as the client's receiving and transmission key.
    fn agree(
        &self,
        peer: &ExchangePublicKey,
        client: &ExchangePublicKey,
        server: &ExchangePublicKey,
    ) -> Result<[[u8; 32]; 2], CryptoError> {
        let shared = self.private.diffie_hellman(&PublicKey::from(peer.0));
        if !shared.was_contributory() {
            return Err(CryptoError::WeakExchangeKey);
        }
        let hash = Blake2b512::new().chain_update(shared.as_bytes()).chain_update(client.0).chain_update(server.0);
        let keys: Zeroizing<[u8; 64]> = Zeroizing::new(hash.finalize().into());
        let mut halves = [[0; 32]; 2];
        halves[0].copy_from_slice(&keys[..32]);
        halves[1].copy_from_slice(&keys[32..]);
        Ok(halves)
    }
}

impl CryptoObject for ExchangeKeypair {
    const TYPE: &'static str = "CryptoExchangeKeypair";

    fn to_value(&self, form: Form) -> Value {
        Members::new()
            .with("pub", self.public.to_value(Form::Compact))
            .with("prv", self.expose_private_key(Form::Compact))
            .with_type::<Self>(form)
            .build()
    }

    fn from_value(value: &Value) -> Result<Self, CryptoError> {
        let fields = Fields::<Self>::of(value)?;
        let public = ExchangePublicKey::from_value(fields.required("pub", "publicKey")?)?;
        let private = Fields::<Self>::of(fields.required("prv", "privateKey")?)?;
        private.check_algorithm()?;
        let pair = Self::from_private_bytes(private.array("prv", "privateKey")?);
        if pair.public == public { Ok(pair) } else { Err(malformed::<Self>()) }
    }
}

/// Shows the public half only.
impl fmt::Debug for ExchangeKeypair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExchangeKeypair").field(&self.public).finish()
    }
}

/// One key per direction, as one side sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeSecrets {
    /// Key for messages from the peer.
    pub receiving: SecretKey,
    /// Key for messages to the peer.
    pub transmission: SecretKey,
}

impl CryptoObject for ExchangeSecrets {
    const TYPE: &'static str = "CryptoExchangeSecrets";

    fn to_value(&self, form: Form) -> Value {
        Members::new()
            .with_bytes("rx", self.receiving.expose())
            .with_bytes("tx", self.transmission.expose())
            .with("alg", ALGORITHM)
            .with_type::<Self>(form)
            .build()
    }

    fn from_value(value: &Value) -> Result<Self, CryptoError> {
        let fields = Fields::<Self>::of(value)?;
        fields.check_algorithm()?;
        let receiving = SecretKey::from_bytes(fields.array("rx", "receivingKey")?);
        let transmission = SecretKey::from_bytes(fields.array("tx", "transmissionKey")?);
        Ok(Self { receiving, transmission })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_fix_the_shared_secret_are_refused() {
        let pair = ExchangeKeypair::generate();
        for low_order in [[0; 32], std::array::from_fn(|place| u8::from(place == 0))] {
            let peer = ExchangePublicKey::from_raw(low_order);
            assert_eq!(pair.agree_as_requestor(&peer), Err(CryptoError::WeakExchangeKey));
            assert_eq!(pair.agree_as_templator(&peer), Err(CryptoError::WeakExchangeKey));
        }
    }
}
