//! Tokens: small sealed contents that the holder of the reference can open.
//!
//! What a token may hold is [`TokenContent`]. Its text, sealed with the key of the token, is what the backbone stores:
//!
//! ```
//! # #![cfg(feature = "client")]
//! use transport::crypto::{Cipher, CryptoObject as _, SecretKey};
//! use transport::token::TokenContent;
//!
//! let key = SecretKey::generate();
//! let content = TokenContent::File { file_id: "FILabcDEF123ghiJKL45".parse()?, secret_key: SecretKey::generate() };
//! let stored = key.encrypt(content.to_text().as_bytes()).to_byte_text();
//! let plaintext = key.decrypt(&Cipher::from_bytes(&stored.0)?)?;
//! assert_eq!(TokenContent::parse(std::str::from_utf8(&plaintext)?)?, content);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod content;

pub use content::{TokenContent, TokenContentError};
