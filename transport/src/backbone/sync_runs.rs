//! `/SyncRuns`.

use super::bounds::AnswerBounds;
use super::http::Request;
use super::session::ListBounds;
use super::{Error, Session};
use crate::wire::SyncRunId;
use crate::wire::backbone::events::ExternalEvent;
use crate::wire::backbone::sync_runs::{
    FinalizeDatawalletVersionUpgrade, FinalizeExternalEventSync, FinalizedDatawalletVersionUpgrade,
    FinalizedExternalEventSync, StartSyncRun, StartedSyncRun,
};

/// Bounds of one fetch of events: about 30,000, of 250 bytes and 16 values each. Decoded, they take at most 64 MiB besides
/// their texts.
const BOUNDS: ListBounds = ListBounds { pages: 2_000, bytes: 16 * 1024 * 1024, values: 512 * 1024 };

impl Session {
    /// Starts a sync run, which keeps the other devices of the identity from pushing until it ends or expires.
    ///
    /// # Errors
    /// [`Error`]; `…cannotStartSyncRunWhenAnotherSyncRunIsRunning` while there is another one.
    pub async fn start_sync_run(&self, start: StartSyncRun) -> Result<StartedSyncRun, Error> {
        self.json(Request::post("/SyncRuns", &start).datawallet()).await
    }

    /// The events of a run, in order.
    ///
    /// # Errors
    /// [`Error`], as for every call.
    pub async fn external_events(&self, run: &SyncRunId) -> Result<Vec<ExternalEvent>, Error> {
        let request = || Request::get(format!("/SyncRuns/{run}/ExternalEvents")).datawallet();
        self.all_pages(request, BOUNDS).await
    }

    /// Ends a run that handled events.
    ///
    /// # Errors
    /// [`Error`], as for every call.
    pub async fn finalize_external_event_sync(
        &self,
        run: &SyncRunId,
        outcome: &FinalizeExternalEventSync,
    ) -> Result<FinalizedExternalEventSync, Error> {
        let request = Request::put(format!("/SyncRuns/{run}/FinalizeExternalEventSync"), outcome).datawallet();
        self.json(request.answered_within(AnswerBounds::ASSIGNMENTS)).await
    }

    /// Ends a run that created or migrated the datawallet.
    ///
    /// # Errors
    /// [`Error`], as for every call.
    pub async fn finalize_datawallet_version_upgrade(
        &self,
        run: &SyncRunId,
        upgrade: &FinalizeDatawalletVersionUpgrade,
    ) -> Result<FinalizedDatawalletVersionUpgrade, Error> {
        let request = Request::put(format!("/SyncRuns/{run}/FinalizeDatawalletVersionUpgrade"), upgrade).datawallet();
        self.json(request.answered_within(AnswerBounds::ASSIGNMENTS)).await
    }
}
