//! External events: what happened to an identity through somebody else's doing.

use serde::{Deserialize, Serialize};

use crate::wire::{ExternalEventId, Timestamp};

/// An event as a sync run lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalEvent {
    /// Its identifier.
    pub id: ExternalEventId,
    /// For instance `FileOwnershipClaimed`; a text, because newer backbones know more types than we do.
    #[serde(rename = "type")]
    pub kind: String,
    /// Counts the events of the identity from 0.
    pub index: u64,
    /// When.
    pub created_at: Timestamp,
    /// How often handling it failed.
    pub sync_error_count: u32,
    /// Depends on the type; member names are camelCase.
    pub payload: serde_json::Value,
}
