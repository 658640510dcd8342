//! `/SyncRuns`: the lease under which one device handles external events.

use serde::{Deserialize, Serialize};

use super::datawallet::{AssignedModification, NewModification};
use crate::wire::{Address, DeviceId, ExternalEventId, SyncRunId, Timestamp};

/// Purpose of a run.
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
    /// Purpose of the run.
    #[serde(rename = "type")]
    pub kind: SyncRunType,
    /// Duration of the lease in seconds; the server's default is 10.
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
    /// A run was started; the device has to finalize it.
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
    /// Purpose of the run.
    #[serde(rename = "type")]
    pub kind: SyncRunType,
    /// End of the lease: afterwards other devices may start a run.
    pub expires_at: Timestamp,
    /// Number of the run, counted per identity from 0.
    pub index: u64,
    /// Time of creation.
    pub created_at: Timestamp,
    /// The identity that started it.
    pub created_by: Address,
    /// The device that started it.
    pub created_by_device: DeviceId,
    /// Number of external events in the run.
    pub event_count: u64,
}

/// `PUT …/FinalizeExternalEventSync`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FinalizeExternalEventSync {
    /// Modifications that result from handling the events.
    #[serde(default)]
    pub datawallet_modifications: Vec<NewModification>,
    /// One entry for each event.
    #[serde(default)]
    pub external_event_results: Vec<ExternalEventResult>,
}

/// Outcome of handling an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalEventResult {
    /// The event.
    pub external_event_id: ExternalEventId,
    /// Error code of up to 100 characters; absent or empty means success.
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
    /// Whether there are further events that have never failed.
    #[serde(default)]
    pub new_unsynced_external_events_exist: bool,
}

/// `PUT …/FinalizeDatawalletVersionUpgrade`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FinalizeDatawalletVersionUpgrade {
    /// Greater than 0 and not lower than the version in force.
    pub new_datawallet_version: u16,
    /// Modifications that result from the migration.
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
