//! Rejects requests from foreign web pages.
//!
//! A page that a browser shows can send requests to this machine. Two things give it away: under DNS rebinding the
//! `Host` header carries the page's own name, and a request across sites carries an `Origin`. Both are checked before
//! anything else, so that not even `/health` answers such a page.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, header};

/// Which host names and origins may call.
#[derive(Debug)]
pub struct Guard {
    hosts: BTreeSet<String>,
    origins: BTreeSet<String>,
}

/// Why a request is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignRequest {
    /// The `Host` header names a host that is not ours.
    Host,
    /// The `Origin` header names a site that may not call.
    Origin,
}

impl Guard {
    /// Answers for these host names, without port, besides `localhost` and literal addresses, and to pages of these
    /// origins, `https://app.example.org`.
    #[must_use]
    pub fn new(hosts: &BTreeSet<String>, origins: &BTreeSet<String>) -> Self {
        let lower = |set: &BTreeSet<String>| set.iter().map(|text| text.to_ascii_lowercase()).collect();
        Self { hosts: lower(hosts), origins: lower(origins) }
    }

    /// Checks both headers. The origin comes back if it is one of the configured sites, for the CORS headers.
    ///
    /// # Errors
    /// [`ForeignRequest`] names the header.
    pub fn check(&self, headers: &HeaderMap) -> Result<Option<String>, ForeignRequest> {
        let host = self.check_host(headers)?;
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(None) };
        let origin = origin.to_str().map_err(|_| ForeignRequest::Origin)?.to_ascii_lowercase();
        if origins.next().is_some() {
            return Err(ForeignRequest::Origin);
        }
        if self.origins.contains(&origin) {
            return Ok(Some(origin));
        }
        // Our own pages (documentation) call us with our own name as their origin.
        let own = host.is_some_and(|host| {
            origin.strip_prefix("http://") == Some(&host) || origin.strip_prefix("https://") == Some(&host)
        });
        if own { Ok(None) } else { Err(ForeignRequest::Origin) }
    }

    /// The host header in lower case, with its port. Only old clients that are no browsers come without one.
    fn check_host(&self, headers: &HeaderMap) -> Result<Option<String>, ForeignRequest> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let Some(host) = hosts.next() else { return Ok(None) };
        let host = host.to_str().map_err(|_| ForeignRequest::Host)?.to_ascii_lowercase();
        let name = without_port(&host).ok_or(ForeignRequest::Host)?;
        let allowed = is_local_name(name) || is_literal_address(name) || self.hosts.contains(name);
        if allowed && hosts.next().is_none() { Ok(Some(host)) } else { Err(ForeignRequest::Host) }
    }
}

fn without_port(host: &str) -> Option<&str> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok());
    (port_fits && !name.is_empty()).then_some(name)
}

/// Names that every resolver keeps on this machine.
fn is_local_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

/// An address cannot be rebound: a page cannot have it as its own name unless it came from there.
fn is_literal_address(name: &str) -> bool {
    let six = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    name.parse::<Ipv4Addr>().is_ok() || six.is_some_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn guard() -> Guard {
        let set = |text: &str| BTreeSet::from([text.to_owned()]);
        Guard::new(&set("node.example.org"), &set("https://app.example.org"))
    }

    fn check(host: &str, origin: Option<&str>) -> Result<Option<String>, ForeignRequest> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        guard().check(&headers)
    }

    #[test]
    fn only_names_of_this_machine_addresses_and_configured_names_are_answered() {
        for host in [
            "localhost",
            "LOCALHOST:8080",
            "x.localhost",
            "127.0.0.1:1",
            "[::1]:80",
            "192.0.2.7",
            "node.example.org:443",
        ] {
            assert_eq!(check(host, None), Ok(None), "{host}");
        }
        for host in [
            "evil.example.org",
            "localhost.evil.example.org",
            "127.0.0.1.evil.example.org",
            "evillocalhost",
            "0x7f.1",
            "2130706433",
            "",
            ":80",
            "localhost:x",
            "[::1",
            "localhost:80:80",
        ] {
            assert_eq!(check(host, None), Err(ForeignRequest::Host), "{host}");
        }
    }

    #[test]
    fn a_page_may_call_only_from_here_or_from_a_configured_site() {
        assert_eq!(check("localhost:80", Some("http://localhost:80")), Ok(None));
        let configured = Some("https://app.example.org".to_owned());
        assert_eq!(check("localhost:80", Some("https://app.example.org")), Ok(configured));
        for origin in ["https://evil.example.org", "http://localhost:81", "null", "", "http://localhost:80.evil.org"] {
            assert_eq!(check("localhost:80", Some(origin)), Err(ForeignRequest::Origin), "{origin}");
        }
    }

    #[test]
    fn a_second_header_cannot_hide_the_first() {
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, HeaderValue::from_static("localhost"));
        headers.append(header::HOST, HeaderValue::from_static("evil.example.org"));
        assert_eq!(guard().check(&headers), Err(ForeignRequest::Host));
    }
}
