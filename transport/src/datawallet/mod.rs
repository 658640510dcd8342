//! The datawallet: a log of sealed changes by which the devices of an identity keep the same objects.
//!
//! Every change of an object becomes a few modifications, one per category of its properties. Each payload is sealed
//! under a key that follows from the synchronisation key and the position the modification gets in the log, so a payload
//! that a backbone moves, swaps or repeats does not open. Reading a stretch of the log gives the final state of every
//! object in it.
//!
//! What the protocol leaves to the backbone: deletions, which have no payload, and what it leaves out. It can withhold and
//! delete, but neither read nor write contents. Which object and category a modification is about stands beside the payload
//! in clear; this client seals it with the payload as well, and refuses a log that says otherwise. For payloads of clients that
//! do not, [`Collection::contradiction`] keeps a relabelled one from replacing keys, hashes and contents.
//!
//! This module decides nothing about storing or sending; it maps modifications to objects and back.

mod changes;
mod collection;
mod label;
mod payload;
mod pending;
mod tombstone;

pub use changes::{Applied, Changes, ObjectChange, Refused, Unreadable, check_order};
pub use collection::{Collection, create_modifications, update_modifications};
pub use label::LABEL_MEMBER;
pub use payload::{PayloadCategory, open_payload, seal_payload};
pub use pending::PendingModification;
pub use tombstone::Tombstone;

/// Version of the datawallet that this crate reads and writes.
pub const SUPPORTED_VERSION: u16 = 1;

/// The highest index a modification may have: keys are derived from indices, and the derivation takes no higher number.
pub const MAX_INDEX: u64 = crate::crypto::MAX_KEY_ID;

/// Longest name of a collection, in characters; the published backbone has the same bound.
pub const MAX_COLLECTION: usize = 50;

/// Longest identifier of an object, in characters; the published backbone has the same bound.
pub const MAX_OBJECT: usize = 100;

/// A stretch of the log that cannot be taken over. None of it may be, then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatawalletError {
    /// Modifications are repeated or out of order.
    #[error("datawallet has modification {found} after {last}")]
    Order {
        /// The index before.
        last: u64,
        /// The index that came.
        found: u64,
    },
    /// No modification can have this index: nobody could seal a payload for it.
    #[error("datawallet has modification {0}, which is more than {max}", max = MAX_INDEX)]
    Index(u64),
    /// The name of a collection or an object is longer than the protocol allows.
    #[error("datawallet modification {0} has a name of more than {MAX_COLLECTION} or {MAX_OBJECT} characters")]
    Name(u64),
    /// A payload was sealed for another object, collection, category or type than the backbone says.
    #[error("datawallet modification {0} is listed under a label that it was not sealed with")]
    Relabelled(u64),
    /// Written by newer software.
    #[error("datawallet has version {0}; update this program to read it")]
    UnsupportedVersion(u16),
    /// A payload category that does not exist, or a payload where none belongs, or none where one belongs.
    #[error("datawallet modification {0} is malformed")]
    Malformed(u64),
}
