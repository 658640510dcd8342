//! Mechanism of enlace: wire formats, cryptography and the backbone client.
//!
//! No database, no HTTP server, no global state. Everything here is byte-compatible with the enmeshed transport.
//!
//! | Feature | Adds |
//! |---|---|
//! | none | [`wire`]: identifiers, dates, references, and the shapes of the backbone's HTTP messages; pure data |
//! | `verify` | [`identity`]'s address derivation and signature verification: what a server needs |
//! | `client` (default) | sealing and opening, keys, and the [`backbone`] client |

#![cfg_attr(test, allow(clippy::unwrap_used))]

#[cfg(feature = "client")]
pub mod backbone;
#[cfg(feature = "verify")]
pub mod challenge;
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
pub mod secret_container;
#[cfg(feature = "client")]
pub mod token;
pub mod wire;

pub use error::Error;
