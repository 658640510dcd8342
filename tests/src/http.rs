//! A plain HTTP client for tests that talk to a server directly.

/// A client without proxies. Each call creates a new one with its own connections.
///
/// # Panics
/// If TLS cannot be set up.
#[must_use]
pub fn http() -> reqwest::Client {
    // reqwest needs a provider even for plain http. Fails if another test has installed it already, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("a client without settings")
}
