//! A plain HTTP client for tests that talk to a server directly.

/// A client without proxies. Each call makes a new one, with connections of its own.
///
/// # Panics
/// If TLS cannot be set up.
#[must_use]
pub fn http() -> reqwest::Client {
    // reqwest wants a provider even for plain http; somebody else may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("a client without settings")
}
