//! The crate's error.

/// Anything that can go wrong in this crate. Detail is in the variants' own types.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Wrong key, or not authentic; which of the two, and where, stays open.
    #[cfg(feature = "verify")]
    #[error("content could not be decrypted: the key is wrong or the content was altered")]
    Decryption,
    /// A key, cipher or signature is wrong.
    #[cfg(feature = "verify")]
    #[error(transparent)]
    Crypto(crate::crypto::CryptoError),
    /// An address does not belong to its key, or contradicts itself.
    #[cfg(feature = "verify")]
    #[error(transparent)]
    Address(#[from] crate::identity::AddressMismatch),
    /// A signed challenge cannot be accepted.
    #[cfg(feature = "verify")]
    #[error(transparent)]
    Challenge(#[from] crate::challenge::ChallengeError),
    /// A file cannot be sealed or opened.
    #[cfg(feature = "client")]
    #[error(transparent)]
    File(#[from] crate::file::FileError),
    /// A stretch of the datawallet cannot be taken over.
    #[cfg(feature = "client")]
    #[error(transparent)]
    Datawallet(#[from] crate::datawallet::DatawalletError),
    /// A decrypted text is not JSON.
    #[error(transparent)]
    Json(#[from] crate::wire::json::InvalidJson),
    /// A reference cannot be read.
    #[error(transparent)]
    Reference(#[from] crate::wire::ReferenceError),
}

#[cfg(feature = "verify")]
impl From<crate::crypto::CryptoError> for Error {
    fn from(error: crate::crypto::CryptoError) -> Self {
        match error {
            crate::crypto::CryptoError::Decryption => Self::Decryption,
            other => Self::Crypto(other),
        }
    }
}
