//! `/Devices`.

use axum::extract::State;
use serde::Deserialize;
use transport::wire::DeviceId;
use transport::wire::backbone::devices::{ChangePassword, CreatedDevice, Device, PushRegistration};

use crate::domain::devices::{self, NewDevice};
use crate::domain::push::{self, PushTarget};
use crate::web::AppState;
use crate::web::answer::{Answer, NoContent};
use crate::web::identified::Identified;
use crate::web::json::JsonBody;
use crate::web::problem::Problem;
use crate::web::query::Query;
use crate::web::session::{LoggedIn, SentFrom};

/// `POST /Devices`.
pub(super) async fn register(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    SentFrom(source): SentFrom,
    JsonBody(new): JsonBody<NewDevice>,
) -> Result<Answer<CreatedDevice>, Problem> {
    Ok(Answer::created(devices::register(&core, &caller, source, new).await?))
}

/// `GET /Devices`.
pub(super) async fn list(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    query: Query,
) -> Result<Answer<Vec<Device>>, Problem> {
    let page = query.page()?;
    let ids = query.ids()?.map(|ids| ids.into_iter().collect());
    Ok(devices::list(&core, &caller, ids.as_ref(), page).await?.into())
}

/// `GET /Devices/Self`.
pub(super) async fn own(State(core): State<AppState>, LoggedIn(caller): LoggedIn) -> Result<Answer<Device>, Problem> {
    Ok(Answer::ok(devices::own(&core, &caller).await?))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChangeDevice {
    communication_language: String,
}

/// `PUT /Devices/Self`.
pub(super) async fn change(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    JsonBody(body): JsonBody<ChangeDevice>,
) -> Result<NoContent, Problem> {
    devices::set_language(&core, &caller, body.communication_language).await?;
    Ok(NoContent)
}

/// `PUT /Devices/Self/Password`.
pub(super) async fn change_password(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    SentFrom(source): SentFrom,
    JsonBody(passwords): JsonBody<ChangePassword>,
) -> Result<NoContent, Problem> {
    devices::change_password(&core, &caller, source, passwords).await?;
    Ok(NoContent)
}

/// `DELETE /Devices/{id}`.
pub(super) async fn remove(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    Identified(id): Identified<DeviceId>,
) -> Result<NoContent, Problem> {
    devices::remove(&core, &caller, &id).await?;
    Ok(NoContent)
}

/// `PUT /Devices/Self/PushNotifications`.
pub(super) async fn register_push(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    JsonBody(target): JsonBody<PushTarget>,
) -> Result<Answer<PushRegistration>, Problem> {
    let device_push_identifier = push::register(&core, &caller, target).await?;
    Ok(Answer::ok(PushRegistration { device_push_identifier }))
}

/// `DELETE /Devices/Self/PushNotifications`.
pub(super) async fn unregister_push(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
) -> Result<NoContent, Problem> {
    push::unregister(&core, &caller).await?;
    Ok(NoContent)
}
