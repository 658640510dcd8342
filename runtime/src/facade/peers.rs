//! Peers: who is connected, how this node can be reached, and codes.

use std::sync::Arc;
use std::time::Duration;

use transport::peer::{Direct, MultiaddrText};
use transport::wire::{AnyReference, TokenId};

use super::Node;
use crate::dto::TokenTransports;
use crate::peer::{OfferedCode, PassedOn, PeersError};
use crate::{Result, dto, held};

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

    /// The reference of a token to pass on. It carries addresses of this node if peers get the token here and other machines cannot
    /// load it from a backbone: the one it names is on this machine, or was not told of it.
    ///
    /// # Errors
    /// [`Error::Store`](crate::Error::Store).
    pub fn passed_on(&self, token: &dto::Token) -> Result<PassedOn> {
        self.reached_here(&token.id, &token.reference.url, token.transports)
    }

    fn reached_here(&self, id: &TokenId, url: &str, transports: Option<TokenTransports>) -> Result<PassedOn> {
        let core = &self.node.core;
        let peer = if held::is_offered(core, id)? { self.connectivity() } else { None };
        let terms = (transports.unwrap_or_default(), held::is_alone(core, id)?);
        Ok(PassedOn::permitted(url, peer.as_ref(), terms))
    }

    /// Offers the reference of a token, in any form, to whoever is told the code, for some time: usually
    /// [`DEFAULT_CODE_LIFETIME`](crate::DEFAULT_CODE_LIFETIME), at most [`MAX_CODE_LIFETIME`](crate::MAX_CODE_LIFETIME). The first
    /// guess ends the code, right or wrong. A reference without addresses gets those that [`passed_on`](Self::passed_on) adds.
    ///
    /// # Errors
    /// [`PeersError::Off`], [`PeersError::TooManyCodes`], [`PeersError::Reference`], [`Error::Store`](crate::Error::Store).
    pub fn offer_code(&self, reference: &str, lifetime: Duration) -> Result<OfferedCode> {
        let with_addresses = self.with_addresses(reference)?;
        let reference = with_addresses.as_deref().unwrap_or(reference);
        Ok(self.node.core.peers.offer_code(reference, lifetime)?)
    }

    /// The same reference with addresses of this node, if receivers need them and it has none.
    fn with_addresses(&self, reference: &str) -> Result<Option<String>> {
        let parsed = match AnyReference::parse(reference) {
            Ok(AnyReference::Token(parsed)) if parsed.direct.is_none() => parsed,
            _ => return Ok(None),
        };
        let Some(url) = parsed.to_url(None) else { return Ok(None) };
        let transports = held::transports(&self.node.core, &parsed.id)?;
        let passed_on = self.reached_here(&parsed.id, &url, transports)?;
        Ok(Some(passed_on.reference).filter(|_| passed_on.is_direct))
    }
}
