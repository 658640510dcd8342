//! The datawallet: a log of sealed changes by which the devices of an identity keep the same objects.
//!
//! Every change of an object becomes a few modifications, one per category of its properties. Each payload is sealed under a
//! key that is derived from the synchronization key and the index of the modification in the log, so a payload that a backbone
//! moves, swaps or replays does not open. Reading part of the log gives the final state of every object in it.
//!
//! The protocol does not protect against omissions and forged deletions, which have no payload: a backbone can withhold and
//! delete, but neither read nor write contents. Object and category of a modification (its *label*) are in clear next to the
//! payload. This client seals the label into the payload as well, and refuses a log that contradicts it. For payloads of other
//! clients, [`Collection::contradiction`] keeps a relabelled one from replacing keys, hashes and contents.
//!
//! This module only maps modifications to objects and back; it neither stores nor sends them.

mod changes;
mod collection;
mod label;
mod payload;
mod pending;
mod tombstone;

use crate::crypto::CryptoError;

pub use changes::{Applied, Changes, ObjectChange, Refused, Unreadable, check_order};
pub use collection::{Collection, create_modifications, update_modifications};
pub use label::LABEL_MEMBER;
pub use payload::{PayloadCategory, open_payload, seal_payload};
pub use pending::PendingModification;
pub use tombstone::Tombstone;

/// The datawallet version that this crate reads and writes.
pub const SUPPORTED_VERSION: u16 = 1;

/// The highest index of a modification: keys are derived from indices, and the derivation accepts no higher number.
pub const MAX_INDEX: u64 = crate::crypto::MAX_KEY_ID;

/// Maximum length of a collection's name in characters, the same as at the published backbone.
pub const MAX_COLLECTION: usize = 50;

/// Maximum length of an object's id in characters, the same as at the published backbone.
pub const MAX_OBJECT: usize = 100;

/// Why a payload, or part of the log, is invalid. [`Changes::read`] returns it only where no part of the log may be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatawalletError {
    /// Modifications are repeated or out of order.
    #[error("datawallet has modification {found} after {last}")]
    Order {
        /// The previous index.
        last: u64,
        /// The index that follows it.
        found: u64,
    },
    /// The index is too high: no payload can be sealed for it.
    #[error("datawallet has modification {0}, which is more than {max}", max = MAX_INDEX)]
    Index(u64),
    /// The name of a collection or an object is longer than the protocol allows.
    #[error("datawallet modification {0} has a name of more than {MAX_COLLECTION} or {MAX_OBJECT} characters")]
    Name(u64),
    /// A payload was sealed with another object, collection, category or type than the backbone lists.
    #[error("datawallet modification {0} is listed under a label that it was not sealed with")]
    Relabelled(u64),
    /// A newer program wrote the datawallet.
    #[error("datawallet has version {0}; update this program to read it")]
    UnsupportedVersion(u16),
    /// The payload category is unknown, or the payload is missing or unexpected.
    #[error("datawallet modification {0} is malformed")]
    Malformed(u64),
    /// A payload cannot be sealed for its index, or does not open: it was altered, or sealed for another index or identity.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}
