//! Addresses of peers as people read them.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A multiaddr for people: `192.168.1.2:4712 (QUIC)`. Others stay as they are.
pub(crate) fn short_address(text: &str) -> String {
    let parts: Vec<&str> = text.split('/').collect();
    let (version, ip, port, transport) = match parts.as_slice() {
        ["", version, ip, "tcp", port] => (version, ip, port, "TCP"),
        ["", version, ip, "udp", port, "quic-v1"] => (version, ip, port, "QUIC"),
        _ => return text.to_owned(),
    };
    match *version {
        "ip4" if ip.parse::<Ipv4Addr>().is_ok() => format!("{ip}:{port} ({transport})"),
        "ip6" if ip.parse::<Ipv6Addr>().is_ok() => format!("[{ip}]:{port} ({transport})"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAY: &str = "/dns4/relay.example.org/tcp/4712/p2p/12D3KooWRawPbxPtP1eZaJpumGnyWX2DcUyd3RQnydr3eAto4Az7";

    #[test]
    fn addresses_are_short_for_people() {
        for (text, short) in [
            ("/ip4/192.168.1.2/tcp/4712", "192.168.1.2:4712 (TCP)"),
            ("/ip6/::1/udp/4712/quic-v1", "[::1]:4712 (QUIC)"),
            (RELAY, RELAY),
            ("/ip4/192.168.1.2/tcp/4712/ws", "/ip4/192.168.1.2/tcp/4712/ws"),
            ("/ip4/x/tcp/4712", "/ip4/x/tcp/4712"),
            ("/x", "/x"),
            ("", ""),
        ] {
            assert_eq!(short_address(text), short);
        }
    }
}
