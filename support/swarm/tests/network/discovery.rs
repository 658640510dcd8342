//! Finding peers in a hash table and in the local network.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

use swarm::{AddressPolicy, Config, Dht, DiscoveredBy, Discovery, Event, Multiaddr, Network, StartError};

use crate::support::*;

fn in_table(seed: u8, bootstrap: Vec<Multiaddr>) -> Config {
    let dht = Dht { protocol: "/test/kad/1".into(), bootstrap, server: true };
    Config { discovery: Discovery { dht: Some(dht), ..Discovery::default() }, ..config(seed, &[TCP]) }
}

#[tokio::test]
async fn a_peer_is_found_through_a_third_one() {
    let (third, _keep) = start(in_table(9, Vec::new())).await;
    let (alice, _keep) = start(in_table(1, full_addresses(&third))).await;
    let (bob, _keep) = start(in_table(2, full_addresses(&third))).await;
    let mut events = bob.subscribe();
    soon(async { while bob.find_peer(alice.local_peer()).await != alice.listen_addresses() {} }).await;
    let told = event(&mut events, |event| match event {
        Event::Discovered { peer, addresses, by: DiscoveredBy::Dht } => Some((*peer, addresses.clone())),
        _ => None,
    });
    assert_eq!(told.await, (alice.local_peer(), alice.listen_addresses()));
    assert!(bob.reachability().dht);
    let connection = soon(bob.connect(alice.local_peer(), alice.listen_addresses())).await.unwrap();
    assert_eq!(connection.peer(), alice.local_peer());
}

#[tokio::test]
async fn who_is_unknown_is_not_found() {
    let (third, _keep) = start(in_table(9, Vec::new())).await;
    let (alice, _keep) = start(in_table(1, full_addresses(&third))).await;
    assert!(soon(alice.find_peer(swarm::PeerId::random())).await.is_empty());
    let (bob, _keep) = start(config(2, &[TCP])).await;
    assert!(soon(bob.find_peer(alice.local_peer())).await.is_empty());
}

#[tokio::test]
async fn addresses_of_the_configuration_name_peers() {
    let address: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
    let discovery = Discovery::default;
    for discovery in [
        Discovery { relays: vec![address.clone()], ..discovery() },
        Discovery { rendezvous: vec![address.clone()], ..discovery() },
        in_table(1, vec![address.clone()]).discovery,
    ] {
        let error = soon(Network::start(Config { discovery, ..config(1, &[]) })).await.unwrap_err();
        assert!(matches!(&error, StartError::NoPeer(named) if *named == address), "{error:?}");
    }
}

/// Reports a check that needs multicast and cannot be done on this machine.
///
/// # Panics
/// If the variable `ENLACE_MULTICAST` is set: the suite in network namespaces (`tests/network`) runs the check where it can be done.
fn skipped(reason: &impl std::fmt::Display) {
    assert!(std::env::var_os("ENLACE_MULTICAST").is_none(), "a check that does not run has not passed: {reason}");
    let line = format!("skipped: no multicast on this machine ({reason})\n");
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
}

#[tokio::test]
async fn a_peer_of_the_local_network_is_found_and_dialled_without_configuration() {
    if let Err(reason) = multicast() {
        return skipped(&reason);
    }
    let local = |seed: u8| {
        let discovery = Discovery { mdns: true, ..Discovery::default() };
        Config { discovery, addresses: AddressPolicy::default(), ..config(seed, &["/ip4/0.0.0.0/tcp/0"]) }
    };
    let (alice, _keep) = start(local(1)).await;
    let mut events = alice.subscribe();
    let (bob, _keep) = start(local(2)).await;
    let peer = bob.local_peer();
    let addresses = event(&mut events, |event| match event {
        Event::Discovered { peer: found, addresses, by: DiscoveredBy::Mdns } if *found == peer => {
            Some(addresses.clone())
        }
        _ => None,
    })
    .await;
    assert!(addresses.iter().all(|address| !address.to_string().contains("127.0.0.1")), "{addresses:?}");
    // Private addresses that somebody else names stay forbidden; those of the local network are dialled.
    let connection = soon(alice.connect(peer, addresses)).await.unwrap();
    assert_eq!(connection.peer(), peer);
    assert!(alice.dial_addresses().iter().all(|address| !address.to_string().contains("/ip4/10.")));
}

/// Whether an interface other than that of this host carries multicast.
fn multicast() -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    let group = Ipv4Addr::new(224, 0, 0, 250);
    let probe = UdpSocket::bind("0.0.0.0:0").map_err(failed)?;
    probe.connect("203.0.113.1:9").map_err(failed)?;
    let own = match probe.local_addr().map_err(failed)?.ip() {
        std::net::IpAddr::V4(ip) if !ip.is_loopback() => ip,
        other => return Err(format!("no interface besides {other}")),
    };
    let socket = UdpSocket::bind("0.0.0.0:0").map_err(failed)?;
    socket.join_multicast_v4(&group, &own).map_err(failed)?;
    socket.set_read_timeout(Some(Duration::from_secs(1))).map_err(failed)?;
    let port = socket.local_addr().map_err(failed)?.port();
    socket.send_to(b"here", (group, port)).map_err(failed)?;
    socket.recv_from(&mut [0; 8]).map(|_| ()).map_err(failed)
}
