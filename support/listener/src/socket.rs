//! Listening, on loopback at both of its addresses.
//!
//! Clients that are told `localhost` choose between 127.0.0.1 and ::1 themselves. If only one of them were ours, another
//! user of the machine could listen on the other and be sent the clients' logins and keys.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Free ports that are tried until one is free on both loopback addresses. Each is taken on the other one by chance only,
/// so more than a few in a row mean that somebody takes them on purpose.
const FREE_PORT_ATTEMPTS: usize = 16;

/// Connections that wait to be accepted; the operating system may allow fewer. One that finds no room there has to try again, and does so
/// after seconds only.
const BACKLOG: u32 = 4096;

/// Accepts connections at one address, and at the same port of the other loopback address if it is one.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    asked: TcpListener,
    other: Option<TcpListener>,
}

/// Nothing can listen at an address.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}; choose another address, or port 0 for a free one")]
pub struct ListenError {
    /// The address: the one that was asked for, or the other loopback address with the same port.
    pub address: SocketAddr,
    /// What the operating system says.
    pub source: io::Error,
}

impl Listener {
    /// Listens at an address. 127.0.0.1 and ::1 come together, if the machine has both, and 0.0.0.0 comes with ::1. Port 0
    /// takes a free one.
    ///
    /// # Errors
    /// [`ListenError`] if an address is taken or not ours, also if it is the other loopback address.
    pub async fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let attempts = if address.port() == 0 { FREE_PORT_ATTEMPTS } else { 1 };
        let mut outcome = Self::bind_once(address);
        for _ in 1..attempts {
            match &outcome {
                Err(error) if error.source.kind() == io::ErrorKind::AddrInUse => {}
                _ => break,
            }
            outcome = Self::bind_once(address);
        }
        outcome
    }

    fn bind_once(address: SocketAddr) -> Result<Self, ListenError> {
        let at = |address| move |source| ListenError { address, source };
        let asked = listen(address).map_err(at(address))?;
        let bound = asked.local_addr().map_err(at(address))?;
        let other = match companion(bound.ip()) {
            Some(ip) => listen_also(SocketAddr::new(ip, bound.port()))?,
            None => None,
        };
        Ok(Self { address: bound, asked, other })
    }

    /// The address that was asked for, with the port that was taken.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The next connection. Cancel-safe: a connection that is not accepted yet stays in the backlog.
    ///
    /// # Errors
    /// What the operating system says, for instance that there are too many open files.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        match &self.other {
            None => self.asked.accept().await,
            Some(other) => tokio::select! {
                accepted = self.asked.accept() => accepted,
                accepted = other.accept() => accepted,
            },
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As the standard library does: a port whose last connections are about to end is free, but on Windows another program could
    // take it over.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Listens at the other loopback address, if the machine has it.
fn listen_also(address: SocketAddr) -> Result<Option<TcpListener>, ListenError> {
    match listen(address) {
        Ok(other) => Ok(Some(other)),
        Err(error) if is_absent(address.ip(), &error) => Ok(None),
        Err(source) => Err(ListenError { address, source }),
    }
}

/// Whether `localhost` may stand for this address.
#[must_use]
pub fn is_localhost(ip: IpAddr) -> bool {
    ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST
}

/// The loopback address that an address leaves to others. `[::]` leaves none: systems take it for all IPv4 addresses, too.
fn companion(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(Ipv4Addr::LOCALHOST | Ipv4Addr::UNSPECIFIED) => Some(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::LOCALHOST) => Some(Ipv4Addr::LOCALHOST.into()),
        _ => None,
    }
}

/// Whether the machine does not have the address at all, so that nobody else can listen there either. Any other error, of a
/// process that has no descriptors left for instance, leaves the address to others.
fn is_absent(ip: IpAddr, error: &io::Error) -> bool {
    let says_so = |error: &io::Error| error.kind() == io::ErrorKind::AddrNotAvailable || lacks_family(error);
    says_so(error) && UdpSocket::bind((ip, 0)).is_err_and(|error| says_so(&error))
}

/// Whether the system has no sockets of this address family. The standard library has a kind for some systems only.
fn lacks_family(error: &io::Error) -> bool {
    #[cfg(unix)]
    const NUMBER: Option<i32> = Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
    /// `WSAEAFNOSUPPORT`.
    #[cfg(not(unix))]
    const NUMBER: Option<i32> = Some(10047);
    error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == NUMBER
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether this machine has both loopback addresses. Continuous integration has.
    fn has_ipv6() -> bool {
        let has = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        if !has {
            let reason = "there is no IPv6 loopback address; run: sysctl net.ipv6.conf.lo.disable_ipv6=0";
            assert!(std::env::var_os("CI").is_none(), "a check that does not run has not passed: {reason}");
            // Past the capture of test output: a skipped test must be seen.
            io::Write::write_all(&mut io::stderr(), format!("skipped: {reason}\n").as_bytes()).unwrap();
        }
        has
    }

    #[tokio::test]
    async fn both_loopback_addresses_lead_to_one_listener() {
        for ip in [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into(), Ipv4Addr::UNSPECIFIED.into()] {
            let ip: IpAddr = ip;
            if ip.is_ipv6() && !has_ipv6() {
                continue;
            }
            let listener = Listener::bind((ip, 0).into()).await.unwrap();
            let address = listener.local_addr();
            assert_eq!(address.ip(), ip);
            let other = companion(ip).filter(|ip| ip.is_ipv4() || has_ipv6());
            for ip in [Some(ip), other].into_iter().flatten() {
                let client = TcpStream::connect((ip, address.port())).await.unwrap();
                assert_eq!(listener.accept().await.unwrap().1, client.local_addr().unwrap());
            }
        }
    }

    #[tokio::test]
    async fn a_port_that_somebody_has_at_the_other_address_is_refused_by_that_address() {
        if !has_ipv6() {
            return;
        }
        let squatter = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        let taken = squatter.local_addr().unwrap();
        let error = Listener::bind((Ipv4Addr::LOCALHOST, taken.port()).into()).await.unwrap_err();
        assert_eq!((error.address, error.source.kind()), (taken, io::ErrorKind::AddrInUse));
    }

    #[test]
    fn only_an_address_that_the_machine_lacks_is_absent() {
        let absent: IpAddr = "2001:db8::1".parse().unwrap();
        let missing = UdpSocket::bind((absent, 0)).unwrap_err();
        assert!(is_absent(absent, &missing), "{missing}");
        for kind in [io::ErrorKind::AddrInUse, io::ErrorKind::PermissionDenied, io::ErrorKind::OutOfMemory] {
            assert!(!is_absent(absent, &kind.into()), "{kind}");
        }
        #[cfg(unix)]
        for errno in [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE] {
            assert!(!is_absent(absent, &errno.into()), "{errno}");
        }
        // It is there, whatever was said of another attempt.
        assert!(!is_absent(Ipv4Addr::LOCALHOST.into(), &missing));
    }

    #[tokio::test]
    async fn an_address_that_is_not_loopback_stands_alone() {
        if !has_ipv6() {
            return;
        }
        let listener = Listener::bind((Ipv6Addr::UNSPECIFIED, 0).into()).await.unwrap();
        assert!(listener.other.is_none());
    }
}
