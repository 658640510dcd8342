//! The node: one identity, its encrypted files, and the tokens that share them.
//!
//! [`Runtime::builder`] takes a [`Config`], opens the store, creates or loads the identity and hands out facades. Each
//! facade is one noun; the REST interface and the command line call nothing else.
//!
//! This crate decides what happens and remembers it. How things are sealed, signed and sent is `transport`'s.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod account;
mod backbone_error;
mod blocking;
mod clock;
mod config;
pub mod dto;
mod error;
mod event;
pub mod facade;
#[cfg(test)]
mod fake_backbone;
mod file;
mod logging;
mod node;
mod query;
mod runtime;
mod store;
mod sync;
mod token;
mod vault;

pub use clock::{Clock, ManualClock, SystemClock};
pub use config::{BackboneConfig, Config, DeviceProfile, Secret, StoreKey};
pub use error::{Error, Result};
pub use event::{Event, EventReceiver};
pub use runtime::{Runtime, RuntimeBuilder};
pub use transport::wire::{
    Address, AnyReference, ChallengeId, DeviceId, FileId, FileReference, Id, PasswordType, RelationshipId, Timestamp,
    TokenId,
};
