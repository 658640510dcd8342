//! The rules of each resource, without HTTP.
//!
//! A function here takes who is asking and what they ask for, decides, and commits what follows from the decision, also
//! when the decision is a refusal: a counted failure must not be lost because the answer is an error.

pub(crate) mod account;
pub(crate) mod address;
pub(crate) mod challenge_id;
pub(crate) mod challenges;
pub(crate) mod datawallet;
pub(crate) mod devices;
pub(crate) mod events;
pub(crate) mod files;
pub(crate) mod identities;
pub(crate) mod idle;
pub(crate) mod language;
pub(crate) mod login;
pub(crate) mod ownership;
pub(crate) mod page;
pub(crate) mod password_policy;
pub(crate) mod proof;
pub(crate) mod push;
pub(crate) mod refusal;
pub(crate) mod resumable;
pub(crate) mod sync_runs;
mod token_ledger;
pub(crate) mod tokens;

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use listener::Source;
use transport::wire::{Address, DeviceId};

use crate::store::Table;

pub(crate) use refusal::{Record, Refusal, Rule};

/// Who is asking: a device, and the identity it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The identity.
    pub(crate) address: Address,
    /// The device.
    pub(crate) device: DeviceId,
}

impl Caller {
    /// Tells identities apart where their addresses would be too long.
    pub(crate) fn digest(&self) -> u64 {
        digest(self.address.as_str())
    }
}

/// As whom a request counts where senders take turns or have shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Sender {
    /// Everybody at a network address.
    Source(Source),
    /// One identity on this machine, by a digest: a reverse proxy brings all of them.
    Identity(u64),
}

impl Sender {
    /// All programs of this machine and all clients of a proxy are one source, so those of them who are logged in count for
    /// themselves.
    pub(crate) fn of(source: Source, caller: Option<&Caller>) -> Self {
        match (source, caller) {
            (Source::Loopback, Some(caller)) => Self::Identity(caller.digest()),
            _ => Self::Source(source),
        }
    }
}

/// Tells texts apart in this process.
pub(crate) fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// When records expire: time, kind, id. They are removed some time later.
pub(crate) const EXPIRIES: Table<()> = Table::new("expiry");
/// When records are removed: time, kind, id.
pub(crate) const REMOVALS: Table<()> = Table::new("removal");

/// The kinds of records in [`EXPIRIES`] and [`REMOVALS`].
pub(crate) mod expiring {
    pub(crate) const CHALLENGE: &str = "challenge";
    /// A token that was made without a login, if nobody has filled it.
    pub(crate) const EMPTY_TOKEN: &str = "emptytoken";
    /// That a challenge of [`challenge_id`](super::challenge_id) was used.
    pub(crate) const USED_CHALLENGE: &str = "usedchallenge";
    pub(crate) const FILE: &str = "file";
    pub(crate) const SYNC_RUN: &str = "syncrun";
    pub(crate) const TOKEN: &str = "token";
    /// An upload that is not finished.
    pub(crate) const UPLOAD: &str = "upload";
}
