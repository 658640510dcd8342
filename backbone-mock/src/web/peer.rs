//! Where in the network a request comes from.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::AppState;
use crate::rates::Place;

/// The address of whoever is connected, which the server puts into the extensions of each request. Behind a proxy it is the
/// proxy's: what the proxy says of others can be made up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerAddress(pub(crate) IpAddr);

/// The place a request comes from.
pub(crate) struct Peer(pub(crate) Place);

impl FromRequestParts<AppState> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Infallible> {
        let address = parts.extensions.get::<PeerAddress>().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0);
        Ok(Self(Place::of(address)))
    }
}
