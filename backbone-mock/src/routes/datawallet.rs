//! `/Datawallet`.

use axum::extract::{FromRequestParts, State};
use http::request::Parts;
use serde::Deserialize;
use transport::wire::backbone::datawallet::{Datawallet, Modification, PushedModifications, SUPPORTED_VERSION_HEADER};

use crate::domain::datawallet::{self, NewModifications};
use crate::lenient;
use crate::web::AppState;
use crate::web::answer::Answer;
use crate::web::json::LargeJsonBody;
use crate::web::problem::Problem;
use crate::web::query::Query;
use crate::web::session::LoggedIn;

/// Index of a device that knows no modification.
const NOTHING_KNOWN: i64 = -1;

/// The datawallet version that a client supports; 0 if it sends none.
pub(super) struct SupportedVersion(pub(super) u16);

impl FromRequestParts<AppState> for SupportedVersion {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(SUPPORTED_VERSION_HEADER) else { return Ok(Self(0)) };
        let version = value.to_str().ok().and_then(|text| text.trim().parse().ok());
        version.map(Self).ok_or_else(|| Problem::unreadable("'X-Supported-Datawallet-Version': not a number"))
    }
}

/// `GET /Datawallet`.
pub(super) async fn read(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
) -> Result<Answer<Datawallet>, Problem> {
    Ok(Answer::ok(Datawallet { version: datawallet::version(&core, &caller).await? }))
}

/// `GET /Datawallet/Modifications?localIndex=`.
pub(super) async fn list(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    SupportedVersion(version): SupportedVersion,
    query: Query,
) -> Result<Answer<Vec<Modification>>, Problem> {
    let local_index = query.number("localIndex")?.unwrap_or(NOTHING_KNOWN);
    let page = query.page()?;
    Ok(datawallet::list(&core, &caller, local_index, version, page).await?.into())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Push {
    #[serde(deserialize_with = "lenient::number")]
    local_index: i64,
    modifications: NewModifications,
}

/// `POST /Datawallet/Modifications`.
pub(super) async fn push(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    SupportedVersion(version): SupportedVersion,
    LargeJsonBody(body): LargeJsonBody<Push>,
) -> Result<Answer<PushedModifications>, Problem> {
    Ok(Answer::created(datawallet::push(&core, &caller, body.local_index, body.modifications, version).await?))
}
