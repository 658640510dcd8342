//! The rules of each resource, without HTTP.
//!
//! A function takes the caller and the request, decides, and commits the consequences, also those of a refusal: a counted failure
//! must not be lost because the answer is an error.

mod access_token;
pub(crate) mod account;
pub(crate) mod challenges;
pub(crate) mod counting;
pub(crate) mod datawallet;
pub(crate) mod devices;
pub(crate) mod external_events;
pub(crate) mod files;
pub(crate) mod identities;
pub(crate) mod identity_creation;
pub(crate) mod idle;
pub(crate) mod login;
pub(crate) mod ownership;
pub(crate) mod page;
pub(crate) mod proof;
pub(crate) mod push;
pub(crate) mod refusal;
pub(crate) mod resumable;
pub(crate) mod sync_runs;
mod token_ledger;
pub(crate) mod token_reads;
pub(crate) mod token_terms;
pub(crate) mod token_uses;
pub(crate) mod tokens;

use transport::wire::Id;

use crate::caller::Caller;
use crate::store::Table;

pub(crate) use refusal::{Record, Refusal, Rule};

/// Parses an identifier from a request.
pub(crate) fn parse_id<I: Id>(property: &'static str, text: &str) -> Result<I, Refusal> {
    text.parse().map_err(|_| Refusal::invalid(property, format!("must be {} and 17 letters or digits", I::PREFIX)))
}

/// The expiries of records: time, kind, id. Records are removed some time later.
pub(crate) const EXPIRIES: Table<()> = Table::new("expiry");
/// The times of removing records: time, kind, id.
pub(crate) const REMOVALS: Table<()> = Table::new("removal");

/// The kinds of records in [`EXPIRIES`] and [`REMOVALS`].
pub(crate) mod expiring {
    pub(crate) const CHALLENGE: &str = "challenge";
    /// A token that was created without a login, if it is still empty.
    pub(crate) const EMPTY_TOKEN: &str = "emptytoken";
    /// A used challenge of [`challenge_id`](crate::challenge_id).
    pub(crate) const USED_CHALLENGE: &str = "usedchallenge";
    pub(crate) const FILE: &str = "file";
    pub(crate) const SYNC_RUN: &str = "syncrun";
    pub(crate) const TOKEN: &str = "token";
    /// An upload that is not finished.
    pub(crate) const UPLOAD: &str = "upload";
}
