//! The datawallet: a log of sealed changes by which the devices of an identity keep the same objects.
//!
//! Every change of an object becomes a few modifications, one per category of its properties. Each payload is sealed
//! under a key that follows from the synchronisation key and the position the modification gets in the log, so a payload
//! that a backbone moves, swaps or repeats does not open. Reading a stretch of the log gives the final state of every
//! object in it.
//!
//! What the protocol leaves to the backbone: which object and category a modification is said to be about, deletions,
//! which have no payload, and what it leaves out. It can withhold, delete and relabel, but neither read nor write contents.
//!
//! This module decides nothing about storing or sending; it maps modifications to objects and back.

mod changes;
mod collection;
mod payload;
mod pending;

pub use changes::{Changes, ObjectChange, ObjectState, Unreadable};
pub use collection::{Collection, create_modifications, update_modifications};
pub use payload::{PayloadCategory, open_payload, seal_payload};
pub use pending::PendingModification;

/// Version of the datawallet that this crate reads and writes.
pub const SUPPORTED_VERSION: u16 = 1;

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
    /// Written by newer software.
    #[error("datawallet has version {0}; update this program to read it")]
    UnsupportedVersion(u16),
    /// A payload category that does not exist, or a payload where none belongs, or none where one belongs.
    #[error("datawallet modification {0} is malformed")]
    Malformed(u64),
}
