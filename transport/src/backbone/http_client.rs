//! How HTTP clients are set up: whose certificates they accept, which redirects they follow, and where they connect to.
//!
//! TLS is rustls with an explicit provider: nothing global is installed, so an embedding application keeps its own.

use std::net::IpAddr;
use std::sync::Arc;

use reqwest::{ClientBuilder, redirect};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::ConfigError;
use super::config::BaseUrl;

/// Path of the login.
pub(super) const LOGIN_PATH: &str = "/connect/token";

/// Whose certificates a client accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Those that the platform accepts.
    Platform,
    /// None, for plain http: the platform's certificates are not loaded.
    Nobody,
}

/// Which redirects a client follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirects {
    /// None.
    Refused,
    /// So many in a row, to the same scheme, host and port: no token or password reaches another server. A login follows
    /// none, because its form contains the device's password and the client secret.
    AtTheOrigin(usize),
}

/// The settings that all clients have.
///
/// # Errors
/// [`ConfigError::Tls`] if the platform's certificates are not usable.
pub fn builder(trust: Trust, redirects: Redirects) -> Result<ClientBuilder, ConfigError> {
    let redirects = match redirects {
        Redirects::Refused => redirect::Policy::none(),
        Redirects::AtTheOrigin(most) => redirects_at_the_origin(most),
    };
    let builder = reqwest::Client::builder().tls_backend_preconfigured(tls(trust)?);
    Ok(builder
        .user_agent(concat!("enlace/", env!("CARGO_PKG_VERSION")))
        .redirect(redirects)
        .referer(false)
        .tcp_nodelay(true))
}

/// The settings of clients of one backbone. A host that names this machine is looked up nowhere, and no proxy is used for it.
///
/// # Errors
/// [`ConfigError`] for a text that is not a base URL, and if the platform's certificates are not usable.
pub fn builder_for(base_url: &str, redirects: Redirects) -> Result<ClientBuilder, ConfigError> {
    towards(&BaseUrl::parse(base_url, true)?, None, redirects)
}

/// [`builder_for`] a backbone whose host may be known to have an address.
pub(super) fn towards(
    base: &BaseUrl,
    address: Option<IpAddr>,
    redirects: Redirects,
) -> Result<ClientBuilder, ConfigError> {
    let trust = if base.is_plain() { Trust::Nobody } else { Trust::Platform };
    let mut builder = builder(trust, redirects)?;
    // reqwest ignores the port of these addresses and uses the URL's.
    let fixed: Vec<_> = base.fixed_addresses(address).into_iter().map(|ip| (ip, 0).into()).collect();
    if !fixed.is_empty() {
        builder = builder.resolve_to_addrs(base.host(), &fixed);
    }
    if base.is_loopback() || address.is_some() {
        // A proxy from the environment must not be used for a backbone in the same process.
        builder = builder.no_proxy();
    }
    Ok(builder)
}

fn tls(trust: Trust) -> Result<ClientConfig, ConfigError> {
    let failed = |error: rustls::Error| ConfigError::Tls(error.into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(failed)?;
    let builder = match trust {
        Trust::Platform => builder.with_platform_verifier().map_err(failed)?,
        Trust::Nobody => builder.with_root_certificates(RootCertStore::empty()),
    };
    Ok(builder.with_no_client_auth())
}

fn redirects_at_the_origin(limit: usize) -> redirect::Policy {
    redirect::Policy::custom(move |attempt| {
        let follows = attempt
            .previous()
            .first()
            .is_some_and(|asked| asked.origin() == attempt.url().origin() && !asked.path().ends_with(LOGIN_PATH));
        match follows && attempt.previous().len() <= limit {
            true => attempt.follow(),
            false => attempt.error("redirects end here"),
        }
    })
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
