//! Errors when sealing or opening a file.

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
