//! Files: one ciphertext over the whole plaintext, wrapped in JSON (format `v1`), and sealed metadata with the key to it. Contents
//! of format `v2` are in [`content`](crate::content); their metadata are here too.
//!
//! ```text
//! body     = {"cph":"<base64url of ciphertext and tag>","alg":3,"nnc":"<nonce>","@type":"CryptoCipher"}
//! metadata = name, type, size, SHA-512 of the plaintext, content key; sealed under the metadata key
//! ```
//!
//! [`Sealer`] writes a body in constant memory. [`ReceivingBody`] hashes a body while it arrives and takes the
//! ciphertext out of it. The nonce and the authentication tag come last in a body, so [`Opener`] first processes
//! the whole ciphertext (body hash, size, tag, plaintext hash) and only then returns a [`VerifiedFile`], which
//! decrypts again while it is read. No unverified plaintext ever leaves this module.

mod decryption;
mod layout;
mod metadata;
mod metadata_v2;
mod open;
mod receive;
mod seal;

pub use layout::max_body_length;
pub use metadata::{FileMetadata, MAX_SEALED_METADATA_LENGTH, sign_ownership};
pub use metadata_v2::{AnyFileMetadata, Extent, FileMetadataV2, sign_content_ownership};
pub use open::{Opener, VerifiedFile};
pub use receive::{ReceivedBody, ReceivingBody};
pub use seal::{MAX_PLAINTEXT_LENGTH, SealedFile, Sealer, sealed_length};

use crate::crypto::CryptoError;

/// Why a file cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The body does not have the hash stored by the backbone.
    #[error("file content does not have the hash that was announced for it; download it again")]
    CipherMismatch,
    /// The plaintext does not have the hash in the metadata.
    #[error("decrypted file does not have the hash in its metadata")]
    PlaintextHashMismatch,
    /// The metadata cannot be parsed, are inconsistent, or do not match the file.
    #[error("file metadata are invalid")]
    InvalidMetadata,
    /// The file has a format that its reader does not know.
    #[error("file has a format that this version cannot read; update the program, and try again")]
    NeedsNewerReader,
    /// The body is not a `CryptoCipher` object.
    #[error("file content is malformed")]
    Malformed,
    /// The key is wrong or the content was altered; deliberately not told apart.
    #[error("file could not be decrypted: the key is wrong or the content was altered")]
    Decryption,
    /// The plaintext exceeds the length that one key can encrypt.
    #[error("file is larger than 256 GiB")]
    TooLarge,
    /// The body could not be read.
    #[error("file content could not be read")]
    Io(#[from] std::io::Error),
}

impl From<CryptoError> for FileError {
    fn from(error: CryptoError) -> Self {
        match error {
            CryptoError::Decryption => Self::Decryption,
            _ => Self::Malformed,
        }
    }
}
