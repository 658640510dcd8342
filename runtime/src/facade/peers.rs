//! Peers: who is connected, and how this node can be reached.

use std::sync::Arc;

use super::Node;
use crate::dto;

/// The peers of a node; see [`Config::peers`](crate::Config::peers).
#[derive(Clone)]
pub struct PeersFacade {
    #[expect(dead_code, reason = "the network is not there yet")]
    node: Arc<Node>,
}

impl PeersFacade {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    /// The connected peers, those with a proven identity first.
    #[must_use]
    pub fn peers(&self) -> Vec<dto::Peer> {
        Vec::new()
    }

    /// How this node can be reached; `None` if it has no peers by its settings.
    #[must_use]
    pub fn connectivity(&self) -> Option<dto::Connectivity> {
        None
    }
}
