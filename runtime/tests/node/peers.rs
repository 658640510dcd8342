//! Nodes that reach each other directly.

use runtime::facade::CreateOwnToken;
use runtime::{
    Address, CodeEnd, Config, DEFAULT_CODE_LIFETIME, ErrorCode, Event, PeerConfig, PeersError, Runtime, dto,
    receive_code_at,
};
use serde_json::json;

use crate::world::{World, own_token};

async fn node(world: &World, name: &str) -> Runtime {
    world.start(Config { peers: Some(PeerConfig::on_this_machine()), ..world.config(name) }).await.unwrap()
}

async fn connect(from: &Runtime, to: &Runtime) -> dto::Peer {
    let connectivity = to.peers().connectivity().unwrap();
    from.peers().connect(&connectivity.id, &connectivity.addresses).await.unwrap()
}

async fn identity(node: &Runtime) -> Address {
    node.account().identity_info().await.unwrap().address
}

#[tokio::test]
async fn nodes_prove_their_identities_to_each_other() {
    let world = World::new().await;
    let (alice, bob) = (node(&world, "alice").await, node(&world, "bob").await);
    let mut events = alice.events();
    let seen = connect(&bob, &alice).await;
    assert_eq!(seen.address, Some(identity(&alice).await));
    let connected = loop {
        if let Event::PeerConnected(peer) = events.recv().await.unwrap() {
            break peer;
        }
    };
    assert_eq!((connected.address.clone(), connected.is_inbound), (Some(identity(&bob).await), true));
    assert_eq!(alice.peers().peers()[0].id, connected.id);
    assert_eq!(alice.peers().dial_addresses(), alice.peers().connectivity().unwrap().addresses);
    bob.shutdown().await.unwrap();
    loop {
        if let Event::PeerDisconnected { id } = events.recv().await.unwrap() {
            assert_eq!(id, connected.id);
            break;
        }
    }
    alice.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_stopped_node_starts_again_at_its_port_and_with_its_peer_id() {
    let world = World::new().await;
    let alice = node(&world, "alice").await;
    let before = alice.peers().connectivity().unwrap();
    alice.shutdown().await.unwrap();
    drop(alice);
    let again = PeerConfig { listen: before.listen.clone(), ..PeerConfig::on_this_machine() };
    let alice = world.start(Config { peers: Some(again), ..world.config("alice") }).await.unwrap();
    let after = alice.peers().connectivity().unwrap();
    assert_eq!((after.id, &after.listen), (before.id, &before.listen));

    let taken = PeerConfig { listen: before.listen.clone(), ..PeerConfig::on_this_machine() };
    let error = world.start(Config { peers: Some(taken), ..world.config("bob") }).await.err().unwrap();
    assert_eq!(error.known_code(), Some(ErrorCode::Config));
    assert!(error.to_string().contains(&before.listen[0]), "{error}");
    alice.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_addressee_that_is_connected_synchronizes_when_a_token_is_made_for_it() {
    let world = World::new().await;
    let (alice, bob) = (node(&world, "alice").await, node(&world, "bob").await);
    connect(&alice, &bob).await;
    bob.account().sync_everything().await.unwrap();
    let mut events = bob.events();
    let for_bob = CreateOwnToken {
        for_identity: Some(identity(&bob).await),
        ..own_token(json!({ "is": "for bob" }), world.at(3600))
    };
    alice.tokens().create_own_token(for_bob).await.unwrap();
    while !matches!(events.recv().await.unwrap(), Event::DatawalletSynchronized) {}
    for node in [alice, bob] {
        node.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_code_passes_on_the_reference_of_a_token() {
    let world = World::new().await;
    let alice = node(&world, "alice").await;
    let token = alice.tokens().create_own_token(own_token(json!({ "a": 1 }), world.at(3600))).await.unwrap();
    let mut offered = alice.peers().offer_code(&token.reference.url, DEFAULT_CODE_LIFETIME).unwrap();
    let connectivity = alice.peers().connectivity().unwrap();
    let address = format!("{}/p2p/{}", connectivity.addresses[0], connectivity.id);
    let received =
        receive_code_at(PeerConfig::on_this_machine(), offered.text(), &[address], world.clock.clone()).await.unwrap();
    assert_eq!(received.0, token.reference.url);
    assert_eq!(offered.taken().await, CodeEnd::Taken { fingerprint: received.1 });
    alice.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_node_without_peers_says_so() {
    let world = World::new().await;
    let alice = world.node("alice").await;
    let peers = alice.peers();
    assert!(peers.peers().is_empty() && peers.connectivity().is_none() && peers.dial_addresses().is_empty());
    let error = peers.offer_code("", DEFAULT_CODE_LIFETIME).unwrap_err();
    assert_eq!(error.known_code(), Some(ErrorCode::PeersOff));
    let id = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
    let off = peers.connect(id, &[]).await.unwrap_err();
    assert!(matches!(off, runtime::Error::Peers(PeersError::Off)), "{off}");
    let invalid = peers.connect("nobody", &[]).await.unwrap_err();
    assert_eq!(invalid.known_code(), Some(ErrorCode::InvalidPropertyValue));
    alice.shutdown().await.unwrap();
}
