//! Files: one ciphertext over the whole plaintext, wrapped in JSON (format `v1`), and sealed metadata with the key to it. Contents
//! of format `v2` are in [`content`](crate::content); their metadata are here too.
//!
//! ```text
//! body     = {"cph":"<base64url of ciphertext and tag>","alg":3,"nnc":"<nonce>","@type":"CryptoCipher"}
//! metadata = name, type, size, SHA-512 of the plaintext, content key; sealed under the metadata key
//! ```
//!
//! [`Sealer`] writes a body in constant memory. [`ReceivingBody`] hashes a body while it arrives and takes the
//! ciphertext out of it. The nonce and the authentication tag come last in a body, so [`Opener`] first processes
//! the whole ciphertext (body hash, size, tag, plaintext hash) and only then returns a [`VerifiedFile`], which
//! decrypts again while it is read. No unverified plaintext ever leaves this module.

mod decryption;
mod error;
mod layout;
mod metadata;
mod metadata_v2;
mod open;
mod receive;
mod seal;

pub use error::FileError;
pub use layout::max_body_length;
pub use metadata::{FileMetadata, MAX_SEALED_METADATA_LENGTH, sign_ownership};
pub use metadata_v2::{AnyFileMetadata, Extent, FileMetadataV2, sign_content_ownership};
pub use open::{Opener, VerifiedFile};
pub use receive::{ReceivedBody, ReceivingBody};
pub use seal::{MAX_PLAINTEXT_LENGTH, SealedFile, Sealer, sealed_length};
