//! External events: what the backbone reports to an identity about the actions of others.

use serde::{Deserialize, Serialize};

use crate::wire::{ExternalEventId, Timestamp};

/// An event as a sync run lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalEvent {
    /// Its identifier.
    pub id: ExternalEventId,
    /// For instance `FileOwnershipClaimed`. A text, because newer backbones have further types.
    #[serde(rename = "type")]
    pub kind: String,
    /// Number of the event, counted per identity from 0.
    pub index: u64,
    /// Time of creation.
    pub created_at: Timestamp,
    /// How many attempts to handle it have failed.
    pub sync_error_count: u32,
    /// Depends on the type; member names are camelCase.
    pub payload: serde_json::Value,
}
