//! What makes a connection of plain bytes one that is encrypted, authenticated and multiplexed. The same as libp2p's own upgrade, which does not
//! tell the one step how long the other one has taken.

use std::time::Instant;

use futures_util::{AsyncRead, AsyncWrite};
use libp2p::PeerId;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::{ConnectedPoint, Endpoint};
use multistream_select::{NegotiationError, Version, dialer_select_proto, listener_select_proto};

use crate::closing::ClosedInTime;
use crate::security::{Security, SecurityError};
use crate::yamux::{Multiplexed, Multiplexing, PROTOCOL};

/// The proposal of the last protocol is sent together with what follows, which saves a round trip.
const VERSION: Version = Version::V1Lazy;

/// Both steps.
#[derive(Clone)]
pub(crate) struct Upgrade {
    security: Security,
    multiplexing: Multiplexing,
}

/// Why a connection is not upgraded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpgradeError {
    #[error("the protocols were not negotiated")]
    Negotiation(#[from] NegotiationError),
    #[error(transparent)]
    Security(#[from] SecurityError),
}

impl Upgrade {
    pub(crate) fn new(security: Security, multiplexing: Multiplexing) -> Self {
        Self { security, multiplexing }
    }

    /// The peer at the other end, and the connection to it.
    pub(crate) async fn apply<C>(
        self,
        connection: C,
        endpoint: ConnectedPoint,
    ) -> Result<(PeerId, StreamMuxerBox), UpgradeError>
    where
        C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        match endpoint {
            // Both sides of a punched hole dial, and one of them takes the other part.
            ConnectedPoint::Dialer { role_override: Endpoint::Dialer, .. } => self.dial(connection).await,
            ConnectedPoint::Dialer { .. } | ConnectedPoint::Listener { .. } => self.listen(connection).await,
        }
    }

    async fn dial<C>(self, connection: C) -> Result<(PeerId, StreamMuxerBox), UpgradeError>
    where
        C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let began = Instant::now();
        let (protocol, connection) = dialer_select_proto(connection, self.security.protocols(), VERSION).await?;
        let (peer, connection) = self.security.connect(connection, protocol).await?;
        let handshake = began.elapsed();
        let (_, connection) = dialer_select_proto(connection, [PROTOCOL], VERSION).await?;
        Ok((peer, boxed(self.multiplexing.dialer(connection, handshake))))
    }

    async fn listen<C>(self, connection: C) -> Result<(PeerId, StreamMuxerBox), UpgradeError>
    where
        C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let began = Instant::now();
        let (protocol, connection) = listener_select_proto(connection, self.security.protocols()).await?;
        let (peer, connection) = self.security.accept(connection, protocol).await?;
        let handshake = began.elapsed();
        let (_, connection) = listener_select_proto(connection, [PROTOCOL]).await?;
        Ok((peer, boxed(self.multiplexing.listener(connection, handshake))))
    }
}

fn boxed<C: AsyncRead + AsyncWrite + Send + Unpin + 'static>(muxer: Multiplexed<C>) -> StreamMuxerBox {
    StreamMuxerBox::new(ClosedInTime::new(muxer))
}
