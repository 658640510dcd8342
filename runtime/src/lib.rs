//! The node: one identity, its encrypted files, and the tokens that share them.
//!
//! [`Runtime::builder`] takes a [`Config`], opens the store, creates or loads the identity and hands out facades. Each
//! facade is one noun; the REST interface and the command line call nothing else.
//!
//! ```
//! use runtime::facade::{CreateTokenForFile, LoadFile, UploadOwnFile};
//! use runtime::{BackboneConfig, Config, Runtime, Secret};
//!
//! # async fn share() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let settings = backbone_mock::Config::new(directory.path().join("backbone")).with_client("app", "secret");
//! # let backbone = backbone_mock::Backbone::start(settings).await?;
//! # let (url, data_dir) = (backbone.url(), directory.path().join("node"));
//! let backbone = BackboneConfig::new(url, "app", Secret::new("secret"));
//! let node = Runtime::builder(Config::new(data_dir, backbone)).start().await?;
//! let file = UploadOwnFile::new(&b"Hello"[..], "hello.txt".parse()?, "text/plain".parse()?);
//! let file = node.files().upload_own_file(file).await?;
//! let token = node.files().create_token_for_file(&file.id, CreateTokenForFile::default()).await?;
//!
//! // Whoever is handed `token.reference.url` does this; here it is the same node, which knows the file already.
//! let request = LoadFile { reference: token.reference.url, password: None };
//! assert_eq!(node.files().get_or_load_file(request).await?, file);
//! # node.shutdown().await?;
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(share())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This crate decides what happens and remembers it. How things are sealed, signed and sent is `transport`'s.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod account;
mod backbone_error;
mod blocking;
mod chunk_buffers;
mod clock;
mod code;
mod config;
mod content_store;
mod core;
mod delivery;
pub mod dto;
mod error;
mod event;
pub mod facade;
#[cfg(test)]
mod fake_backbone;
mod file;
pub mod file_name;
mod held;
#[cfg(test)]
mod killed;
mod listed;
mod logging;
pub mod media_type;
mod peer;
mod query;
mod runtime;
pub mod source;
pub mod storage;
mod store;
mod sync;
pub mod tag;
#[cfg(feature = "testing")]
pub mod testing;
mod token;

pub use backbone_error::BackboneError;
pub use clock::{Clock, ManualClock, SystemClock};
pub use code::{BackboneCode, ErrorCode, UnknownCode};
pub use config::{
    BackboneConfig, Config, ContentStoreConfig, DeviceProfile, DhtConfig, PeerConfig, PeerDisclosure, PeerLimits,
    Secret, StorageConfig, StoreKey,
};
pub use content_store::ContentUsage;
pub use delivery::Undelivered;
pub use durable::DirectoryLock;
pub use error::{CHECK_ID, ConfigError, Error, InvalidProperty, OtherText, Property, PropertyRule, Result};
pub use event::{Event, EventReceiver};
pub use file_name::FileName;
pub use media_type::MediaType;
pub use peer::{
    CodeEnd, MAX_OFFERS, OfferedCode, PassedOn, Path, PathBytes, PathLog, PeersError, best_addresses, check_code,
    dialable_reference, is_for_others, receive_code, receive_code_at,
};
pub use runtime::{Runtime, RuntimeBuilder};
pub use store::{Failure as StoreFailure, LOCK_FILE};
pub use swarm::custom as peer_transport;
pub use tag::Tags;
pub use transport::backbone::{
    BackboneFailure, NetworkError, http_client, leads_to_this_machine, names_this_machine, with_correlation_id,
};
pub use transport::content::{CHUNK_LENGTH, manifest};
pub use transport::crypto::{TransientDecryptor, TransientEncryptor, TransientReader, transient_cipher};
pub use transport::identity::{DeviceSharedSecret, check_address};
pub use transport::peer::{DEFAULT_CODE_LIFETIME, Fingerprint, MAX_CODE_LIFETIME, PeerKey, code_words};
pub use transport::wire::json_budget;
pub use transport::wire::{
    Address, AnyReference, ChallengeId, DeviceId, FileId, FileReference, Id, PasswordType, RelationshipId, Timestamp,
    TokenId,
};
