//! TLS by rustls with an explicit provider: nothing global is installed, so an embedding application keeps its own.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::ConfigError;
use crate::crypto::hash::sha256;

/// Verifies certificates by the platform's rules and, if not empty, against the fingerprints.
pub(super) fn verified_by_platform(fingerprints: &[[u8; 32]]) -> Result<ClientConfig, ConfigError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let platform = Verifier::new(provider.clone()).map_err(tls_error)?;
    let verifier: Arc<dyn ServerCertVerifier> = if fingerprints.is_empty() {
        Arc::new(platform)
    } else {
        Arc::new(Pinned { inner: Arc::new(platform), fingerprints: fingerprints.to_vec() })
    };
    Ok(builder(provider)?.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// For plain-http backbones, which never redirect to https: has no roots, to avoid loading the platform's certificates.
pub(super) fn without_roots() -> Result<ClientConfig, ConfigError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(builder(provider)?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn builder(
    provider: Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, ConfigError> {
    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(tls_error)
}

fn tls_error(error: rustls::Error) -> ConfigError {
    ConfigError::Tls(error.to_string())
}

/// Accepts a certificate if `inner` accepts it and its fingerprint is listed.
#[derive(Debug)]
struct Pinned {
    inner: Arc<dyn ServerCertVerifier>,
    fingerprints: Vec<[u8; 32]>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        if self.fingerprints.contains(&fingerprint(end_entity)) {
            Ok(verified)
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    sha256(certificate.as_ref())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use rustls::client::WebPkiServerVerifier;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject as _;

    use super::*;
    use crate::backbone::{Client, Error, NetworkError, SecretText};

    fn certificate() -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(include_bytes!("testdata/untrusted.cert.pem")).unwrap()
    }

    fn pinned_to(fingerprint: [u8; 32]) -> Pinned {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(certificate()).unwrap();
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        Pinned { inner, fingerprints: vec![[7; 32], fingerprint] }
    }

    #[test]
    fn a_pinned_client_accepts_only_the_named_certificates() {
        let (name, now) = (ServerName::try_from("localhost").unwrap(), UnixTime::now());
        let verify = |pinned: &Pinned| pinned.verify_server_cert(&certificate(), &[], &name, &[], now);
        assert!(verify(&pinned_to(fingerprint(&certificate()))).is_ok());
        assert!(verify(&pinned_to([8; 32])).is_err());
    }

    #[test]
    fn pinning_does_not_replace_the_usual_verification() {
        let (name, now) = (ServerName::try_from("other.example").unwrap(), UnixTime::now());
        let pinned = pinned_to(fingerprint(&certificate()));
        assert!(pinned.verify_server_cert(&certificate(), &[], &name, &[], now).is_err());
    }

    #[tokio::test]
    async fn an_untrusted_certificate_is_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let server = std::thread::spawn(move || handshake(&listener));
        let config = crate::backbone::ClientConfig::new(url, "test", SecretText::new("test"));
        let error = Client::new(config).unwrap().create_challenge().await.unwrap_err();
        assert!(matches!(error, Error::Network { kind: NetworkError::Tls, .. }), "{error:?}");
        assert!(!error.is_transient());
        server.join().unwrap();
    }

    /// The server side of one handshake, which the client aborts.
    fn handshake(listener: &TcpListener) {
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("testdata/untrusted.key.pem")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate()], key)
            .unwrap();
        let mut connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut socket = listener.accept().unwrap().0;
        let mut stream = rustls::Stream::new(&mut connection, &mut socket);
        assert!(stream.read(&mut [0]).is_err());
    }
}
