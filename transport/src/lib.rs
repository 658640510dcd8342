//! Mechanism of enlace: wire formats, cryptography and the backbone client.
//!
//! No database, no HTTP server, no global state. Everything here is byte-compatible with the enmeshed transport, but for
//! [`content`], the format of our own for large files, and [`peer`], protocols of our own between nodes.
//!
//! | Feature | Adds |
//! |---|---|
//! | none | [`wire`]: identifiers, dates, references, and the shapes of the backbone's HTTP messages; [`access`]: who may read a token; pure data and decisions |
//! | `verify` | [`identity`]'s address derivation, signature verification, and verification of [`content`]: what a server needs |
//! | `client` (default) | sealing and opening, keys, the [`backbone`] client, and the protocols between [`peer`]s |
//!
//! Sharing a file, end to end:
//!
//! ```
//! # #[cfg(feature = "client")] {
//! # use std::io::{Cursor, Read};
//! use transport::crypto::{Cipher, CryptoObject as _, SecretKey};
//! use transport::file::{FileMetadata, Opener, Sealer};
//! use transport::token::TokenContent;
//! use transport::wire::TokenReference;
//!
//! // the sender seals the file and its metadata, and a token that points to it; a backbone stores all three
//! let (content_key, metadata_key, token_key) = (SecretKey::generate(), SecretKey::generate(), SecretKey::generate());
//! let mut body = Vec::new();
//! let mut sealer = Sealer::new(&content_key, &mut body);
//! sealer.push(b"Hello", &mut body)?;
//! let sealed = sealer.finish(&mut body);
//! let metadata = FileMetadata {
//!     filename: "hello.txt".into(),
//!     filesize: sealed.plaintext_length,
//!     mimetype: "text/plain".into(),
//!     plaintext_hash: sealed.plaintext_hash,
//!     secret_key: content_key,
//!     description: None, modified_at: None, tags: None, title: None,
//! };
//! let properties = metadata.seal(&metadata_key);
//! let content = TokenContent::file("FILabcDEF123ghiJKL45".parse()?, metadata_key);
//! let token = token_key.encrypt(content.to_text().as_bytes()).to_byte_text();
//!
//! // the sender hands over a reference, out of band
//! let reference = TokenReference::new("TOKabcDEF123ghiJKL45".parse()?, token_key.into()).at("https://example.com")?;
//! let text = reference.to_truncated();
//!
//! // the receiver fetches what it names, and opens it
//! let key = SecretKey::from(TokenReference::parse(&text)?.key);
//! let text = key.decrypt(&Cipher::from_bytes(&token.0)?)?;
//! let TokenContent::File { secret_key, .. } = TokenContent::parse(std::str::from_utf8(&text)?)? else { panic!("a file") };
//! let metadata = FileMetadata::open(&properties.0, &secret_key)?;
//! let mut file = Opener::new(&metadata, sealed.cipher_hash).open(Cursor::new(body))?;
//! let mut plaintext = String::new();
//! file.read_to_string(&mut plaintext)?;
//! assert_eq!(plaintext, "Hello");
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod access;
#[cfg(feature = "client")]
pub mod backbone;
#[cfg(feature = "verify")]
pub mod challenge;
#[cfg(feature = "verify")]
pub mod content;
#[cfg(feature = "verify")]
pub mod crypto;
#[cfg(feature = "client")]
pub mod datawallet;
mod error;
#[cfg(feature = "client")]
pub mod file;
#[cfg(feature = "verify")]
pub mod identity;
#[cfg(feature = "client")]
pub mod peer;
#[cfg(feature = "client")]
pub mod secret_container;
#[cfg(feature = "client")]
pub mod token;
pub mod wire;

pub use error::Error;
