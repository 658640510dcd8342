//! Which addresses are dialled and told: where an address leads, and what a policy permits.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

/// Which addresses are told to others, and dialled when somebody else hints at them. Addresses of the own configuration and of multicast
/// DNS are always dialled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    /// Addresses of private networks: RFC 1918, RFC 4193, RFC 6598, link-local.
    pub private: bool,
    /// Addresses of this host.
    pub loopback: bool,
    /// Hints with DNS names. Whoever gives such a hint learns that it was looked up, and the name may lead anywhere.
    pub dns: bool,
}

impl AddressPolicy {
    /// Whether others are told about an address of this peer.
    #[must_use]
    pub fn tells(self, address: &Multiaddr) -> bool {
        match Scope::of(address) {
            Scope::Public | Scope::Memory => true,
            // A name of this peer comes from its own configuration.
            Scope::Dns => true,
            Scope::Private => self.private,
            Scope::Loopback => self.loopback,
            Scope::Unusable => false,
        }
    }

    /// Whether an address that somebody else told is dialled.
    pub(crate) fn dials(self, address: &Multiaddr) -> bool {
        match Scope::of(address) {
            Scope::Public | Scope::Memory => true,
            Scope::Dns => self.dns,
            Scope::Private => self.private,
            Scope::Loopback => self.loopback,
            Scope::Unusable => false,
        }
    }
}

/// Where an address leads. That of a relayed address is where the relay is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Public,
    Private,
    Loopback,
    Dns,
    Memory,
    /// Unspecified, multicast, broadcast, reserved, or not an address that starts at a host. Link-local addresses of IPv6, too: they
    /// lead somewhere only together with an interface of this host, which the transports have no place for.
    Unusable,
}

/// Whether a listener on this address listens on all interfaces.
pub(crate) fn is_unspecified(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_unspecified(),
        Some(Protocol::Ip6(ip)) => ip.is_unspecified(),
        _ => false,
    }
}

impl Scope {
    pub(crate) fn of(address: &Multiaddr) -> Self {
        match address.iter().next() {
            Some(Protocol::Ip4(ip)) => Self::of_v4(ip),
            Some(Protocol::Ip6(ip)) => Self::of_ip(IpAddr::V6(ip)),
            Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_)) => Self::Dns,
            Some(Protocol::Memory(_)) => Self::Memory,
            _ => Self::Unusable,
        }
    }

    pub(crate) fn of_ip(ip: IpAddr) -> Self {
        // `::ffff:10.0.0.1` leads where `10.0.0.1` does.
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => Self::of_v6(ip),
        }
    }

    fn of_v4(ip: Ipv4Addr) -> Self {
        let [a, b, ..] = ip.octets();
        if ip.is_loopback() {
            Self::Loopback
        } else if a == 0 || a >= 224 {
            Self::Unusable
        } else if ip.is_private() || ip.is_link_local() || (a == 100 && (64..128).contains(&b)) {
            Self::Private
        } else {
            Self::Public
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Self {
        if ip.is_loopback() {
            Self::Loopback
        } else if ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local() {
            Self::Unusable
        } else if ip.is_unique_local() {
            Self::Private
        } else {
            Self::Public
        }
    }
}

/// Whether an address leads through a relay.
pub(crate) fn is_relayed(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

/// Whether QUIC leads to the peer, or to the relay on the way.
pub(crate) fn is_quic(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Protocol::Quic | Protocol::QuicV1))
}

/// The IP address that an address starts with.
pub(crate) fn ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip).to_canonical()),
        _ => None,
    }
}

/// The host that an address starts with: an IPv4 address, this machine, or an IPv6 /64, which is what one host gets.
pub(crate) fn host(address: &Multiaddr) -> Option<IpAddr> {
    match ip(address)? {
        IpAddr::V4(ip) => Some(ip.into()),
        // The /64 of it does not say any more that it is this machine.
        IpAddr::V6(ip) if ip.is_loopback() => Some(ip.into()),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Some(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
        }
    }
}

/// The relay that an address goes through.
pub(crate) fn relay(address: &Multiaddr) -> Option<libp2p::PeerId> {
    let first_hop: Multiaddr = address.iter().take_while(|part| *part != Protocol::P2pCircuit).collect();
    named_peer(&first_hop).filter(|_| is_relayed(address))
}

/// The peer that an address names at its end.
pub(crate) fn named_peer(address: &Multiaddr) -> Option<libp2p::PeerId> {
    match address.iter().last()? {
        Protocol::P2p(peer) => Some(peer),
        _ => None,
    }
}

/// The address without the peer at its end.
pub(crate) fn without_peer(mut address: Multiaddr) -> Multiaddr {
    if named_peer(&address).is_some() {
        address.pop();
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_an_address_is_an_address_or_a_network() {
        let host = |address: &str| host(&address.parse().unwrap()).map(|host| host.to_string());
        assert_eq!(host("/ip6/2001:db8:1:2:3:4:5:6/tcp/1").as_deref(), Some("2001:db8:1:2::"));
        assert_eq!(host("/ip6/::ffff:192.0.2.1/tcp/1").as_deref(), Some("192.0.2.1"));
        assert_eq!(host("/ip6/::1/tcp/1").as_deref(), Some("::1"), "this machine");
        assert_eq!(host("/memory/1"), None);
    }

    const NONE: AddressPolicy = AddressPolicy { private: false, loopback: false, dns: false };
    const ALL: AddressPolicy = AddressPolicy { private: true, loopback: true, dns: true };

    #[test]
    fn the_relay_of_an_address_is_the_peer_of_its_first_hop() {
        let [one, other] = [
            "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp",
            "12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf",
        ];
        for (address, expected) in [
            (format!("/ip4/203.0.113.7/tcp/1/p2p/{one}/p2p-circuit/p2p/{other}"), Some(one)),
            (format!("/ip4/203.0.113.7/udp/1/quic-v1/p2p/{one}/p2p-circuit"), Some(one)),
            (format!("/ip4/203.0.113.7/tcp/1/p2p/{one}"), None),
            (format!("/ip4/203.0.113.7/tcp/1/p2p-circuit/p2p/{other}"), None),
        ] {
            let found = relay(&address.parse().unwrap());
            assert_eq!(found.map(|peer| peer.to_string()).as_deref(), expected, "{address}");
        }
    }

    #[test]
    fn each_address_has_one_scope_that_the_policy_decides_by() {
        let relay = "/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp/p2p-circuit";
        let table = [
            ("/ip4/203.0.113.7/tcp/1".to_owned(), Scope::Public),
            ("/ip6/2001:db8::1/udp/1/quic-v1".to_owned(), Scope::Public),
            ("/ip4/10.0.0.1/tcp/1".to_owned(), Scope::Private),
            ("/ip4/172.31.255.255/tcp/1".to_owned(), Scope::Private),
            ("/ip4/172.32.0.0/tcp/1".to_owned(), Scope::Public),
            ("/ip4/192.168.1.1/tcp/1".to_owned(), Scope::Private),
            ("/ip4/169.254.1.1/tcp/1".to_owned(), Scope::Private),
            ("/ip4/100.64.0.1/tcp/1".to_owned(), Scope::Private),
            ("/ip4/100.128.0.1/tcp/1".to_owned(), Scope::Public),
            ("/ip6/fd00::1/tcp/1".to_owned(), Scope::Private),
            ("/ip6/fe80::1/tcp/1".to_owned(), Scope::Unusable),
            ("/ip6/::ffff:10.0.0.1/tcp/1".to_owned(), Scope::Private),
            ("/ip6/::ffff:127.0.0.1/tcp/1".to_owned(), Scope::Loopback),
            ("/ip4/127.1.2.3/tcp/1".to_owned(), Scope::Loopback),
            ("/ip6/::1/tcp/1".to_owned(), Scope::Loopback),
            ("/ip4/0.0.0.0/tcp/1".to_owned(), Scope::Unusable),
            ("/ip4/0.1.2.3/tcp/1".to_owned(), Scope::Unusable),
            ("/ip6/::/tcp/1".to_owned(), Scope::Unusable),
            ("/ip4/224.0.0.251/udp/5353".to_owned(), Scope::Unusable),
            ("/ip4/255.255.255.255/udp/1".to_owned(), Scope::Unusable),
            ("/ip6/ff02::1/udp/1".to_owned(), Scope::Unusable),
            ("/dns4/relay.example/tcp/1".to_owned(), Scope::Dns),
            ("/dnsaddr/relay.example".to_owned(), Scope::Dns),
            ("/memory/7".to_owned(), Scope::Memory),
            ("/p2p-circuit".to_owned(), Scope::Unusable),
            (String::new(), Scope::Unusable),
            (format!("/ip4/192.168.1.1/tcp/1{relay}"), Scope::Private),
            (format!("/ip4/203.0.113.7/tcp/1{relay}"), Scope::Public),
        ];
        for (address, scope) in table {
            let parsed: Multiaddr = address.parse().unwrap();
            assert_eq!(Scope::of(&parsed), scope, "{address}");
            let open = matches!(scope, Scope::Public | Scope::Memory);
            assert_eq!(NONE.dials(&parsed), open, "{address}");
            assert_eq!(NONE.tells(&parsed), open || scope == Scope::Dns, "{address}");
            assert_eq!(ALL.dials(&parsed), scope != Scope::Unusable, "{address}");
            assert_eq!(ALL.tells(&parsed), scope != Scope::Unusable, "{address}");
        }
    }

    #[test]
    fn private_and_loopback_are_permitted_separately() {
        let private: Multiaddr = "/ip4/10.0.0.1/tcp/1".parse().unwrap();
        let loopback: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let policy = AddressPolicy { private: true, ..NONE };
        assert!(policy.dials(&private) && !policy.dials(&loopback));
        let policy = AddressPolicy { loopback: true, ..NONE };
        assert!(!policy.dials(&private) && policy.dials(&loopback));
    }
}
