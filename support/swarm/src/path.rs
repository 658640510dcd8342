//! How a connection gets to the other peer.

use std::sync::atomic::{AtomicU8, Ordering};

use libp2p::Multiaddr;

use crate::address::{self, Scope};
use crate::interfaces::Interfaces;

/// How a connection gets to the other peer, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PathKind {
    /// Within this host or the local network.
    Lan,
    /// Straight to an address of the peer.
    Direct,
    /// Straight, through holes that both sides punched in their NATs.
    Punched,
    /// Through a relay.
    Relayed,
}

impl PathKind {
    /// The kind of a connection with this remote address, before anything is known about hole punching.
    pub(crate) fn classify(remote: &Multiaddr, interfaces: &Interfaces) -> Self {
        if address::is_relayed(remote) {
            return Self::Relayed;
        }
        match Scope::of(remote) {
            Scope::Loopback | Scope::Memory => Self::Lan,
            // Shared address space (RFC 6598) is behind the NAT of a provider: private, yet not this network.
            Scope::Private if !address::ip(remote).is_some_and(is_shared) => Self::Lan,
            _ if address::ip(remote).is_some_and(|ip| is_link_local(ip) || interfaces.reach(ip)) => Self::Lan,
            _ => Self::Direct,
        }
    }

    /// The word for it in interfaces: `lan`, `direct`, `punched`, `relayed`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Direct => "direct",
            Self::Punched => "punched",
            Self::Relayed => "relayed",
        }
    }
}

fn is_link_local(ip: std::net::IpAddr) -> bool {
    matches!(ip, std::net::IpAddr::V6(ip) if ip.is_unicast_link_local())
}

fn is_shared(ip: std::net::IpAddr) -> bool {
    matches!(ip, std::net::IpAddr::V4(ip) if ip.octets()[0] == 100)
}

impl std::fmt::Display for PathKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The path of a connection, which can turn out to be another one.
#[derive(Debug)]
pub(crate) struct Path(AtomicU8);

impl Path {
    pub(crate) fn new(kind: PathKind) -> Self {
        Self(AtomicU8::new(kind as u8))
    }

    pub(crate) fn kind(&self) -> PathKind {
        match self.0.load(Ordering::Relaxed) {
            0 => PathKind::Lan,
            1 => PathKind::Direct,
            2 => PathKind::Punched,
            _ => PathKind::Relayed,
        }
    }

    /// Sets the kind; whether it was another one before.
    pub(crate) fn change(&self, kind: PathKind) -> bool {
        self.0.swap(kind as u8, Ordering::Relaxed) != kind as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remote_address_tells_the_path() {
        let interfaces = Interfaces::default();
        interfaces.replace(vec!["198.51.100.0/24".parse().unwrap(), "2001:db8:1::/64".parse().unwrap()]);
        let circuit = "/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp/p2p-circuit";
        let table = [
            ("/ip4/127.0.0.1/tcp/1".to_owned(), PathKind::Lan),
            ("/ip6/::1/tcp/1".to_owned(), PathKind::Lan),
            ("/ip4/192.168.7.7/udp/1/quic-v1".to_owned(), PathKind::Lan),
            ("/ip4/10.1.1.1/tcp/1".to_owned(), PathKind::Lan),
            ("/ip4/169.254.3.4/tcp/1".to_owned(), PathKind::Lan),
            ("/ip6/fe80::3/tcp/1".to_owned(), PathKind::Lan),
            ("/ip6/fd12::3/tcp/1".to_owned(), PathKind::Lan),
            ("/memory/3".to_owned(), PathKind::Lan),
            ("/ip4/198.51.100.9/tcp/1".to_owned(), PathKind::Lan),
            ("/ip4/198.51.101.9/tcp/1".to_owned(), PathKind::Direct),
            ("/ip6/2001:db8:1::9/tcp/1".to_owned(), PathKind::Lan),
            ("/ip6/2001:db8:2::9/tcp/1".to_owned(), PathKind::Direct),
            ("/ip4/100.64.0.1/tcp/1".to_owned(), PathKind::Direct),
            ("/ip4/203.0.113.1/tcp/1".to_owned(), PathKind::Direct),
            (format!("/ip4/127.0.0.1/tcp/1{circuit}"), PathKind::Relayed),
            (format!("/ip4/203.0.113.1/tcp/1{circuit}"), PathKind::Relayed),
            ("/p2p-circuit".to_owned(), PathKind::Relayed),
        ];
        for (address, kind) in table {
            assert_eq!(PathKind::classify(&address.parse().unwrap(), &interfaces), kind, "{address}");
        }
    }

    #[test]
    fn a_path_remembers_each_kind_and_tells_changes() {
        let path = Path::new(PathKind::Lan);
        for kind in [PathKind::Direct, PathKind::Punched, PathKind::Relayed, PathKind::Lan] {
            assert!(path.change(kind));
            assert!(!path.change(kind));
            assert_eq!(path.kind(), kind);
        }
        assert!(
            PathKind::Lan < PathKind::Direct
                && PathKind::Direct < PathKind::Punched
                && PathKind::Punched < PathKind::Relayed
        );
    }
}
