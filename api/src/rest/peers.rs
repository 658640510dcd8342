//! Who is connected, and how this node can be reached.

use runtime::dto;
use serde::Serialize;
use utoipa::ToSchema;

use crate::connector::Call;
use crate::problem::Problem;
use crate::reply::Reply;

/// Connected peers, and how this node can be reached by others.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Peers)]
pub(crate) struct Peers {
    /// The connected peers, those with a proven identity first.
    peers: Vec<dto::Peer>,
    /// This node; null if it has no peers by its settings.
    #[serde(rename = "self")]
    #[schema(required = true)]
    this: Option<dto::Connectivity>,
}

/// `GET Peers`
pub(crate) async fn list(call: Call) -> Result<Reply, Problem> {
    let facade = call.runtime().peers();
    Ok(Reply::ok(&Peers { peers: facade.peers(), this: facade.connectivity() }))
}
