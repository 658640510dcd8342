//! Where peers connect: a multiaddr with an IP address, TCP or QUIC, and a port. Which of them a start without addresses of its
//! own takes.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::str::FromStr;

/// Ports of the last start, by [`ListenAddress::kind`].
pub(crate) type PeerPorts = BTreeMap<String, u16>;

/// An address where peers connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListenAddress {
    ip: IpAddr,
    transport: Transport,
    port: u16,
}

/// How bytes are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Tcp,
    Quic,
}

impl ListenAddress {
    /// All interfaces, at ports that the system chooses.
    pub(crate) fn everywhere() -> Vec<Self> {
        Self::of_both(Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED)
    }

    /// This machine only.
    pub(crate) fn loopback() -> Vec<Self> {
        Self::of_both(Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST)
    }

    fn of_both(v4: Ipv4Addr, v6: Ipv6Addr) -> Vec<Self> {
        let ips = [IpAddr::from(v4), v6.into()];
        let transports = [Transport::Tcp, Transport::Quic];
        transports.iter().flat_map(|transport| ips.map(|ip| Self { ip, transport: *transport, port: 0 })).collect()
    }

    /// Reads `/ip4/IP/tcp/PORT`, `/ip4/IP/udp/PORT/quic-v1`, and the same with `ip6`.
    ///
    /// # Errors
    /// A text for the command line's error.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        Self::read(text).ok_or_else(|| {
            format!("{text:?} is not an address such as /ip4/0.0.0.0/tcp/4712 or /ip6/::/udp/4712/quic-v1")
        })
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix('/')?.split('/');
        let ip = match (parts.next()?, parts.next()?) {
            ("ip4", ip) => Ipv4Addr::from_str(ip).ok()?.into(),
            ("ip6", ip) => Ipv6Addr::from_str(ip).ok()?.into(),
            _ => return None,
        };
        let (carrier, port) = (parts.next()?, parts.next()?.parse().ok()?);
        let transport = match (carrier, parts.next()) {
            ("tcp", None) => Transport::Tcp,
            ("udp", Some("quic-v1")) => Transport::Quic,
            _ => return None,
        };
        parts.next().is_none().then_some(Self { ip, transport, port })
    }

    /// `ip4/tcp`, `ip6/udp/quic-v1`, …: addresses of a kind have one port at most.
    fn kind(&self) -> String {
        let version = if self.ip.is_ipv4() { "ip4" } else { "ip6" };
        match self.transport {
            Transport::Tcp => format!("{version}/tcp"),
            Transport::Quic => format!("{version}/udp/quic-v1"),
        }
    }

    /// Whether only this machine reaches it.
    pub(crate) fn is_loopback(&self) -> bool {
        self.ip.is_loopback()
    }

    /// Whether nobody else has it now.
    fn is_free(&self) -> bool {
        let address = SocketAddr::new(self.ip, self.port);
        match self.transport {
            Transport::Tcp => TcpListener::bind(address).is_ok(),
            Transport::Quic => UdpSocket::bind(address).is_ok(),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = if self.ip.is_ipv4() { "ip4" } else { "ip6" };
        match self.transport {
            Transport::Tcp => write!(f, "/{version}/{}/tcp/{}", self.ip, self.port),
            Transport::Quic => write!(f, "/{version}/{}/udp/{}/quic-v1", self.ip, self.port),
        }
    }
}

/// The addresses to listen on if nothing was said: each at the port of the last start, so that references stay right, else at one
/// that the system chooses. One that this machine does not have, such as IPv6, is left out.
pub(crate) fn available(addresses: &[ListenAddress], remembered: &PeerPorts) -> Vec<ListenAddress> {
    choose(addresses, remembered, ListenAddress::is_free)
}

fn choose(
    addresses: &[ListenAddress],
    remembered: &PeerPorts,
    is_free: impl Fn(&ListenAddress) -> bool,
) -> Vec<ListenAddress> {
    let choice = |address: &ListenAddress| {
        let port = remembered.get(&address.kind()).copied().filter(|port| *port != 0);
        let known = port.map(|port| ListenAddress { port, ..*address });
        known.into_iter().chain([*address]).find(&is_free)
    };
    addresses.iter().filter_map(choice).collect()
}

/// The ports of addresses at which a node listens now. What is not of this form, such as the address of a relay, has none.
pub(crate) fn ports(listening: &[String]) -> PeerPorts {
    let addresses = listening.iter().filter_map(|text| ListenAddress::read(text));
    addresses.map(|address| (address.kind(), address.port)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> ListenAddress {
        ListenAddress::parse(text).unwrap()
    }

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for text in
            ["/ip4/0.0.0.0/tcp/0", "/ip4/127.0.0.1/udp/4712/quic-v1", "/ip6/::/tcp/65535", "/ip6/fe80::1/udp/0/quic-v1"]
        {
            assert_eq!(address(text).to_string(), text);
            assert_eq!(address(&format!(" {text}\n")).to_string(), text);
        }
        for text in [
            "",
            "/",
            "127.0.0.1:80",
            "/ip4/127.0.0.1",
            "/ip4/127.0.0.1/tcp",
            "/ip4/127.0.0.1/tcp/65536",
            "/ip4/127.0.0.1/tcp/-1",
            "/ip4/::1/tcp/0",
            "/ip6/127.0.0.1/tcp/0",
            "/ip4/127.0.0.1/udp/0",
            "/ip4/127.0.0.1/tcp/0/ws",
            "/ip4/127.0.0.1/tcp/0/",
            "/ip4/127.0.0.1/udp/0/quic-v1/p2p/x",
            "/dns4/localhost/tcp/0",
            "/memory/1",
        ] {
            assert!(ListenAddress::parse(text).unwrap_err().contains("such as /ip4/0.0.0.0/tcp/4712"), "{text}");
        }
    }

    #[test]
    fn a_start_takes_the_ports_of_the_last_one_that_are_free() {
        let remembered = ports(
            &["/ip4/192.168.1.2/tcp/7", "/ip6/::1/tcp/8", "/ip4/10.0.0.1/udp/9/quic-v1", "/p2p/x"].map(str::to_owned),
        );
        let chosen = |is_free: &dyn Fn(&ListenAddress) -> bool| {
            let chosen = choose(&ListenAddress::everywhere(), &remembered, is_free);
            chosen.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            chosen(&|_| true),
            ["/ip4/0.0.0.0/tcp/7", "/ip6/::/tcp/8", "/ip4/0.0.0.0/udp/9/quic-v1", "/ip6/::/udp/0/quic-v1"]
        );
        // Another program has one of them, and there is no IPv6.
        assert_eq!(
            chosen(&|address| address.ip.is_ipv4() && address.port != 7),
            ["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/9/quic-v1"]
        );
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_not_free() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let address = |port| ListenAddress { ip: Ipv4Addr::LOCALHOST.into(), transport: Transport::Tcp, port };
        assert!(!address(port).is_free() && address(0).is_free());
        let remembered = PeerPorts::from([("ip4/tcp".to_owned(), port)]);
        assert_eq!(available(&[address(0)], &remembered), [address(0)]);
    }
}
