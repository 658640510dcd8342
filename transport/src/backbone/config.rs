//! Settings of the client, validated once.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use url::Url;

use super::SecretText;

/// Addresses of `localhost` and its subdomains (RFC 6761 section 6.3), in the order in which they are tried.
const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Settings of a [`super::Client`].
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// `http://` or `https://`, optionally with a path; the API prefix is appended.
    pub base_url: String,
    /// OAuth client.
    pub client_id: String,
    /// Secret of the OAuth client.
    pub client_secret: SecretText,
    /// Time-out of a call; file transfers get more, in proportion to their size.
    pub timeout: Duration,
    /// Maximum number of redirects. Only those within the same origin (scheme, host and port) are followed, and a login
    /// follows none.
    pub max_redirects: usize,
    /// Whether `http://` to a host that is not loopback is allowed.
    pub allow_plain_http: bool,
    /// Domain inside new addresses; the one that the backbone answers with if absent.
    pub address_hostname: Option<String>,
    /// IP address of the base URL's host, for a backbone whose socket is known. The name is then not resolved, so the login
    /// cannot reach another program that listens at a different address of the same name.
    pub host_address: Option<IpAddr>,
    /// Largest content of a token in bytes of plaintext. An answer that could only hold a larger one is refused.
    pub max_token_content: usize,
}

impl ClientConfig {
    /// Contents of tokens are references, keys and a few values of applications; the protocol would allow 10 MiB.
    pub const DEFAULT_MAX_TOKEN_CONTENT: usize = 256 * 1024;

    /// Settings with the protocol's usual limits.
    #[must_use]
    pub fn new(base_url: impl Into<String>, client_id: impl Into<String>, client_secret: SecretText) -> Self {
        Self {
            base_url: base_url.into(),
            client_id: client_id.into(),
            client_secret,
            timeout: Duration::from_secs(60),
            max_redirects: 10,
            allow_plain_http: false,
            address_hostname: None,
            host_address: None,
            max_token_content: Self::DEFAULT_MAX_TOKEN_CONTENT,
        }
    }
}

/// Why settings are invalid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The base URL cannot be parsed.
    #[error("the backbone's base URL cannot be read")]
    Url(#[from] url::ParseError),
    /// The base URL has the wrong form.
    #[error("the backbone's base URL must be http:// or https:// with a host, without user name, query or fragment")]
    NotABaseUrl,
    /// The base URL contains a separator of references.
    #[error("the backbone's base URL must contain neither '|' nor '@', because references carry it")]
    SeparatorInUrl,
    /// Unencrypted HTTP over a network.
    #[error("plain http to '{0}' is refused: use https, or allow plain http if the network is trusted")]
    PlainHttp(String),
    /// The TLS library or the platform's certificates are not usable.
    #[error("TLS cannot be set up")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The checked form of the base URL.
#[derive(Debug, Clone)]
pub(super) struct BaseUrl {
    url: Url,
    text: String,
}

impl BaseUrl {
    pub(super) fn parse(text: &str, allow_plain_http: bool) -> Result<Self, ConfigError> {
        if text.contains(['|', '@']) {
            return Err(ConfigError::SeparatorInUrl);
        }
        let url = Url::parse(text)?;
        let is_base = matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some()
            && url.query().is_none()
            && url.fragment().is_none();
        if !is_base {
            return Err(ConfigError::NotABaseUrl);
        }
        let text = url.as_str().trim_end_matches('/').to_owned();
        let base = Self { url, text };
        if base.is_plain() && !base.is_loopback() && !allow_plain_http {
            return Err(ConfigError::PlainHttp(base.host().to_owned()));
        }
        Ok(base)
    }

    pub(super) fn host(&self) -> &str {
        self.url.host_str().expect("checked when it was parsed")
    }

    pub(super) fn is_plain(&self) -> bool {
        self.url.scheme() == "http"
    }

    pub(super) fn is_loopback(&self) -> bool {
        match self.url.host() {
            Some(url::Host::Domain(_)) => self.names_this_machine(),
            Some(url::Host::Ipv4(address)) => IpAddr::from(address).is_loopback(),
            Some(url::Host::Ipv6(address)) => IpAddr::from(address).is_loopback(),
            None => false,
        }
    }

    /// The fixed addresses of the host name, which override the resolver; empty if the resolver has to be asked.
    pub(super) fn fixed_addresses(&self, known: Option<IpAddr>) -> Vec<IpAddr> {
        match known {
            Some(address) => vec![address],
            None if self.names_this_machine() => LOOPBACK.to_vec(),
            None => Vec::new(),
        }
    }

    fn names_this_machine(&self) -> bool {
        self.url.domain().is_some_and(names_this_machine)
    }

    pub(super) fn join(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }
}

/// Whether a host name is `localhost` or a subdomain of it (RFC 6761 section 6.3), with or without a trailing dot. No
/// resolver is asked for such a name: connections to it stay on this machine.
#[must_use]
pub fn names_this_machine(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// Whether a URL stands for the machine that opens it, whichever that is.
#[must_use]
pub fn leads_to_this_machine(url: &str) -> bool {
    let Ok(parsed) = Url::parse(url) else { return true };
    match parsed.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => names_this_machine(name),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_or_by_explicit_permission() {
        for text in [
            "http://localhost:1",
            "http://127.0.0.1",
            "http://[::1]:80/",
            "http://a.localhost",
            "http://LOCALHOST.",
            "http://a.localhost.",
            "https://a.b",
        ] {
            assert!(BaseUrl::parse(text, false).is_ok(), "{text}");
        }
        for text in ["http://example.com", "http://10.0.0.1:8080", "http://localhost.example.com", "http://xlocalhost"]
        {
            assert!(matches!(BaseUrl::parse(text, false), Err(ConfigError::PlainHttp(_))), "{text}");
            assert!(BaseUrl::parse(text, true).is_ok(), "{text}");
        }
    }

    #[test]
    fn only_base_urls_are_taken() {
        for text in ["", "example.com", "ftp://a.b", "https://a.b?c", "https://a.b#c", "https://u:p@a.b", "https://a|b"]
        {
            assert!(BaseUrl::parse(text, true).is_err(), "{text}");
        }
    }

    #[test]
    fn paths_are_appended_without_doubled_slashes() {
        let base = BaseUrl::parse("https://Example.com:443/sub/", false).unwrap();
        assert_eq!(base.join("/api/v2/Tokens"), "https://example.com/sub/api/v2/Tokens");
        assert_eq!(base.host(), "example.com");
    }

    #[test]
    fn urls_with_a_loopback_host_lead_to_the_machine_that_opens_them() {
        for url in
            ["http://localhost:4710/r/x", "http://a.localhost/r", "http://127.0.0.2:1/r", "http://[::1]:1/x", "x"]
        {
            assert!(leads_to_this_machine(url), "{url}");
        }
        for url in ["https://b.example.org/r/x", "http://192.168.1.2:4710/r/x", "http://[fd00::1]:4710/r/x"] {
            assert!(!leads_to_this_machine(url), "{url}");
        }
    }
}
