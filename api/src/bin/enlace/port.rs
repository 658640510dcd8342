//! Which port to listen on: the one asked for, else the remembered one, else the usual one, else a free one.

use std::net::{Ipv4Addr, SocketAddr};

use crate::failure::{Failure, Kind};

/// Usual port of the embedded backbone.
pub(crate) const BACKBONE: u16 = 4710;
/// Usual port of the REST interface.
pub(crate) const REST: u16 = 4711;

/// Addresses to try, in this order.
///
/// A remembered port that is taken is a failure: whoever holds the old address would otherwise talk to somebody else.
/// The usual port being taken is not: at the first start nobody knows our address yet.
pub(crate) fn candidates(asked: Option<SocketAddr>, remembered: Option<u16>, usual: u16) -> Vec<SocketAddr> {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    match (asked, remembered) {
        (Some(address), _) => vec![address],
        (None, Some(port)) => vec![loopback(port)],
        (None, None) => vec![loopback(usual), loopback(0)],
    }
}

/// The failure for an address that cannot be had, naming the option that helps.
pub(crate) fn unavailable(address: SocketAddr, why: &std::io::Error, what: &str, option: &str) -> Failure {
    let reason = match why.kind() {
        std::io::ErrorKind::AddrInUse => "the port is taken".to_owned(),
        _ => why.to_string(),
    };
    Failure::new(Kind::Network, format!("cannot listen on {address} for the {what}: {reason}"))
        .hint(format!("stop the other program, or choose another port with {option} 127.0.0.1:0 (0 takes a free one)"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
