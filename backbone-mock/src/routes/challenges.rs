//! `/Challenges`.

use axum::extract::State;
use transport::wire::ChallengeId;
use transport::wire::backbone::challenges::Challenge;

use crate::domain::challenges::{self, ChallengeRecord};
use crate::web::AppState;
use crate::web::answer::Answer;
use crate::web::identified::Identified;
use crate::web::problem::Problem;
use crate::web::session::SentFrom;
use crate::web::session::{Anybody, LoggedIn};

/// `POST /Challenges`. Whatever the body is, it is ignored.
pub(super) async fn create(
    State(core): State<AppState>,
    SentFrom(source): SentFrom,
    Anybody(caller): Anybody,
) -> Result<Answer<Challenge>, Problem> {
    Ok(Answer::created(to_wire(challenges::create(&core, caller, source).await?)))
}

/// `GET /Challenges/{id}`.
pub(super) async fn read(
    State(core): State<AppState>,
    LoggedIn(_): LoggedIn,
    Identified(id): Identified<ChallengeId>,
) -> Result<Answer<Challenge>, Problem> {
    Ok(Answer::ok(to_wire(challenges::read(&core, &id).await?)))
}

fn to_wire(challenge: ChallengeRecord) -> Challenge {
    Challenge {
        id: challenge.id,
        expires_at: challenge.expires_at,
        created_by: challenge.created_by,
        created_by_device: challenge.created_by_device,
    }
}
