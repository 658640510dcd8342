//! Errors of cryptographic operations.

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
    /// The content exceeds the length that one key can encrypt.
    #[error("content is longer than what one key can encrypt")]
    TooLong,
}
