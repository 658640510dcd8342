//! Tokens: a small sealed content that whoever holds the reference can open.
//!
//! What a token may hold is [`TokenContent`]. [`seal`] makes of it what the backbone stores, [`open`] reads that back.
//!
//! ```
//! # #![cfg(feature = "client")]
//! use transport::crypto::SecretKey;
//! use transport::token::{self, TokenContent};
//!
//! let key = SecretKey::generate();
//! let content = TokenContent::File { file_id: "FILabcDEF123ghiJKL45".parse()?, secret_key: SecretKey::generate() };
//! let sealed = token::seal(&content, &key);
//! assert_eq!(token::open(&sealed.0, &key)?, content);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod content;

use zeroize::Zeroizing;

use crate::Error;
use crate::crypto::{Cipher, CryptoObject, SecretKey};
use crate::wire::ByteText;
pub use content::{TokenContent, TokenContentError};

/// Seals a content as the backbone stores it.
#[must_use]
pub fn seal(content: &TokenContent, key: &SecretKey) -> ByteText {
    key.encrypt(Zeroizing::new(content.to_text()).as_bytes()).to_byte_text()
}

/// Opens what the backbone stored. Contents of types that this crate does not know are refused.
///
/// # Errors
/// [`Error::Decryption`] for a wrong key or altered content, [`Error::Crypto`] if it is no cipher at all,
/// [`Error::TokenContent`] if what is inside is not a content.
pub fn open(sealed: &[u8], key: &SecretKey) -> Result<TokenContent, Error> {
    open_with(sealed, key, false)
}

/// The same, but if `allow_unknown` is set, contents of unknown types come as [`TokenContent::Json`] with their `@type`.
///
/// # Errors
/// As [`open`].
pub fn open_with(sealed: &[u8], key: &SecretKey, allow_unknown: bool) -> Result<TokenContent, Error> {
    let plaintext = key.decrypt(&Cipher::from_bytes(sealed)?)?;
    let text = std::str::from_utf8(&plaintext).map_err(|_| TokenContentError::Malformed)?;
    Ok(TokenContent::parse_open(text, allow_unknown)?)
}
