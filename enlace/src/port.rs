//! Which address to listen on. The port is the one asked for, else the remembered one, else the
//! usual one, else a free one.

use std::net::{Ipv4Addr, SocketAddr};

use listener::ListenError;

use crate::code::Kind;
use crate::failure::{Failure, reason};

/// Usual port of the embedded backbone.
pub(crate) const BACKBONE: u16 = 4710;
/// Usual port of the REST interface.
pub(crate) const REST: u16 = 4711;

/// Addresses to try, in this order.
///
/// A remembered port that is taken is a failure: programs that know the old address would otherwise reach another program.
/// The usual port being taken is not: before the first start no program knows our address.
pub(crate) fn candidates(asked: Option<SocketAddr>, remembered: Option<u16>, usual: u16) -> Vec<SocketAddr> {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match (asked, remembered) {
        (Some(address), _) => vec![address],
        (None, Some(port)) => vec![loopback(port)],
        (None, None) => vec![loopback(usual), loopback(0)],
    }
}

/// Reads `IP:PORT`, `[IPv6]:PORT` or `localhost:PORT`, for every option and key that takes an address to listen on.
///
/// # Errors
/// A text for the command line's error.
pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    let local = text.rsplit_once(':').filter(|(host, _)| host.eq_ignore_ascii_case("localhost"));
    let address = local.map_or_else(|| text.to_owned(), |(_, port)| format!("{}:{port}", Ipv4Addr::LOCALHOST));
    address
        .parse()
        .map_err(|_| format!("{text:?} is not an address such as 127.0.0.1:8080, [::1]:8080 or localhost:8080"))
}

/// The failure for an address that cannot be had, naming the option that helps.
pub(crate) fn unavailable(error: &ListenError, what: &str, option: &str) -> Failure {
    let ListenError { address, source } = error;
    let reason = match source.kind() {
        std::io::ErrorKind::AddrInUse => "the port is in use".to_owned(),
        _ => reason(source),
    };
    Failure::new(Kind::Network, format!("cannot listen on {address} for the {what}: {reason}"))
        .hint(format!("stop the other program, or choose another port with {option} 127.0.0.1:0 (0 picks a free port)"))
}

/// The options or keys that say where a backbone listens.
pub(crate) struct BackboneNames {
    /// What it is called.
    pub(crate) backbone: &'static str,
    /// Its address.
    pub(crate) listen: &'static str,
    /// Where its metrics are.
    pub(crate) metrics_listen: &'static str,
    /// Where it serves peers.
    pub(crate) peer_listen: &'static str,
    /// What peers are told.
    pub(crate) peer_announce: &'static str,
}

impl BackboneNames {
    /// The failure of a backbone that does not start, with the names that its user knows.
    pub(crate) fn failure(&self, error: backbone_mock::Error) -> Failure {
        use backbone_mock::Error;
        match error {
            Error::Listen(error) => unavailable(&error, self.backbone, self.listen),
            Error::MetricsListen(error) => unavailable(&error, "metrics", self.metrics_listen),
            Error::PeerListen { address, reason } => {
                Failure::new(Kind::Network, format!("cannot listen on {address} for peers: {reason}"))
                    .hint(format!("give another address with {}; port 0 picks a free port", self.peer_listen))
            }
            Error::Config { setting: "peers.listen", problem } => {
                Failure::usage(format!("{}: {problem}", self.peer_listen))
            }
            Error::Config { setting: "peers.announce", problem } => {
                Failure::usage(format!("{}: {problem}", self.peer_announce))
            }
            other => Failure::from(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_grammar() {
        for (text, expected) in [
            ("127.0.0.2:8080", "127.0.0.2:8080"),
            ("[::1]:0", "[::1]:0"),
            (" localhost:81 ", "127.0.0.1:81"),
            ("LocalHost:81", "127.0.0.1:81"),
            ("0.0.0.0:4710", "0.0.0.0:4710"),
        ] {
            assert_eq!(parse_address(text).unwrap().to_string(), expected);
        }
        for text in ["", "8080", "localhost", "::1:80", "example.org:80", "localhost.example.org:80", "127.0.0.1:70000"]
        {
            assert!(parse_address(text).unwrap_err().contains("such as 127.0.0.1:8080"), "{text}");
        }
    }

    #[test]
    fn asked_before_remembered_before_usual_before_free() {
        let ports = |asked: Option<&str>, remembered| -> Vec<u16> {
            let asked = asked.map(|text| text.parse().unwrap());
            candidates(asked, remembered, 2).iter().map(SocketAddr::port).collect()
        };
        assert_eq!(ports(Some("0.0.0.0:9"), Some(1)), [9]);
        assert_eq!(ports(None, Some(1)), [1]);
        assert_eq!(ports(None, None), [2, 0]);
    }
}
