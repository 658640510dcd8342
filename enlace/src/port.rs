//! Which address to listen on, and how others reach it. The port is the one asked for, else the remembered one, else the
//! usual one, else a free one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::failure::{Failure, Kind, reason};

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

/// The URL at which others reach a listener. One that listens at all addresses is named by the one that this machine has on
/// its network.
pub(crate) fn url(bound: SocketAddr) -> String {
    let ip = if bound.ip().is_unspecified() { own_address(bound.ip()) } else { bound.ip() };
    format!("http://{}", SocketAddr::new(ip, bound.port()))
}

/// The address of this machine that leads to other networks, else its loopback address.
fn own_address(unspecified: IpAddr) -> IpAddr {
    // Addresses for documentation: a datagram socket is only given a route, nothing is sent.
    let outside = match unspecified {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::new(192, 0, 2, 1)),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    let routed = UdpSocket::bind((unspecified, 0)).and_then(|socket| {
        socket.connect((outside, 9))?;
        socket.local_addr()
    });
    match (routed, unspecified) {
        (Ok(address), _) if !address.ip().is_unspecified() => address.ip(),
        (_, IpAddr::V4(_)) => Ipv4Addr::LOCALHOST.into(),
        // It listens at the addresses of version 4 as well.
        (_, IpAddr::V6(_)) => match own_address(Ipv4Addr::UNSPECIFIED.into()) {
            address if address.is_loopback() => Ipv6Addr::LOCALHOST.into(),
            address => address,
        },
    }
}

/// The failure for an address that cannot be had, naming the option that helps.
pub(crate) fn unavailable(address: SocketAddr, why: &std::io::Error, what: &str, option: &str) -> Failure {
    let reason = match why.kind() {
        std::io::ErrorKind::AddrInUse => "the port is in use".to_owned(),
        _ => reason(why),
    };
    Failure::new(Kind::Network, format!("cannot listen on {address} for the {what}: {reason}"))
        .hint(format!("stop the other program, or choose another port with {option} 127.0.0.1:0 (0 picks a free port)"))
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
    fn urls_are_those_of_the_bound_address_or_of_one_that_others_can_use() {
        for text in ["127.0.0.2:8080", "[::1]:8080", "192.0.2.7:80"] {
            assert_eq!(url(text.parse().unwrap()), format!("http://{text}"));
        }
        for text in ["0.0.0.0:8080", "[::]:8080"] {
            let url = url(text.parse().unwrap());
            assert!(url.ends_with(":8080") && !url.contains(text.trim_end_matches(":8080")), "{url}");
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
