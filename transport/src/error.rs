//! The crate's error.

/// Any error of this crate. Details are in the types of the variants.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The key is wrong or the content was altered; deliberately not told apart.
    #[cfg(feature = "verify")]
    #[error("content could not be decrypted: the key is wrong or the content was altered")]
    Decryption,
    /// A key, ciphertext or signature is invalid.
    #[cfg(feature = "verify")]
    #[error(transparent)]
    Crypto(crate::crypto::CryptoError),
    /// An address does not match its key or its checksum.
    #[cfg(feature = "verify")]
    #[error(transparent)]
    Address(#[from] crate::identity::AddressMismatch),
    /// A signed challenge is invalid.
    #[cfg(feature = "verify")]
    #[error(transparent)]
    Challenge(#[from] crate::challenge::ChallengeError),
    /// A content of format `v2` cannot be sealed, verified or opened.
    #[cfg(feature = "verify")]
    #[error(transparent)]
    Content(#[from] crate::content::ContentError),
    /// A file cannot be sealed or opened.
    #[cfg(feature = "client")]
    #[error(transparent)]
    File(#[from] crate::file::FileError),
    /// Part of the datawallet's log is invalid.
    #[cfg(feature = "client")]
    #[error(transparent)]
    Datawallet(crate::datawallet::DatawalletError),
    /// A protocol between peers ended without a result.
    #[cfg(feature = "client")]
    #[error(transparent)]
    Peer(#[from] crate::peer::PeerError),
    /// A decrypted text is not JSON.
    #[error(transparent)]
    Json(#[from] crate::wire::json::InvalidJson),
    /// A reference is invalid.
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

#[cfg(feature = "client")]
impl From<crate::datawallet::DatawalletError> for Error {
    fn from(error: crate::datawallet::DatawalletError) -> Self {
        match error {
            crate::datawallet::DatawalletError::Crypto(error) => error.into(),
            other => Self::Datawallet(other),
        }
    }
}
