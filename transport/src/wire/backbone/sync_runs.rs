//! `/SyncRuns`: the lease under which one device handles external events.

use serde::{Deserialize, Serialize};

use super::datawallet::{AssignedModification, NewModification};
use crate::wire::{Address, DeviceId, ExternalEventId, SyncRunId, Timestamp};

/// Why a run is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SyncRunType {
    /// To handle external events.
    ExternalEventSync,
    /// To create or migrate the datawallet.
    DatawalletVersionUpgrade,
}

/// `POST /SyncRuns`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartSyncRun {
    /// Why.
    #[serde(rename = "type")]
    pub kind: SyncRunType,
    /// Seconds; the server's default is 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<u16>,
}

/// Answer to [`StartSyncRun`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartedSyncRun {
    /// Whether there is a run.
    pub status: SyncRunStatus,
    /// The run, if there is one.
    pub sync_run: Option<SyncRun>,
}

/// Outcome of starting a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SyncRunStatus {
    /// A run was created; finalise it.
    Created,
    /// Nothing to do; there is no run.
    NoNewEvents,
}

/// A sync run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncRun {
    /// Its identifier.
    pub id: SyncRunId,
    /// Why it is held.
    #[serde(rename = "type")]
    pub kind: SyncRunType,
    /// When others may take over.
    pub expires_at: Timestamp,
    /// Counts the runs of the identity from 0.
    pub index: u64,
    /// When.
    pub created_at: Timestamp,
    /// The identity.
    pub created_by: Address,
    /// The device that holds it.
    pub created_by_device: DeviceId,
    /// Events attached at the start.
    pub event_count: u64,
}

/// `PUT …/FinalizeExternalEventSync`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FinalizeExternalEventSync {
    /// What the device changed while handling the events.
    #[serde(default)]
    pub datawallet_modifications: Vec<NewModification>,
    /// One entry for each event.
    #[serde(default)]
    pub external_event_results: Vec<ExternalEventResult>,
}

/// How handling an event went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalEventResult {
    /// Which event.
    pub external_event_id: ExternalEventId,
    /// Up to 100 characters; absent or empty means success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
}

/// Answer to [`FinalizeExternalEventSync`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FinalizedExternalEventSync {
    /// The newest index of the datawallet; absent while it is empty.
    pub new_datawallet_modification_index: Option<i64>,
    /// In the order in which they were sent.
    #[serde(default)]
    pub datawallet_modifications: Vec<AssignedModification>,
    /// Whether another run would find events that never failed.
    #[serde(default)]
    pub new_unsynced_external_events_exist: bool,
}

/// `PUT …/FinalizeDatawalletVersionUpgrade`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FinalizeDatawalletVersionUpgrade {
    /// Greater than 0 and not lower than the version in force.
    pub new_datawallet_version: u16,
    /// What the migration changed.
    #[serde(default)]
    pub datawallet_modifications: Vec<NewModification>,
}

/// Answer to [`FinalizeDatawalletVersionUpgrade`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FinalizedDatawalletVersionUpgrade {
    /// The newest index of the datawallet; absent while it is empty.
    pub new_datawallet_modification_index: Option<i64>,
    /// In the order in which they were sent.
    #[serde(default)]
    pub datawallet_modifications: Vec<AssignedModification>,
}
