//! What can go wrong with keys, ciphers and signatures.

/// A cryptographic operation that failed. It never says more than a peer may learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CryptoError {
    /// Wrong key, or not authentic; which of the two stays open.
    #[error("content could not be decrypted: the key is wrong or the content was altered")]
    Decryption,
    /// The signature does not belong to the text and the key.
    #[error("signature does not fit the content and the key")]
    Signature,
    /// A text that is not the crypto object it should be.
    #[error("text is not a valid {object}")]
    Malformed {
        /// Name of the expected object, for example `CryptoCipher`.
        object: &'static str,
    },
    /// The number of a sub key is 2^31 or more.
    #[error("sub key number is not below 2147483648")]
    KeyId,
    /// A public exchange key with which every exchange has the same result.
    #[error("exchange key of the peer is unusable")]
    WeakExchangeKey,
    /// More bytes than one key may encrypt.
    #[error("content is longer than what one key can encrypt")]
    TooLong,
}
