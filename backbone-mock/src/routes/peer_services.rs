//! `/PeerServices`: the relay and the rendezvous server of this process.

use axum::extract::State;
use transport::wire::backbone::peer_services::PeerServices;

use crate::web::AppState;
use crate::web::answer::Answer;
use crate::web::problem::Problem;

/// `GET /PeerServices`. Tells nothing that needs a login: whoever reaches the peer may use it within its limits.
pub(super) async fn read(State(core): State<AppState>) -> Result<Answer<PeerServices>, Problem> {
    // As on a backbone that does not have this route.
    core.peers.as_ref().map(|server| Answer::ok(server.description())).ok_or(Problem::NoSuchRoute)
}
