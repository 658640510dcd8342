//! TLS by rustls with an explicit provider: nothing global is installed, so an embedding application keeps its own.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::ConfigError;
use crate::crypto::hash::sha256;

/// Certificates are checked by the platform's rules, and against the fingerprints if there are any.
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

/// For plain-http backbones, which never lead to https: trusts nobody and spares loading the platform's certificates.
pub(super) fn trusting_nobody() -> Result<ClientConfig, ConfigError> {
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

/// Accepts what `inner` accepts if the certificate is also one of those named.
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
