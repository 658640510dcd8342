//! Exactly the primitives that the protocol prescribes: XChaCha20-Poly1305, Ed25519, X25519, BLAKE2b, Argon2id, SHA-2;
//! and for what is our own BLAKE3 (the content format, protocols between peers), HKDF and SPAKE2 (protocols between peers).
//!
//! All come from reviewed crates, and only this module uses them. Keys are used through methods; their bytes leave only
//! through functions called `expose` and through [`CryptoObject`], the JSON texts that the protocol prescribes. Every
//! failure to decrypt or authenticate is the one opaque [`CryptoError::Decryption`].
//!
//! Feature `verify` has hashes and signature verification only; the rest needs `client`.

mod context_hash;
pub mod hash;
mod object;
mod signature;

#[cfg(feature = "client")]
mod chunk_cipher;
#[cfg(feature = "client")]
mod cipher;
#[cfg(feature = "client")]
mod exchange;
#[cfg(feature = "client")]
mod kdf;
#[cfg(feature = "client")]
pub mod password;
#[cfg(feature = "client")]
mod password_exchange;
#[cfg(feature = "client")]
pub mod private_key;
#[cfg(feature = "client")]
pub mod random;
#[cfg(feature = "client")]
mod secret_key;
#[cfg(feature = "client")]
mod signature_keypair;
#[cfg(feature = "client")]
mod stream;
#[cfg(feature = "client")]
mod transient;

#[cfg(feature = "client")]
pub(crate) use chunk_cipher::{ChunkCipher, key_commitment};
#[cfg(feature = "client")]
pub use cipher::{BaseNonce, Cipher, CipherNonce, MAX_CIPHERTEXT_LENGTH, NONCE_LENGTH, TAG_LENGTH};
#[cfg(feature = "client")]
pub(crate) use context_hash::derive as derive_for;
pub(crate) use context_hash::{ContextHash, HashContext};
#[cfg(feature = "client")]
pub use exchange::{ExchangeKeypair, ExchangePublicKey, ExchangeSecrets};
#[cfg(feature = "client")]
pub use kdf::{KdfContext, MAX_KEY_ID};
pub use object::{CryptoObject, Form, compact};
#[cfg(feature = "client")]
pub use password::{PasswordHash, hash_password};
#[cfg(feature = "client")]
pub(crate) use password_exchange::{ELEMENT_LENGTH, ExchangeSide, PasswordExchange, RANDOMNESS_LENGTH};
#[cfg(feature = "client")]
pub use secret_key::SecretKey;
pub use signature::{Signature, SignatureHash, SignaturePublicKey};
#[cfg(feature = "client")]
pub use signature_keypair::SignatureKeypair;
#[cfg(feature = "client")]
pub(crate) use stream::{MAX_STREAM_LENGTH, StreamOpener, StreamSealer};
#[cfg(feature = "client")]
pub use transient::{TransientDecryptor, TransientEncryptor, TransientReader, transient_cipher};

/// A failed cryptographic operation. Never reveals more than a peer may learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// The key is wrong or the content was altered; deliberately not told apart.
    #[error("content could not be decrypted: the key is wrong or the content was altered")]
    Decryption,
    /// The signature does not belong to the text and the key.
    #[error("signature does not match the content and the key")]
    Signature,
    /// A text is not a valid crypto object of the expected kind.
    #[error("text is not a valid {object}")]
    Malformed {
        /// Name of the expected object, for example `CryptoCipher`.
        object: &'static str,
    },
    /// The number of a sub key is 2^31 or more.
    #[error("sub key number is not below 2147483648")]
    KeyId,
    /// A public exchange key of small order, with which every exchange has the same result.
    #[error("exchange key of the peer is unusable")]
    WeakExchangeKey,
    /// A message of a password exchange is not one of the other side.
    #[error("message of the key exchange is not valid")]
    PasswordExchange,
    /// The content exceeds the length that one key can encrypt.
    #[error("content is longer than what one key can encrypt")]
    TooLong,
}
