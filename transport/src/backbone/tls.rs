//! TLS by rustls with an explicit provider: nothing global is installed, so an embedding application keeps its own.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use super::ConfigError;

/// Certificates are checked by the platform's rules.
pub(super) fn verified_by_platform() -> Result<ClientConfig, ConfigError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let platform = Arc::new(Verifier::new(provider.clone()).map_err(tls_error)?);
    Ok(builder(provider)?.dangerous().with_custom_certificate_verifier(platform).with_no_client_auth())
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
    ConfigError::Tls(error.into())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    use super::*;
    use crate::backbone::{Client, Error, NetworkError, SecretText};

    fn certificate() -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(include_bytes!("testdata/untrusted.cert.pem")).unwrap()
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
