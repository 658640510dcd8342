//! What can be wrong with a file.

use crate::crypto::CryptoError;

/// A file that cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The body is not the one that was uploaded.
    #[error("file content does not have the hash that was announced for it; download it again")]
    CipherMismatch,
    /// The plaintext is not the one the metadata describe.
    #[error("decrypted file does not have the hash in its metadata")]
    PlaintextHashMismatch,
    /// The metadata contradict themselves or the file, or are none.
    #[error("file metadata are invalid")]
    InvalidMetadata,
    /// The body is not a cipher text of the protocol.
    #[error("file content is malformed")]
    Malformed,
    /// Wrong key, or not authentic; which of the two stays open.
    #[error("file could not be decrypted: the key is wrong or the content was altered")]
    Decryption,
    /// More than one key can encrypt.
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
