//! What encrypts a connection and proves which peer is at its other end: TLS 1.3 where it is faster on the processor, else Noise, which all peers
//! understand.

use std::io;

use futures_util::future::Either;
use futures_util::{AsyncRead, AsyncWrite};
use libp2p::core::upgrade::{InboundConnectionUpgrade as _, OutboundConnectionUpgrade as _};
use libp2p::identity::Keypair;
use libp2p::{PeerId, noise};

use crate::StartError;
use crate::tls::{self, Tls};

/// The name of Noise, as libp2p specifies it.
const NOISE: &str = "/noise";

/// An encrypted connection.
pub(crate) type Secured<C> = Either<noise::Output<C>, tls::Output<C>>;

/// Encrypts connections.
#[derive(Clone)]
pub(crate) struct Security {
    noise: noise::Config,
    tls: Tls,
    offer: Offer,
}

/// What is offered, in the order in which a dialer proposes it. The last proposal is sent together with the handshake, so each one before it costs a
/// round trip. A listener understands the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// Noise, as peers do that do not know TLS.
    NoiseOnly,
    /// TLS first.
    TlsFirst,
}

/// A way to encrypt, as it is negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Noise,
    Tls,
}

/// Why a connection is not secured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecurityError {
    #[error("the handshake of Noise failed")]
    Noise(#[from] noise::Error),
    #[error("the handshake of TLS failed")]
    Tls(#[from] io::Error),
}

impl Security {
    pub(crate) fn new(key: &Keypair, offer: Offer) -> Result<Self, StartError> {
        let noise = noise::Config::new(key).map_err(|_| StartError::Key)?;
        Ok(Self { noise, tls: Tls::new(key)?, offer })
    }
}

impl Offer {
    /// TLS if the processor has instructions for AES-GCM. Noise always encrypts by ChaCha20-Poly1305, and TLS would do the same without them.
    pub(crate) fn fastest() -> Self {
        if offers_tls() { Self::TlsFirst } else { Self::NoiseOnly }
    }

    fn protocols(self) -> &'static [Protocol] {
        match self {
            Self::NoiseOnly => &[Protocol::Noise],
            Self::TlsFirst => &[Protocol::Tls, Protocol::Noise],
        }
    }
}

/// Whether [`Transports::tls`](crate::Transports::tls) has an effect on this machine: its processor has instructions for AES and for the
/// multiplication of GCM.
#[must_use]
pub fn offers_tls() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    return std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("pmull");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

impl AsRef<str> for Protocol {
    /// The names of the specifications of libp2p.
    fn as_ref(&self) -> &str {
        match self {
            Self::Noise => NOISE,
            Self::Tls => "/tls/1.0.0",
        }
    }
}

impl Security {
    /// What a listener understands, in the order in which a dialer proposes it.
    pub(crate) fn protocols(&self) -> impl Iterator<Item = Protocol> + use<> {
        self.offer.protocols().iter().copied()
    }

    /// The side of who dials: the peer that answers, and the connection to it.
    pub(crate) async fn connect<C>(
        self,
        connection: C,
        protocol: Protocol,
    ) -> Result<(PeerId, Secured<C>), SecurityError>
    where
        C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        match protocol {
            Protocol::Noise => by_noise(self.noise.upgrade_outbound(connection, NOISE).await),
            Protocol::Tls => by_tls(self.tls.connect(connection).await),
        }
    }

    /// The side of who listens: the peer that dialled, and the connection to it.
    pub(crate) async fn accept<C>(
        self,
        connection: C,
        protocol: Protocol,
    ) -> Result<(PeerId, Secured<C>), SecurityError>
    where
        C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        match protocol {
            Protocol::Noise => by_noise(self.noise.upgrade_inbound(connection, NOISE).await),
            Protocol::Tls => by_tls(self.tls.accept(connection).await),
        }
    }
}

fn by_noise<C>(
    secured: Result<(PeerId, noise::Output<C>), noise::Error>,
) -> Result<(PeerId, Secured<C>), SecurityError> {
    let (peer, connection) = secured?;
    Ok((peer, Either::Left(connection)))
}

fn by_tls<C>(secured: io::Result<(PeerId, tls::Output<C>)>) -> Result<(PeerId, Secured<C>), SecurityError> {
    let (peer, connection) = secured?;
    Ok((peer, Either::Right(connection)))
}

#[cfg(test)]
mod tests {
    use futures_util::{AsyncReadExt as _, AsyncWriteExt as _};
    use multistream_select::{Version, dialer_select_proto, listener_select_proto};
    use tokio_util::compat::TokioAsyncReadCompatExt as _;

    use super::*;

    fn key(number: u8) -> Keypair {
        Keypair::ed25519_from_bytes([number; 32]).unwrap()
    }

    fn used<C>(secured: &Secured<C>) -> Protocol {
        match secured {
            Either::Left(_) => Protocol::Noise,
            Either::Right(_) => Protocol::Tls,
        }
    }

    /// What a dialer and a listener agree on, after bytes went both ways.
    async fn agreed(dialer: Offer, listener: Offer) -> Protocol {
        let (near, far) = tokio::io::duplex(1024);
        let dialer = Security::new(&key(1), dialer).unwrap();
        let listener = Security::new(&key(2), listener).unwrap();
        let dial = async {
            let selected = dialer_select_proto(near.compat(), dialer.protocols(), Version::V1Lazy).await;
            let (protocol, negotiated) = selected.unwrap();
            let (peer, mut connection) = dialer.connect(negotiated, protocol).await.unwrap();
            assert_eq!(peer, key(2).public().to_peer_id());
            connection.write_all(&[1; 100_000]).await.unwrap();
            connection.close().await.unwrap();
            let mut read = Vec::new();
            connection.read_to_end(&mut read).await.unwrap();
            assert_eq!(read, [2; 100_000]);
            used(&connection)
        };
        let listen = async {
            let selected = listener_select_proto(far.compat(), listener.protocols()).await;
            let (protocol, negotiated) = selected.unwrap();
            let (peer, mut connection) = listener.accept(negotiated, protocol).await.unwrap();
            assert_eq!(peer, key(1).public().to_peer_id());
            let mut read = vec![0; 100_000];
            connection.read_exact(&mut read).await.unwrap();
            assert_eq!(read, [1; 100_000]);
            connection.write_all(&[2; 100_000]).await.unwrap();
            connection.close().await.unwrap();
            used(&connection)
        };
        let (near, far) = tokio::join!(dial, listen);
        assert_eq!(near, far);
        near
    }

    #[tokio::test]
    async fn the_dialer_chooses_and_peers_with_noise_only_are_understood() {
        for (dialer, listener, wanted) in [
            (Offer::NoiseOnly, Offer::NoiseOnly, Protocol::Noise),
            (Offer::NoiseOnly, Offer::TlsFirst, Protocol::Noise),
            (Offer::TlsFirst, Offer::NoiseOnly, Protocol::Noise),
            (Offer::TlsFirst, Offer::TlsFirst, Protocol::Tls),
        ] {
            assert_eq!(agreed(dialer, listener).await, wanted);
        }
    }

    #[test]
    fn noise_is_understood_everywhere_and_proposed_at_once_where_nothing_is_faster() {
        let offered: &[_] = if offers_tls() { &[Protocol::Tls, Protocol::Noise] } else { &[Protocol::Noise] };
        assert_eq!(Offer::fastest().protocols(), offered);
    }
}
