//! `/Identities`.

use axum::extract::State;
use serde::Deserialize;
use transport::wire::backbone::challenges::SignedChallenge;
use transport::wire::backbone::envelope::IsDeleted;
use transport::wire::backbone::identities::CreatedIdentity;
use transport::wire::{ByteText, Username};

use crate::domain::identities::{self, NewIdentity};
use crate::lenient::Number;
use crate::web::answer::Answer;
use crate::web::json::JsonBody;
use crate::web::problem::Problem;
use crate::web::query::Query;
use crate::web::session::SentFrom;
use crate::web::{AppState, identified};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreateIdentity {
    client_id: String,
    client_secret: String,
    identity_public_key: ByteText,
    device_password: String,
    device_communication_language: Option<String>,
    identity_version: Number<u8>,
    signed_challenge: SignedChallenge,
}

/// `POST /Identities`.
pub(super) async fn create(
    State(core): State<AppState>,
    SentFrom(source): SentFrom,
    JsonBody(body): JsonBody<CreateIdentity>,
) -> Result<Answer<CreatedIdentity>, Problem> {
    let new = NewIdentity {
        client_id: body.client_id,
        client_secret: body.client_secret,
        public_key: body.identity_public_key,
        password: body.device_password,
        language: body.device_communication_language,
        identity_version: body.identity_version.0,
        challenge: body.signed_challenge.challenge,
        signature: body.signed_challenge.signature,
    };
    Ok(Answer::created(identities::create(&core, source, new).await?))
}

/// `GET /Identities/IsDeleted?username=`.
pub(super) async fn is_deleted(query: Query) -> Result<Answer<IsDeleted>, Problem> {
    let username = query.value("username").ok_or_else(|| Problem::unreadable("'username': is missing"))?;
    identified::parse::<Username>("username", username)?;
    Ok(Answer::ok(identities::is_deleted()))
}
