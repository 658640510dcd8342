//! Exactly the primitives that the protocol prescribes: XChaCha20-Poly1305, Ed25519, X25519, BLAKE2b, Argon2id, SHA-2;
//! and BLAKE3 for the content format that is our own.
//!
//! All come from reviewed crates, and only this module uses them. Keys are used through methods; their bytes leave only
//! through functions called `expose` and through [`CryptoObject`], the JSON texts that the protocol prescribes. Every
//! failure to decrypt or authenticate is the one opaque [`CryptoError::Decryption`].
//!
//! Feature `verify` has hashes and signature verification only; the rest needs `client`.

mod context_hash;
mod error;
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
mod nonce;
#[cfg(feature = "client")]
pub mod password;
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
pub use cipher::{Cipher, CipherNonce, MAX_CIPHERTEXT_LENGTH, TAG_LENGTH};
pub(crate) use context_hash::{ContextHash, HashContext};
pub use error::CryptoError;
#[cfg(feature = "client")]
pub use exchange::{ExchangeKeypair, ExchangePublicKey, ExchangeSecrets};
#[cfg(feature = "client")]
pub use kdf::{KdfContext, MAX_KEY_ID};
#[cfg(feature = "client")]
pub use nonce::{BaseNonce, NONCE_LENGTH};
pub use object::{CryptoObject, Form, compact};
#[cfg(feature = "client")]
pub use password::{PasswordHash, hash_password};
#[cfg(feature = "client")]
pub use secret_key::SecretKey;
pub use signature::{Signature, SignatureHash, SignaturePublicKey};
#[cfg(feature = "client")]
pub use signature_keypair::SignatureKeypair;
#[cfg(feature = "client")]
pub(crate) use stream::{MAX_STREAM_LENGTH, StreamOpener, StreamSealer};
#[cfg(feature = "client")]
pub use transient::{TransientDecryptor, TransientEncryptor, TransientReader, transient_cipher};
