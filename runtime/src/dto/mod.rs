//! What facades hand out, and what passes unchanged through every face: the REST interface answers these types, and the
//! command line reads and prints them.
//!
//! The JSON form is the one of the connectors' REST interface (`/api/core/v1`). With the feature `openapi` the types describe
//! it as OpenAPI schemas; documentation comments become descriptions there.

mod any_token;
mod bucket;
mod challenge;
mod file;
mod file_token;
mod identity;
mod json_text;
mod listed_token;
mod metadata;
mod password;
mod peer;
mod token;
mod token_services;
mod token_settings;
mod token_terms;
mod token_transports;

pub use any_token::{AnyToken, AnyTokenId, ChangedAnyToken, ChangedFileToken, InvalidTokenId};
pub use bucket::{Bucket, BucketFile};
pub use challenge::{Challenge, ChallengeType, ChallengeValidation};
pub use file::{File, FileFormat, Reference};
pub use file_token::{FileToken, FileTokenStatus};
pub use identity::{DeviceInfo, IdentityInfo, SyncInfo, SyncTime};
pub use json_text::JsonText;
pub use listed_token::{ListedToken, ListedTokens, TokenDelivery};
pub use metadata::IdentityMetadata;
pub use password::{EmptyPassword, InvalidPin, Password, PasswordLocation, PasswordProtection};
pub use peer::{Connectivity, Peer, Relay};
pub use token::Token;
pub use token_services::TokenServices;
pub use token_settings::{InvalidMaxDownloads, LabelTooLong, MaxDownloads, Notify, TokenLabel, UnknownNotify};
pub use token_terms::{ChangedToken, RotatedToken, TokenPath, TokenStatus, TokenTerms};
pub use token_transports::{TokenTransport, TokenTransports, UnknownTransports};
