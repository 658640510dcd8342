//! Shapes of the backbone's HTTP messages, for the client and the server alike.
//!
//! Member names are camelCase. Absent values are written as explicit `null`: the official client breaks on a missing
//! `payloadCategory`, and the server it was made for writes nulls everywhere.

pub mod challenges;
pub mod datawallet;
pub mod devices;
pub mod envelope;
pub mod events;
pub mod files;
pub mod identities;
pub mod sync_runs;
pub mod tokens;
