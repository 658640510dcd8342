//! TLS 1.3 as libp2p uses it (<https://github.com/libp2p/specs/blob/master/tls/tls.md>): both sides present one certificate that they have made
//! themselves, in which the key of the peer signs the key of the certificate. The certificates are libp2p's; the configuration is not, because
//! that one proposes ChaCha20-Poly1305 first, and AES-GCM takes a fraction of its time where the processor has instructions for it.
//!
//! Sessions are not resumed, so each connection proves the peer anew.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;

use futures_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use futures_util::{AsyncRead, AsyncWrite};
use libp2p::PeerId;
use libp2p::identity::Keypair;
use libp2p::tls::certificate;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::cipher_suite::{
    TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
};
use rustls::crypto::ring::{default_provider, sign::any_ecdsa_type};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, CommonState, DigitallySignedStruct, DistinguishedName, PeerIncompatible,
    ServerConfig, SignatureScheme, SupportedCipherSuite,
};

use crate::StartError;
use crate::gathered::Gathered;

/// The application protocol that both sides name.
const PROTOCOL: &[u8] = b"libp2p";

/// The ciphers, fastest first where the processor has instructions for AES. Who listens takes the first one of the dialer's: that one may have none.
const CIPHERS: [SupportedCipherSuite; 3] =
    [TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256];

/// An encrypted connection.
pub(crate) type Output<C> = Gathered<TlsStream<C>>;

/// Both sides of TLS with the key of one peer.
#[derive(Clone)]
pub(crate) struct Tls {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
}

impl Tls {
    pub(crate) fn new(key: &Keypair) -> Result<Self, StartError> {
        let identity = own_certificate(key).ok_or(StartError::Key)?;
        Self::with(identity, &CIPHERS).map_err(|_| StartError::Key)
    }

    fn with(identity: Arc<SingleCertAndKey>, ciphers: &[SupportedCipherSuite]) -> Result<Self, rustls::Error> {
        let provider = Arc::new(CryptoProvider { cipher_suites: ciphers.to_vec(), ..default_provider() });
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(PeerCertificate))
            .with_client_cert_resolver(Arc::clone(&identity) as _);
        client.alpn_protocols = vec![PROTOCOL.to_vec()];
        client.resumption = Resumption::disabled();
        client.enable_sni = false;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(PeerCertificate))
            .with_cert_resolver(identity);
        server.alpn_protocols = vec![PROTOCOL.to_vec()];
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(Self { connector: Arc::new(client).into(), acceptor: Arc::new(server).into() })
    }

    /// The side of who dials: the peer that answers, and the connection to it.
    pub(crate) async fn connect<C>(self, connection: C) -> io::Result<(PeerId, Output<C>)>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        // Peers are known by their keys, so there is no name to ask for.
        let nobody = ServerName::IpAddress(Ipv4Addr::UNSPECIFIED.into());
        let stream = self.connector.connect(nobody, connection).await?;
        Ok((proven_peer(stream.get_ref().1)?, Gathered::new(stream.into())))
    }

    /// The side of who listens: the peer that dialled, and the connection to it.
    pub(crate) async fn accept<C>(self, connection: C) -> io::Result<(PeerId, Output<C>)>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let stream = self.acceptor.accept(connection).await?;
        Ok((proven_peer(stream.get_ref().1)?, Gathered::new(stream.into())))
    }
}

fn own_certificate(key: &Keypair) -> Option<Arc<SingleCertAndKey>> {
    let (certificate, private) = certificate::generate(key).ok()?;
    let signer = any_ecdsa_type(&private).ok()?;
    Some(Arc::new(CertifiedKey::new(vec![certificate], signer).into()))
}

/// The peer at the other end after the handshake, in which [`PeerCertificate`] has verified its only certificate.
fn proven_peer(state: &CommonState) -> io::Result<PeerId> {
    let Some([certificate]) = state.peer_certificates() else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the peer has no certificate"));
    };
    let parsed = certificate::parse(certificate).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(parsed.peer_id())
}

/// Verifies the certificate of any peer: that there is one alone, that it is signed by its own key, and that the key of the peer has signed that
/// key. Which peer it is, is compared by who dialled.
#[derive(Debug)]
struct PeerCertificate;

impl PeerCertificate {
    fn check(certificate: &CertificateDer<'_>, others: &[CertificateDer<'_>]) -> Result<(), rustls::Error> {
        if !others.is_empty() {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        certificate::parse(certificate)?;
        Ok(())
    }

    fn check_signature(
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        certificate::parse(certificate)?.verify_signature(signed.scheme, message, signed.signature())?;
        Ok(HandshakeSignatureValid::assertion())
    }

    /// What `check_signature` can verify. libp2p advises against RSA.
    fn schemes() -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::ECDSA_NISTP384_SHA384, SignatureScheme::ED25519]
    }
}

impl ServerCertVerifier for PeerCertificate {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Self::check(certificate, others).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::Tls12NotOfferedOrEnabled.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Self::check_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Self::schemes()
    }
}

impl ClientCertVerifier for PeerCertificate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Self::check(certificate, others).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::Tls12NotOfferedOrEnabled.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Self::check_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Self::schemes()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{AsyncReadExt as _, AsyncWriteExt as _};
    use rustls::CipherSuite;
    use tokio_util::compat::TokioAsyncReadCompatExt as _;

    use super::*;

    fn key(number: u8) -> Keypair {
        Keypair::ed25519_from_bytes([number; 32]).unwrap()
    }

    fn peer(number: u8) -> PeerId {
        key(number).public().to_peer_id()
    }

    type Ended = io::Result<(PeerId, Option<CipherSuite>)>;

    /// The end of both handshakes, at the dialer and at the listener, with a byte to and fro: a client learns only behind its handshake that it was refused.
    async fn shake(dialer: Tls, listener: Tls) -> (Ended, Ended) {
        let (near, far) = tokio::io::duplex(1024);
        let dial = async {
            let (peer, mut connection) = dialer.connect(near.compat()).await?;
            connection.write_all(b"x").await?;
            connection.flush().await?;
            connection.read_exact(&mut [0]).await?;
            Ok((peer, suite(&connection)))
        };
        let listen = async {
            let (peer, mut connection) = listener.accept(far.compat()).await?;
            connection.read_exact(&mut [0]).await?;
            connection.write_all(b"y").await?;
            connection.flush().await?;
            Ok((peer, suite(&connection)))
        };
        tokio::join!(dial, listen)
    }

    fn suite<C>(connection: &Output<C>) -> Option<CipherSuite> {
        connection.get_ref().get_ref().1.negotiated_cipher_suite().map(|suite| suite.suite())
    }

    #[tokio::test]
    async fn both_sides_prove_their_peers_and_the_dialer_chooses_the_cipher() {
        let other_order = [TLS13_CHACHA20_POLY1305_SHA256, TLS13_AES_128_GCM_SHA256];
        for (ciphers, wanted) in [
            (&CIPHERS[..], CipherSuite::TLS13_AES_128_GCM_SHA256),
            (&other_order, CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
        ] {
            let dialer = Tls::with(own_certificate(&key(1)).unwrap(), ciphers).unwrap();
            let (dialed, accepted) = shake(dialer, Tls::new(&key(2)).unwrap()).await;
            assert_eq!(dialed.unwrap(), (peer(2), Some(wanted)));
            assert_eq!(accepted.unwrap(), (peer(1), Some(wanted)));
        }
    }

    #[tokio::test]
    async fn a_certificate_without_its_private_key_proves_nothing() {
        // Everybody whom peer 3 has connected to has its certificate.
        let (stolen, _) = certificate::generate(&key(3)).unwrap();
        let (_, private) = certificate::generate(&key(4)).unwrap();
        let thief = || identified(vec![stolen.clone()], &private);
        is_refused(thief).await;
    }

    #[tokio::test]
    async fn a_certificate_that_is_changed_proves_nothing() {
        let (own, private) = certificate::generate(&key(3)).unwrap();
        // The key of the peer is in an extension; behind it are the two signatures.
        let id = key(3).public().encode_protobuf();
        let place = own.windows(id.len()).position(|part| part == id).unwrap();
        let mut changed = own.to_vec();
        changed[place..][..id.len()].copy_from_slice(&key(5).public().encode_protobuf());
        is_refused(|| identified(vec![changed.clone().into()], &private)).await;
        let end = own.len() - 1;
        let mut changed = own.to_vec();
        changed[end] ^= 1;
        is_refused(|| identified(vec![changed.clone().into()], &private)).await;
    }

    #[tokio::test]
    async fn there_is_exactly_one_certificate() {
        let (own, private) = certificate::generate(&key(3)).unwrap();
        is_refused(|| identified(vec![own.clone(), own.clone()], &private)).await;
        is_refused(|| identified(Vec::new(), &private)).await;
        let (dialed, accepted) = shake(identified(vec![own.clone()], &private), Tls::new(&key(2)).unwrap()).await;
        assert_eq!((dialed.unwrap().0, accepted.unwrap().0), (peer(2), peer(3)));
    }

    fn identified(chain: Vec<CertificateDer<'static>>, private: &rustls::pki_types::PrivateKeyDer<'_>) -> Tls {
        let signer = any_ecdsa_type(private).unwrap();
        Tls::with(Arc::new(CertifiedKey::new(chain, signer).into()), &CIPHERS).unwrap()
    }

    /// In both roles.
    async fn is_refused(stranger: impl Fn() -> Tls) {
        let honest = Tls::new(&key(2)).unwrap();
        let (dialed, accepted) = shake(stranger(), honest.clone()).await;
        assert!(dialed.is_err() && accepted.is_err(), "{dialed:?} {accepted:?}");
        let (dialed, accepted) = shake(honest, stranger()).await;
        assert!(dialed.is_err() && accepted.is_err(), "{dialed:?} {accepted:?}");
    }
}
