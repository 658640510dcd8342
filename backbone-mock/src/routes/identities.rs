//! `/Identities`.

use axum::extract::State;
use transport::wire::Username;
use transport::wire::backbone::envelope::IsDeleted;
use transport::wire::backbone::identities::CreatedIdentity;

use crate::domain::identity_creation::{self, NewIdentity};
use crate::domain::{identities, parse_id};
use crate::web::AppState;
use crate::web::answer::Answer;
use crate::web::json::JsonBody;
use crate::web::problem::Problem;
use crate::web::query::Query;
use crate::web::session::SentFrom;

/// `POST /Identities`.
pub(super) async fn create(
    State(core): State<AppState>,
    SentFrom(source): SentFrom,
    JsonBody(new): JsonBody<NewIdentity>,
) -> Result<Answer<CreatedIdentity>, Problem> {
    Ok(Answer::created(identity_creation::create(&core, source, new).await?))
}

/// `GET /Identities/IsDeleted?username=`.
pub(super) async fn is_deleted(query: Query) -> Result<Answer<IsDeleted>, Problem> {
    let username = query.value("username").ok_or_else(|| Problem::unreadable("'username': is missing"))?;
    parse_id::<Username>("username", username)?;
    Ok(Answer::ok(identities::is_deleted()))
}
