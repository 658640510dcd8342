//! Tokens: small sealed contents that the holder of the reference can open.
//!
//! [`seal`] turns a [`TokenContent`] into the form that the backbone stores, and [`open`] turns that back.
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

/// Seals a content in the form that the backbone stores.
#[must_use]
pub fn seal(content: &TokenContent, key: &SecretKey) -> ByteText {
    key.encrypt(Zeroizing::new(content.to_text()).as_bytes()).to_byte_text()
}

/// Opens a sealed content from the backbone. Contents of unknown type are refused.
///
/// # Errors
/// [`Error::Decryption`] for a wrong key or altered content, [`Error::Crypto`] if it is not a ciphertext,
/// [`Error::TokenContent`] if the plaintext is not a token content.
pub fn open(sealed: &[u8], key: &SecretKey) -> Result<TokenContent, Error> {
    open_with(sealed, key, false)
}

/// Like [`open`], but with `allow_unknown`, contents of unknown type are returned as [`TokenContent::Json`].
///
/// # Errors
/// Like [`open`].
pub fn open_with(sealed: &[u8], key: &SecretKey, allow_unknown: bool) -> Result<TokenContent, Error> {
    let plaintext = key.decrypt(&Cipher::from_bytes(sealed)?)?;
    let text = std::str::from_utf8(&plaintext).map_err(|_| TokenContentError::Malformed)?;
    Ok(TokenContent::parse_open(text, allow_unknown)?)
}
