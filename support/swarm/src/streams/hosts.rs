//! How many inbound streams each host has open.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use libp2p::Multiaddr;

use crate::address;
use crate::limits::Limits;

/// Which part of all inbound streams one host may have open, since a host has as many peer ids as it likes.
const PART_OF_HOST: usize = 4;

/// The most inbound streams of one host at a time. What one connection may have always fits.
fn most(limits: &Limits) -> usize {
    (limits.inbound_streams / PART_OF_HOST).max(limits.inbound_streams_per_connection)
}

/// Counts the inbound streams of hosts; a host without any takes no memory.
#[derive(Debug)]
pub(super) struct Hosts {
    most: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// The place of an inbound stream among those of its host, until it is dropped.
#[derive(Debug)]
pub(crate) struct HostPlace {
    hosts: Arc<Hosts>,
    /// None if the address has no host that could be counted, for example within this process.
    host: Option<IpAddr>,
}

impl Hosts {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { most: most(limits), open: Mutex::default() }
    }

    /// A place for one more stream on a connection to `address`, if its host has not reached the bound. Peers behind a relay share the places of the
    /// host of the relay.
    pub(super) fn place(self: &Arc<Self>, address: &Multiaddr) -> Option<HostPlace> {
        let host = address::host(address);
        if let Some(host) = host {
            let mut open = self.lock();
            let count = open.get(&host).copied().unwrap_or(0);
            if count >= self.most {
                return None;
            }
            open.insert(host, count + 1);
        }
        Some(HostPlace { hosts: Arc::clone(self), host })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for HostPlace {
    fn drop(&mut self) {
        let Some(host) = self.host else { return };
        let mut open = self.hosts.lock();
        match open.get_mut(&host) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(open.remove(&host)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_host_has_a_quarter_of_the_streams_whatever_its_ports_and_peers() {
        let hosts = Arc::new(Hosts::new(&Limits::default()));
        let mut places: Vec<_> = (1..=Limits::default().inbound_streams / 4)
            .map(|port| hosts.place(&address(&format!("/ip4/203.0.113.1/tcp/{port}"))).unwrap())
            .collect();
        let circuit = "/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp/p2p-circuit";
        for more in ["/ip4/203.0.113.1/udp/1/quic-v1", "/ip6/::ffff:203.0.113.1/tcp/1"] {
            assert!(hosts.place(&address(more)).is_none());
            assert!(hosts.place(&address(&format!("{more}{circuit}"))).is_none());
        }
        let other = hosts.place(&address("/ip4/203.0.113.2/tcp/1")).unwrap();
        places.pop();
        places.push(hosts.place(&address("/ip4/203.0.113.1/tcp/1")).unwrap());
        assert!(hosts.place(&address("/ip4/203.0.113.1/tcp/1")).is_none());
        drop((places, other));
        assert!(hosts.lock().is_empty());
    }

    #[test]
    fn a_host_is_a_network_of_64_bits_and_memory_is_none() {
        let hosts = Arc::new(Hosts::new(&Limits {
            inbound_streams: 4,
            inbound_streams_per_connection: 1,
            ..Limits::default()
        }));
        let _first = hosts.place(&address("/ip6/2001:db8::1/tcp/1")).unwrap();
        assert!(hosts.place(&address("/ip6/2001:db8::2/tcp/1")).is_none());
        let _other = hosts.place(&address("/ip6/2001:db8:0:1::1/tcp/1")).unwrap();
        let _own = hosts.place(&address("/ip4/127.0.0.1/tcp/1")).unwrap();
        assert!(hosts.place(&address("/ip4/127.0.0.1/tcp/2")).is_none());
        let memory: Vec<_> = (0..8).filter_map(|_| hosts.place(&address("/memory/1"))).collect();
        assert_eq!(memory.len(), 8);
    }

    #[test]
    fn what_one_connection_may_have_fits() {
        let hosts = Arc::new(Hosts::new(&Limits { inbound_streams: 16, ..Limits::default() }));
        let places: Vec<_> = (0..17).filter_map(|_| hosts.place(&address("/ip4/203.0.113.1/tcp/1"))).collect();
        assert_eq!(places.len(), Limits::default().inbound_streams_per_connection);
    }
}
