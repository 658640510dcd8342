//! Bodies of the backbone's HTTP messages, for client and server.
//!
//! Member names are camelCase. Absent values are written as explicit `null`: the official client fails on a missing
//! `payloadCategory`, and the official server writes `null` everywhere.

pub mod challenges;
pub mod datawallet;
pub mod devices;
pub mod envelope;
pub mod events;
pub mod files;
pub mod identities;
pub mod peer_services;
pub mod previews;
pub mod quotas;
pub mod sync_runs;
pub mod token_terms;
pub mod tokens;
pub mod uploads;
