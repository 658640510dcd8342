//! Every format of the protocol against vectors that the published clients produced: one file per format.
//!
//! `tests/vectors/` holds the vectors as data; `session-*.json` are whole recorded sessions of two identities.
#![allow(clippy::unwrap_used)] // in a test, a panic is the failure

mod address;
mod challenge;
mod cipher;
mod content;
mod content_manifest;
mod content_metadata;
mod datawallet;
mod empty_token;
mod encoding;
mod exchange;
mod file;
mod hash;
mod ids;
mod key_derivation;
mod password_hash;
mod pins;
mod properties;
mod references;
mod relationship;
mod secret_containers;
mod serialization;
mod session;
mod signature;
mod token_content;
mod vectors;
