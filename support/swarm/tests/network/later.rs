//! Relays and rendezvous servers that are named while the network runs.

use std::time::Duration;

use swarm::{
    AddressPolicy, Config, Discovery, Event, Network, RelayLimits, RendezvousError, RendezvousLimits, Services,
};

use crate::support::*;

const MINUTE: Duration = Duration::from_secs(60);

fn server(seed: u8) -> Config {
    let (relay, rendezvous) = (Some(RelayLimits::default()), Some(RendezvousLimits::default()));
    Config { services: Services { relay, rendezvous, dial_back: false }, ..config(seed, &[TCP]) }
}

/// Knows no server yet, and dials no address of this machine that others hint at.
fn client(seed: u8) -> Config {
    Config {
        discovery: Discovery { servers_later: true, ..Discovery::default() },
        addresses: AddressPolicy::default(),
        ..config(seed, &[])
    }
}

fn relays(network: &Network) -> Vec<bool> {
    network.reachability().relays.iter().map(|relay| relay.reserved).collect()
}

#[tokio::test]
async fn a_relay_is_used_from_when_it_is_named_until_another_one_is() {
    let (first, _keep) = start(server(8)).await;
    let (second, _keep) = start(server(9)).await;
    let (alice, _keep) = start(client(1)).await;
    assert!(relays(&alice).is_empty());
    alice.use_servers(full_addresses(&first), Vec::new()).await;
    until(|| first.relay_metrics().reservations == 1).await;
    until(|| relays(&alice) == [true]).await;
    alice.use_servers(full_addresses(&first), Vec::new()).await;
    alice.use_servers(full_addresses(&second), Vec::new()).await;
    until(|| second.relay_metrics().reservations == 1).await;
    assert_eq!(first.relay_metrics().reservations_accepted, 1, "what is named again stays as it is");
    let through = |relay: &Network| {
        let id = relay.local_peer().to_string();
        alice.listen_addresses().iter().any(|address| address.to_string().contains(&id))
    };
    until(|| through(&second) && !through(&first)).await;
    alice.use_servers(Vec::new(), Vec::new()).await;
    until(|| relays(&alice).is_empty() && alice.listen_addresses().is_empty()).await;
}

#[tokio::test]
async fn what_was_registered_before_is_registered_at_a_server_that_is_named_later() {
    let (server, _keep) = start(server(9)).await;
    let told = AddressPolicy { loopback: true, ..AddressPolicy::default() };
    let (alice, _keep) = start(Config { listen: config(1, &[TCP]).listen, addresses: told, ..client(1) }).await;
    let (bob, _keep) = start(Config { addresses: told, ..client(2) }).await;
    assert!(matches!(soon(alice.register("a place", MINUTE)).await, Err(RendezvousError::NoServer)));
    for network in [&alice, &bob] {
        network.use_servers(Vec::new(), full_addresses(&server)).await;
    }
    soon(async { while !bob.discover("a place").await.is_ok_and(|found| found.len() == 1) {} }).await;
    assert!(bob.reachability().rendezvous[0].connected);
    soon(alice.unregister("a place")).await;
    soon(async { while !bob.discover("a place").await.is_ok_and(|found| found.is_empty()) {} }).await;
    bob.use_servers(Vec::new(), Vec::new()).await;
    assert!(matches!(soon(bob.discover("a place")).await, Err(RendezvousError::NoServer)));
}

#[tokio::test]
async fn only_servers_that_are_named_may_be_dialled_against_the_policy() {
    let (server, _keep) = start(server(9)).await;
    let (alice, _keep) = start(client(1)).await;
    let dial = async || soon(alice.connect(server.local_peer(), server.listen_addresses())).await;
    assert!(dial().await.is_err());
    alice.use_servers(Vec::new(), full_addresses(&server)).await;
    dial().await.unwrap().close();
    alice.use_servers(Vec::new(), Vec::new()).await;
    until(|| alice.connections().is_empty()).await;
    assert!(dial().await.is_err());
}

#[tokio::test]
async fn a_relay_that_is_lost_is_told() {
    let (server, _keep) = start(server(9)).await;
    let (alice, _keep) = start(client(1)).await;
    alice.use_servers(full_addresses(&server), Vec::new()).await;
    until(|| relays(&alice) == [true]).await;
    let mut events = alice.subscribe();
    soon(server.shutdown()).await;
    let lost = event(&mut events, |event| match event {
        Event::Relay(relay) if !relay.reserved => Some(relay.peer),
        _ => None,
    });
    assert_eq!(lost.await, server.local_peer());
}
