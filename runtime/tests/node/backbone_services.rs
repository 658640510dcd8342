//! The relay and the rendezvous server of the backbone.

use std::time::Duration;

use backbone_mock::PeerServices;
use backbone_mock::fault::{Fault, Matching};
use runtime::{Config, DEFAULT_CODE_LIFETIME, PeerConfig, Runtime, dto, receive_code};
use serde_json::json;

use crate::world::{World, own_token};

/// After this long a test has hung.
const PATIENCE: Duration = Duration::from_secs(60);

async fn world() -> World {
    let services = PeerServices::new(vec!["/ip4/127.0.0.1/tcp/0".to_owned()]);
    World::with(|config| config.peers = Some(services)).await
}

/// Listens nowhere, and dials nothing on this machine that somebody hints at.
fn hidden() -> PeerConfig {
    PeerConfig { listen: Vec::new(), mdns: false, ..PeerConfig::default() }
}

async fn node(world: &World, name: &str, peers: PeerConfig) -> Runtime {
    world.start(Config { peers: Some(peers), ..world.config(name) }).await.unwrap()
}

async fn until(node: &Runtime, holds: impl Fn(&dto::Connectivity) -> bool) {
    let holds = async {
        while !holds(&node.peers().connectivity().unwrap()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, holds).await.expect("it takes no minute");
}

fn is_reachable(connectivity: &dto::Connectivity) -> bool {
    connectivity.relays.iter().any(|relay| relay.is_reserved) && !connectivity.addresses.is_empty()
}

#[tokio::test]
async fn nodes_that_listen_nowhere_reach_each_other_by_the_relay_of_their_backbone() {
    let world = world().await;
    let reachable = PeerConfig { loopback_addresses: true, ..hidden() };
    let (alice, bob) = (node(&world, "alice", reachable.clone()).await, node(&world, "bob", reachable).await);
    until(&alice, is_reachable).await;
    let told = alice.peers().connectivity().unwrap();
    assert!(told.addresses.iter().all(|address| address.contains("/p2p-circuit")), "{:?}", told.addresses);
    assert_eq!(told.rendezvous.len(), 1);
    let seen = bob.peers().connect(&told.id, &told.addresses).await.unwrap();
    assert_eq!(
        (seen.path.name(), seen.address),
        ("relayed", Some(alice.account().identity_info().await.unwrap().address))
    );
    alice.shutdown().await.unwrap();
    bob.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_backbone_that_does_not_say_it_delays_no_start_and_is_asked_again() {
    let world = world().await;
    world.faults.inject(Matching::path("/PeerServices").times(1), Fault::DropBefore);
    let alice = node(&world, "alice", hidden()).await;
    assert!(alice.peers().connectivity().unwrap().relays.is_empty());
    until(&alice, |connectivity| !connectivity.relays.is_empty()).await;
    alice.shutdown().await.unwrap();
}

#[tokio::test]
async fn services_of_the_backbone_are_not_asked_for_if_the_settings_say_so() {
    let world = world().await;
    let alice = node(&world, "alice", PeerConfig { backbone_services: false, ..hidden() }).await;
    let without = node(&world, "bob", PeerConfig { relaying: false, ..hidden() }).await;
    until(&without, |connectivity| connectivity.rendezvous.len() == 1).await;
    assert!(without.peers().connectivity().unwrap().relays.is_empty());
    assert!(alice.peers().connectivity().unwrap().rendezvous.is_empty());
    alice.shutdown().await.unwrap();
    without.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_code_is_found_at_the_backbone_by_who_has_no_node() {
    let world = world().await;
    let reachable = PeerConfig { loopback_addresses: true, ..hidden() };
    let alice = node(&world, "alice", reachable.clone()).await;
    let token = alice.tokens().create_own_token(own_token(json!({ "a": 1 }), world.at(3600))).await.unwrap();
    let reference = token.reference.url;
    let mut offered = alice.peers().offer_code(&reference, DEFAULT_CODE_LIFETIME).unwrap();
    let meeting = reachable.with_services_of(&world.config("bob").backbone).await.unwrap();
    assert_eq!((meeting.relays.len(), meeting.rendezvous.len()), (1, 1));
    let (text, _) = receive_code(meeting, offered.text(), world.clock.clone()).await.unwrap();
    assert_eq!(text, reference);
    offered.taken().await;
    alice.shutdown().await.unwrap();
}
