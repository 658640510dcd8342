//! File tokens as their owner sees them. Faces have forms of their own for them.

use transport::wire::Timestamp;

use crate::config::Secret;
use crate::storage::{Endpoints, Notify, StorageId};

/// A grant on one file in a bucket, which this node serves to whoever presents its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileToken {
    /// Its id.
    pub id: StorageId,
    /// Grows with each bucket, file and file token of the node, and is never used again.
    pub sequence: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its owner changed it last.
    pub updated_at: Timestamp,
    /// The bucket of its file.
    pub bucket_id: StorageId,
    /// Its file.
    pub file_id: StorageId,
    /// Both, with a colon between them.
    pub resource_id: String,
    /// What its holder presents. Derived each time, and stored nowhere.
    pub secret: Secret,
    /// Whether it can be used.
    pub status: FileTokenStatus,
    /// Until when it is valid, this millisecond included; for ever if absent.
    pub expire: Option<Timestamp>,
    /// From when on it is valid.
    pub not_before: Option<Timestamp>,
    /// A note of its owner.
    pub label: String,
    /// How often it can be used; without a limit if absent.
    pub max_downloads: Option<u32>,
    /// How often it was used. Of one without a limit also those uses that nobody has claimed: each answer that begins with the first byte.
    pub downloads: u64,
    /// Uses that are left, those excluded that are leased at present; absent without a limit.
    pub remaining: Option<u32>,
    /// What it is for.
    pub allow: Endpoints,
    /// When its owner is told of a use.
    pub notify: Notify,
    /// When somebody was given content by it last.
    pub accessed_at: Option<Timestamp>,
    /// Since when it is revoked.
    pub revoked_at: Option<Timestamp>,
}

impl FileToken {
    /// What tokens of this kind are for.
    pub const RESOURCE_TYPE: &'static str = "files";
}

/// Whether a file token can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileTokenStatus {
    /// It can.
    Active,
    /// Not yet.
    Scheduled,
    /// No use of it is left.
    Exhausted,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
}

impl FileTokenStatus {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Active, Self::Scheduled, Self::Exhausted, Self::Expired, Self::Revoked];

    /// As they are written, in the order of [`ALL`](Self::ALL).
    pub const NAMES: [&str; 5] = ["active", "scheduled", "exhausted", "expired", "revoked"];

    /// `active`, `scheduled`, `exhausted`, `expired` or `revoked`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Scheduled => "scheduled",
            Self::Exhausted => "exhausted",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}
