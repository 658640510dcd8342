//! `/Devices`.

use axum::extract::State;
use serde::Deserialize;
use transport::wire::DeviceId;
use transport::wire::backbone::challenges::SignedChallenge;
use transport::wire::backbone::devices::{ChangePassword, CreatedDevice, Device, PushRegistration};

use crate::domain::Refusal;
use crate::domain::devices::{self, NewDevice};
use crate::domain::push::{self, Wish};
use crate::web::AppState;
use crate::web::answer::{Answer, NoContent};
use crate::web::identified::Identified;
use crate::web::json::JsonBody;
use crate::web::problem::Problem;
use crate::web::query::Query;
use crate::web::session::{LoggedIn, SentFrom};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RegisterDevice {
    device_password: String,
    signed_challenge: SignedChallenge,
    communication_language: Option<String>,
    is_backup_device: Option<bool>,
}

/// `POST /Devices`.
pub(super) async fn register(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    SentFrom(source): SentFrom,
    JsonBody(body): JsonBody<RegisterDevice>,
) -> Result<Answer<CreatedDevice>, Problem> {
    if body.device_password.is_empty() {
        return Err(Refusal::invalid("devicePassword", "must not be empty").into());
    }
    let new = NewDevice {
        password: body.device_password,
        language: body.communication_language,
        is_backup: body.is_backup_device.unwrap_or(false),
        challenge: body.signed_challenge.challenge,
        signature: body.signed_challenge.signature,
    };
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
    JsonBody(body): JsonBody<ChangePassword>,
) -> Result<NoContent, Problem> {
    for (property, password) in [("oldPassword", &body.old_password), ("newPassword", &body.new_password)] {
        if password.is_empty() {
            return Err(Refusal::invalid(property, "must not be empty").into());
        }
    }
    devices::change_password(&core, &caller, source, body.old_password, body.new_password).await?;
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RegisterPush {
    platform: String,
    handle: String,
    app_id: String,
    environment: Option<String>,
}

/// `PUT /Devices/Self/PushNotifications`.
pub(super) async fn register_push(
    State(core): State<AppState>,
    LoggedIn(caller): LoggedIn,
    JsonBody(body): JsonBody<RegisterPush>,
) -> Result<Answer<PushRegistration>, Problem> {
    let wish = Wish {
        platform: body.platform,
        handle: body.handle,
        app_id: body.app_id,
        environment: body.environment.unwrap_or_else(|| "Production".to_owned()),
    };
    let device_push_identifier = push::register(&core, &caller, wish).await?;
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
