//! `/Datawallet`.

use axum::extract::{FromRequestParts, State};
use http::request::Parts;
use serde::Deserialize;
use transport::wire::ByteText;
use transport::wire::backbone::datawallet::{
    Datawallet, Modification, ModificationType, PushedModifications, SUPPORTED_VERSION_HEADER,
};

use crate::domain::datawallet::{self, NewEntry};
use crate::lenient::{AtMost, Choice, Number};
use crate::web::AppState;
use crate::web::answer::Answer;
use crate::web::json::LargeJsonBody;
use crate::web::problem::Problem;
use crate::web::query::Query;
use crate::web::session::LoggedIn;

/// Index of a device that knows no modification.
const NOTHING_KNOWN: i64 = -1;

/// The datawallet version a client understands; 0 if it does not say.
pub(super) struct SupportedVersion(pub(super) u16);

impl FromRequestParts<AppState> for SupportedVersion {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(SUPPORTED_VERSION_HEADER) else { return Ok(Self(0)) };
        let version = value.to_str().ok().and_then(|text| text.trim().parse().ok());
        version.map(Self).ok_or_else(|| Problem::unreadable("'X-Supported-Datawallet-Version': not a number"))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewModification {
    #[serde(rename = "type")]
    kind: Choice<ModificationType>,
    object_identifier: String,
    payload_category: Option<String>,
    collection: String,
    encrypted_payload: Option<ByteText>,
    datawallet_version: Number<u16>,
}

/// A list of modifications.
pub(super) type NewModifications = AtMost<NewModification, { datawallet::MAX_ENTRIES }>;

/// What a list of modifications asks for.
pub(super) fn entries(modifications: NewModifications) -> Vec<NewEntry> {
    let entry = |modification: NewModification| NewEntry {
        kind: modification.kind.0,
        object: modification.object_identifier,
        category: modification.payload_category,
        collection: modification.collection,
        payload: modification.encrypted_payload,
        version: modification.datawallet_version.0,
    };
    modifications.0.into_iter().map(entry).collect()
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
    local_index: Number<i64>,
    modifications: NewModifications,
}

/// `POST /Datawallet/Modifications`.
pub(super) async fn push(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    SupportedVersion(version): SupportedVersion,
    LargeJsonBody(body): LargeJsonBody<Push>,
) -> Result<Answer<PushedModifications>, Problem> {
    let entries = entries(body.modifications);
    Ok(Answer::created(datawallet::push(&core, &caller, body.local_index.0, entries, version).await?))
}
