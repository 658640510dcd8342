//! Servers that are named while the network runs.

use libp2p::{Multiaddr, PeerId};

use crate::address::{named_peer, without_peer};

/// Addresses of servers of one kind that are used; further ones are left out.
pub(crate) const LATER_ADDRESSES: usize = 16;

/// A server with all of its addresses, without the peer at their end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) peer: PeerId,
    pub(crate) addresses: Vec<Multiaddr>,
}

impl Server {
    /// The servers that addresses name, each once. Addresses that name no peer are left out.
    pub(crate) fn each(addresses: impl IntoIterator<Item = Multiaddr>) -> Vec<Self> {
        let mut servers: Vec<Self> = Vec::new();
        for address in addresses.into_iter().take(LATER_ADDRESSES) {
            let Some(peer) = named_peer(&address) else { continue };
            let address = without_peer(address);
            match servers.iter_mut().find(|server| server.peer == peer) {
                Some(server) => server.addresses.push(address),
                None => servers.push(Self { peer, addresses: vec![address] }),
            }
        }
        servers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_put_together_by_peer_and_bounded() {
        let (one, other) = (PeerId::random(), PeerId::random());
        let address =
            |port: usize, peer| -> Multiaddr { format!("/ip4/203.0.113.1/tcp/{port}/p2p/{peer}").parse().unwrap() };
        let nameless: Multiaddr = "/ip4/203.0.113.1/tcp/1".parse().unwrap();
        let servers = Server::each([address(1, one), nameless, address(2, other), address(3, one)]);
        assert_eq!(servers.iter().map(|server| server.addresses.len()).collect::<Vec<_>>(), [2, 1]);
        let most = Server::each((0..=LATER_ADDRESSES).map(|port| address(port, one)));
        assert_eq!(most[0].addresses.len(), LATER_ADDRESSES);
    }
}
