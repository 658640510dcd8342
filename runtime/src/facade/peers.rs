//! Peers: who is connected, how this node can be reached, and codes.

use std::sync::Arc;
use std::time::Duration;

use transport::peer::{Direct, MultiaddrText};

use super::Node;
use crate::peer::{OfferedCode, PeersError};
use crate::{Result, dto};

/// The peers of a node; see [`Config::peers`](crate::Config::peers).
#[derive(Clone)]
pub struct PeersFacade {
    node: Arc<Node>,
}

impl PeersFacade {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self { node }
    }

    /// The connected peers, those with a proven identity first.
    #[must_use]
    pub fn peers(&self) -> Vec<dto::Peer> {
        self.node.core.peers.peers()
    }

    /// How this node can be reached; `None` if it has no peers by its settings.
    #[must_use]
    pub fn connectivity(&self) -> Option<dto::Connectivity> {
        self.node.core.peers.connectivity()
    }

    /// Multiaddrs at which others reach this node, best first, as references carry them. Those of relays end in the peer id of
    /// the relay.
    #[must_use]
    pub fn dial_addresses(&self) -> Vec<String> {
        let direct = self.node.core.peers.direct();
        let texts = direct.iter().flat_map(|direct| direct.addresses.iter().chain(&direct.relays));
        texts.map(|address| address.as_str().to_owned()).collect()
    }

    /// Connects to a peer by its peer id in base58, at these multiaddrs, unless it is connected.
    ///
    /// # Errors
    /// [`PeersError`] says why there is no connection on which identities were exchanged.
    pub async fn connect(&self, id: &str, addresses: &[String]) -> Result<dto::Peer> {
        let address = |text: &String| MultiaddrText::new(text).ok_or_else(|| PeersError::InvalidAddress(text.clone()));
        let direct = Direct {
            peer_id: id.parse().map_err(|_| PeersError::InvalidId(id.to_owned()))?,
            addresses: addresses.iter().map(address).collect::<Result<_, _>>()?,
            relays: Vec::new(),
        };
        Ok(self.node.core.peers.connect(direct).await?)
    }

    /// Offers the reference of a token, in any form, to whoever is told the code, for some time: usually
    /// [`DEFAULT_CODE_LIFETIME`](crate::DEFAULT_CODE_LIFETIME), at most [`MAX_CODE_LIFETIME`](crate::MAX_CODE_LIFETIME). The first
    /// guess ends the code, right or wrong.
    ///
    /// # Errors
    /// [`PeersError::Off`], [`PeersError::TooManyCodes`], [`PeersError::Reference`].
    pub fn offer_code(&self, reference: &str, lifetime: Duration) -> Result<OfferedCode> {
        Ok(self.node.core.peers.offer_code(reference, lifetime)?)
    }
}
