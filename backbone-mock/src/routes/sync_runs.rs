//! `/SyncRuns`.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use transport::wire::SyncRunId;
use transport::wire::backbone::events::ExternalEvent;
use transport::wire::backbone::sync_runs::{
    FinalizedDatawalletVersionUpgrade, FinalizedExternalEventSync, SyncRunType,
};

use super::datawallet::SupportedVersion;
use crate::domain::datawallet::NewModifications;
use crate::domain::sync_runs::{self, EventResults};
use crate::lenient::{self, Choice, Number};
use crate::web::AppState;
use crate::web::answer::Answer;
use crate::web::identified::Identified;
use crate::web::json::{JsonBody, LargeJsonBody};
use crate::web::problem::Problem;
use crate::web::query::Query;
use crate::web::session::LoggedIn;

#[derive(Deserialize)]
pub(super) struct Start {
    #[serde(rename = "type")]
    kind: Option<Choice<SyncRunType>>,
    duration: Option<Number<u16>>,
}

/// `POST /SyncRuns`: 201 with a run, or 200 if there is nothing to do.
pub(super) async fn start(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    SupportedVersion(version): SupportedVersion,
    JsonBody(body): JsonBody<Start>,
) -> Result<Response, Problem> {
    let kind = body.kind.map_or(SyncRunType::ExternalEventSync, |kind| kind.0);
    let duration = body.duration.map(|seconds| seconds.0);
    let started = sync_runs::start(&core, &caller, kind, duration, version).await?;
    let answer = if started.sync_run.is_some() { Answer::created(started) } else { Answer::ok(started) };
    Ok(answer.into_response())
}

/// `GET /SyncRuns/{id}/ExternalEvents`.
pub(super) async fn events(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    Identified(id): Identified<SyncRunId>,
    query: Query,
) -> Result<Answer<Vec<ExternalEvent>>, Problem> {
    let page = query.page()?;
    Ok(sync_runs::events(&core, &caller, &id, page).await?.into())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FinalizeEventSync {
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    external_event_results: EventResults,
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    datawallet_modifications: NewModifications,
}

/// `PUT /SyncRuns/{id}/FinalizeExternalEventSync`.
pub(super) async fn finalize_event_sync(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    Identified(id): Identified<SyncRunId>,
    LargeJsonBody(body): LargeJsonBody<FinalizeEventSync>,
) -> Result<Answer<FinalizedExternalEventSync>, Problem> {
    let FinalizeEventSync { external_event_results, datawallet_modifications } = body;
    let finalized =
        sync_runs::finalize_event_sync(&core, &caller, &id, external_event_results, datawallet_modifications).await?;
    Ok(Answer::ok(finalized))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FinalizeUpgrade {
    new_datawallet_version: Option<Number<u16>>,
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    datawallet_modifications: NewModifications,
}

/// `PUT /SyncRuns/{id}/FinalizeDatawalletVersionUpgrade`.
pub(super) async fn finalize_upgrade(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    Identified(id): Identified<SyncRunId>,
    LargeJsonBody(body): LargeJsonBody<FinalizeUpgrade>,
) -> Result<Answer<FinalizedDatawalletVersionUpgrade>, Problem> {
    // A missing version breaks the same rule as 0.
    let version = body.new_datawallet_version.map_or(0, |version| version.0);
    Ok(Answer::ok(sync_runs::finalize_upgrade(&core, &caller, &id, version, body.datawallet_modifications).await?))
}
