//! No peer: what a build without the feature `peers` has.

use transport::wire::backbone::peer_services::PeerServices;

use crate::config::Config;
use crate::error::Error;
use crate::peers::PeerMetrics;

/// A peer that never runs.
pub(crate) enum PeerServer {}

impl PeerServer {
    #[expect(clippy::unused_async, reason = "with the feature it waits for sockets")]
    pub(crate) async fn start(_: &Config) -> Result<Option<Self>, Error> {
        Ok(None)
    }

    pub(crate) fn description(&self) -> PeerServices {
        match *self {}
    }

    pub(crate) fn metrics(&self) -> PeerMetrics {
        match *self {}
    }

    #[expect(clippy::unused_async, reason = "with the feature it waits for sockets")]
    pub(crate) async fn stop(&self) {
        match *self {}
    }
}
