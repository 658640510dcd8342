//! The HTTP client of the backbone.
//!
//! [`Client`] makes the calls that need no login, [`Session`] the ones that do. Both are typed with the shapes of
//! [`crate::wire::backbone`] and cheap to clone; clones share connections, the retry budget and the access token.
//!
//! Every call has a correlation id, a time-out, a bound on the answer that is checked before parsing, retries if the request
//! is safe (`retry`), a login that is renewed before it expires and shared by concurrent calls (`auth`), and errors with the
//! backbone's code ([`Error`]).
//!
//! This module seals, opens and verifies nothing, and it never puts secrets, bodies or queries into logs or errors.

mod auth;
mod bounds;
mod client;
mod config;
mod correlation;
mod datawallet;
mod download;
mod envelope;
mod error;
#[cfg(any(test, feature = "testing"))]
pub mod fake;
mod files;
mod http;
pub mod http_client;
mod offered;
mod peer_services;
mod preview;
mod resumable;
mod retry;
mod secret;
mod session;
mod sync_runs;
#[cfg(test)]
mod tests;
mod token_terms;
mod tokens;
mod upload;

pub use client::Client;
pub use config::{ClientConfig, ConfigError, leads_to_this_machine, names_this_machine};
pub use correlation::with_correlation_id;
pub use datawallet::ModificationsPage;
pub use download::Download;
pub use error::{BackboneFailure, Error, NetworkError};
pub use resumable::{ChecksumAlgorithm, NewUpload, UploadState, UploadSupport};
pub use secret::{DeviceCredentials, SecretText};
pub use session::Session;
pub use token_terms::new_claim_id;
pub use upload::{UploadContent, UploadFile, UploadObserver};
