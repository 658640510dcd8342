use std::time::Duration;

use transport::crypto::PasswordHash;
use transport::peer::{CertificateError, ContentExpectation, FileTarget, PeerError, Refusal};

use super::world::TestNode;
use crate::config::{PeerConfig, PeerDisclosure};
use crate::event::Event;
use crate::peer::certificate::CERTIFICATE_VALIDITY;
use crate::peer::testing::{Person, time};
use crate::peer::{Path, PeerContent as _, PeerFailure, PeerNetwork, PeerReads as _, Route};

pub(super) fn anything() -> ContentExpectation {
    ContentExpectation { file: None, length: None, limit: u64::MAX }
}

/// All bytes from a position on.
pub(super) async fn load(from: &TestNode, to: &PeerNetwork, route: &Route, start: u64) -> Result<Vec<u8>, PeerFailure> {
    let mut content = to.content(route, &from.shelf.token_target(), (start, None), anything()).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = content.chunk().await? {
        assert!(chunk.len() <= 256 * 1024);
        bytes.extend_from_slice(&chunk);
    }
    assert_eq!((content.header().start, content.path()), (start, Path::Lan));
    Ok(bytes)
}

pub(super) fn refused<T>(outcome: Result<T, PeerFailure>) -> Refusal {
    match outcome {
        Err(PeerFailure::Exchange(PeerError::Refused(refusal))) => refusal,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("not refused"),
    }
}

#[tokio::test]
async fn tokens_metadata_and_bytes_are_loaded_from_the_node_that_shares_them() {
    for listen in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1", "/memory/0"] {
        let config = PeerConfig { listen: vec![listen.to_owned()], ..PeerConfig::on_this_machine() };
        let alice = TestNode::with(Person::new(1), config.clone(), |_| {}).await;
        let bob = TestNode::with(Person::new(2), config, |_| {}).await;
        let (route, shelf) = (alice.route(), &alice.shelf);
        assert_eq!(bob.peers.token(&route, &shelf.token.id, None).await.unwrap(), shelf.token);
        for target in [shelf.token_target(), shelf.file_target()] {
            assert_eq!(bob.peers.metadata(&route, &target, None).await.unwrap(), shelf.metadata);
        }
        assert_eq!(load(&alice, &bob.peers, &route, 7).await.unwrap(), shelf.bytes[7..]);
        assert_eq!(bob.peers.peers().len(), 1, "one connection for all of it");
        assert!(shelf.counted.lock().unwrap().readers.contains(&bob.person.address()));
    }
}

#[tokio::test]
async fn both_sides_say_who_is_connected_and_who_leaves() {
    let (mut alice, mut bob) = (TestNode::new(1).await, TestNode::new(2).await);
    bob.peers.channel(&alice.route()).await.unwrap();
    let connected = |event| if let Event::PeerConnected(peer) = event { Some(*peer) } else { None };
    let (seen_by_bob, seen_by_alice) = (bob.event(connected).await, alice.event(connected).await);
    assert_eq!((seen_by_bob.id, seen_by_bob.is_inbound), (alice.peer_id().to_base58(), false));
    assert_eq!((seen_by_alice.address, seen_by_alice.is_inbound), (Some(bob.person.address()), true));
    assert_eq!((seen_by_alice.path, seen_by_alice.transport.as_str()), (Path::Lan, "tcp"));
    assert_eq!(alice.peers.peers()[0].device, Some(Person::device_id()));
    let connectivity = alice.peers.connectivity().unwrap();
    assert_eq!((connectivity.id, connectivity.connections), (alice.peer_id().to_base58(), 1));
    assert!(connectivity.certificate_valid_until.is_some());
    bob.peers.shutdown().await;
    alice.disconnected(bob.peer_id()).await;
    assert!(alice.peers.peers().is_empty());
}

#[tokio::test]
async fn a_password_is_proven_and_a_wrong_one_is_counted() {
    let hash = PasswordHash::from_bytes([7; 32]);
    let expected = hash.clone();
    let alice =
        TestNode::with(Person::new(1), PeerConfig::on_this_machine(), |shelf| shelf.password = Some(expected)).await;
    let bob = TestNode::new(2).await;
    let (route, id) = (alice.route(), &alice.shelf.token.id);
    let wrong = PasswordHash::from_bytes([8; 32]);
    for password in [None, Some(&wrong)] {
        assert_eq!(refused(bob.peers.token(&route, id, password).await), Refusal::NotFound);
    }
    assert_eq!(alice.shelf.counted.lock().unwrap().failed_attempts, 2);
    assert!(bob.peers.token(&route, id, Some(&hash)).await.is_ok());
    assert!(bob.peers.token(&route, id, None).await.is_ok(), "an identity that has read it needs none");
}

#[tokio::test]
async fn a_stranger_gets_what_a_token_shows_to_everybody() {
    let (alice, stranger) = (TestNode::new(1).await, TestNode::stranger(2).await);
    let (route, shelf) = (alice.route(), &alice.shelf);
    let file = FileTarget::File(shelf.metadata.id.clone());
    assert_eq!(refused(stranger.peers.metadata(&route, &file, None).await), Refusal::IdentityRequired);
    // The owner tells strangers not who it is, so they cannot know whose token it is.
    assert_eq!(refused(stranger.peers.token(&route, &shelf.token.id, None).await), Refusal::IdentityRequired);
    assert_eq!(load(&alice, &stranger.peers, &route, 0).await.unwrap(), shelf.bytes);
    assert_eq!(alice.peers.peers()[0].address, None);
    assert_eq!(stranger.peers.connectivity().unwrap().certificate_valid_until, None);

    let open = PeerConfig { disclosure: PeerDisclosure::Everyone, ..PeerConfig::on_this_machine() };
    let alice = TestNode::with(Person::new(3), open, |_| {}).await;
    assert!(stranger.peers.token(&alice.route(), &alice.shelf.token.id, None).await.is_ok());
}

#[tokio::test]
async fn a_token_for_somebody_else_is_not_there() {
    let carol = Person::new(3).address();
    let alice =
        TestNode::with(Person::new(1), PeerConfig::on_this_machine(), |shelf| shelf.token.for_identity = Some(carol))
            .await;
    let (bob, carol) = (TestNode::new(2).await, TestNode::new(3).await);
    let (route, id) = (alice.route(), &alice.shelf.token.id);
    assert_eq!(refused(bob.peers.token(&route, id, None).await), Refusal::NotFound);
    assert!(carol.peers.token(&route, id, None).await.is_ok());
}

#[tokio::test]
async fn peers_that_are_not_there_or_are_others_cannot_be_reached() {
    let (alice, bob, carol) = (TestNode::new(1).await, TestNode::new(2).await, TestNode::new(3).await);
    let elsewhere = carol.address().to_string();
    let cases = [
        (alice.route_at(&[]), "no address"),
        (alice.route_at(&["/nonsense/1", "/ip4/127.0.0.1"]), ""),
        (alice.route_at(&["/ip4/127.0.0.1/tcp/1"]), ""),
        (alice.route_at(&[&elsewhere]), ""),
    ];
    for (route, text) in cases {
        match bob.peers.channel(&route).await {
            Err(PeerFailure::Unreachable(reason)) => assert!(reason.contains(text), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
    assert!(PeerNetwork::off().channel(&alice.route()).await.is_err());
}

#[tokio::test]
async fn private_addresses_of_a_route_are_dialled_only_if_the_settings_say_so() {
    let careful = PeerConfig { loopback_addresses: false, ..PeerConfig::on_this_machine() };
    let (alice, bob) = (TestNode::new(1).await, TestNode::with(Person::new(2), careful, |_| {}).await);
    assert!(matches!(bob.peers.channel(&alice.route()).await, Err(PeerFailure::Unreachable(_))));
    assert_eq!(bob.peers.direct(), None, "nor are they told");
}

#[tokio::test]
async fn a_connection_that_breaks_is_made_again() {
    let (alice, mut bob) = (TestNode::new(1).await, TestNode::new(2).await);
    let (connection, _) = bob.peers.channel(&alice.route()).await.unwrap();
    connection.close();
    bob.disconnected(alice.peer_id()).await;
    assert!(bob.peers.token(&alice.route(), &alice.shelf.token.id, None).await.is_ok());
}

#[tokio::test]
async fn many_requests_at_the_same_time_share_a_connection_and_its_exchange() {
    let (alice, bob) = (TestNode::new(1).await, TestNode::new(2).await);
    let route = alice.route();
    let loads = (0..8).map(|_| load(&alice, &bob.peers, &route, 0));
    for loaded in futures_util::future::join_all(loads).await {
        assert_eq!(loaded.unwrap(), alice.shelf.bytes);
    }
    assert!(bob.peers.connectivity().unwrap().connections <= 4);
}

#[tokio::test]
async fn a_removed_device_is_refused_and_its_connection_ends_when_that_is_learned() {
    let (alice, mut bob) = (TestNode::new(1).await, TestNode::new(2).await);
    bob.peers.channel(&alice.route()).await.unwrap();
    alice.removed.lock().unwrap().insert(bob.person.address());
    alice.peers.close_removed();
    bob.disconnected(alice.peer_id()).await;
    match bob.peers.channel(&alice.route()).await {
        Err(PeerFailure::Exchange(PeerError::Refused(Refusal::Removed))) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_node_with_a_clock_that_is_far_off_is_refused_and_told_so() {
    let (alice, bob) = (TestNode::new(1).await, TestNode::new(2).await);
    alice.clock.advance(CERTIFICATE_VALIDITY + Duration::from_secs(5 * 60));
    match bob.peers.channel(&alice.route()).await {
        Err(PeerFailure::Exchange(PeerError::Refused(Refusal::CertificateTime))) => {}
        other => panic!("{other:?}"),
    }
    let failure = alice.peers.channel(&bob.route()).await.unwrap_err();
    let expected = [PeerError::Refused(Refusal::CertificateTime), PeerError::Certificate(CertificateError::Time)];
    assert!(matches!(failure, PeerFailure::Exchange(error) if expected.contains(&error)), "{failure}");
}

#[tokio::test]
async fn a_proven_identity_counts_as_long_as_its_certificate() {
    let (alice, bob) = (TestNode::new(1).await, TestNode::new(2).await);
    let (route, file) = (alice.route(), alice.shelf.file_target());
    assert!(bob.peers.metadata(&route, &file, None).await.is_ok());
    alice.clock.advance(CERTIFICATE_VALIDITY + Duration::from_secs(5 * 60));
    assert_eq!(refused(bob.peers.metadata(&route, &file, None).await), Refusal::IdentityRequired);
    assert_eq!(alice.peers.peers()[0].address, None);
}

#[tokio::test]
async fn a_hint_reaches_the_connected_devices_of_an_identity() {
    let (alice, bob, carol) = (TestNode::new(1).await, TestNode::new(2).await, TestNode::new(3).await);
    for node in [&bob, &carol] {
        node.peers.channel(&alice.route()).await.unwrap();
        // Both sides have a channel once something was answered.
        node.peers.metadata(&alice.route(), &alice.shelf.token_target(), None).await.unwrap();
    }
    alice.peers.hint(&bob.person.address());
    bob.peers.hinted().await;
    assert!(futures_util::FutureExt::now_or_never(carol.peers.hinted()).is_none());
}

#[tokio::test]
async fn a_listen_address_that_is_taken_is_named() {
    let alice = TestNode::new(1).await;
    let taken = PeerConfig { listen: vec![alice.address().to_string()], ..PeerConfig::on_this_machine() };
    let parts = crate::peer::PeerParts {
        key: transport::peer::PeerKey::derive(&Person::new(2).device_key),
        device: None,
        is_removed: std::sync::Arc::new(|_, _| false),
        time: time(),
        events: crate::event::EventBus::new(),
        max_token_content: 0,
        transport: None,
    };
    let error = PeerNetwork::start(&taken, parts).await.err().unwrap();
    assert_eq!(error.known_code(), Some(crate::ErrorCode::Config));
    assert!(error.to_string().contains(&alice.address().to_string()), "{error}");
}

#[tokio::test]
async fn nothing_is_answered_after_the_server_has_stopped() {
    let (alice, bob) = (TestNode::new(1).await, TestNode::new(2).await);
    bob.peers.channel(&alice.route()).await.unwrap();
    alice.server.stop().await;
    assert!(bob.peers.metadata(&alice.route(), &alice.shelf.token_target(), None).await.is_err());
}

/// A relay on loopback, and its address.
async fn relay() -> (swarm::Network, swarm::Inbound, String) {
    let config = swarm::Config {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        addresses: swarm::AddressPolicy { loopback: true, ..swarm::AddressPolicy::default() },
        services: swarm::Services { relay: Some(swarm::RelayLimits::default()), ..swarm::Services::default() },
        ..swarm::Config::new(swarm::Seed::new([99; 32]))
    };
    let (relay, inbound) = swarm::Network::start(config).await.unwrap();
    let address = format!("{}/p2p/{}", relay.listen_addresses()[0], relay.local_peer());
    (relay, inbound, address)
}

#[tokio::test]
async fn the_address_of_a_relay_is_told_only_if_addresses_like_it_are() {
    let (_relay, _inbound, address) = relay().await;
    let quiet = PeerConfig {
        relays: vec![address],
        relaying: true,
        loopback_addresses: false,
        ..PeerConfig::on_this_machine()
    };
    let alice = TestNode::with(Person::new(1), quiet, |_| {}).await;
    let mut events = alice.peers.shared().unwrap().network.subscribe();
    while !alice.peers.connectivity().unwrap().relays[0].is_reserved {
        events.recv().await.unwrap();
    }
    assert_eq!(alice.peers.direct(), None);
    assert!(alice.peers.connectivity().unwrap().addresses.is_empty());
}

#[tokio::test]
async fn a_node_is_reached_through_its_relay() {
    let (relay, _inbound, address) = relay().await;
    let behind = PeerConfig { relays: vec![address], relaying: true, ..PeerConfig::on_this_machine() };
    let alice = TestNode::with(Person::new(1), behind, |_| {}).await;
    let mut events = alice.peers.shared().unwrap().network.subscribe();
    while alice.peers.direct().is_none_or(|direct| direct.relays.is_empty()) {
        events.recv().await.unwrap();
    }
    let through = PeerConfig { relaying: true, listen: Vec::new(), ..PeerConfig::on_this_machine() };
    let bob = TestNode::with(Person::new(2), through, |_| {}).await;
    let direct = alice.peers.direct().unwrap();
    let direct = transport::peer::Direct { addresses: Vec::new(), ..direct };
    let route = Route { direct, ..alice.route() };
    let mut content = bob.peers.content(&route, &alice.shelf.token_target(), (0, None), anything()).await.unwrap();
    let mut length = 0;
    while let Some(chunk) = content.chunk().await.unwrap() {
        length += chunk.len();
    }
    assert_eq!((length, content.path()), (alice.shelf.bytes.len(), Path::Relayed));
    assert!(!bob.peers.peers().iter().any(|peer| peer.id == relay.local_peer().to_base58()), "a relay is no peer");
    let connectivity = alice.peers.connectivity().unwrap();
    assert!(connectivity.relays[0].is_reserved, "{connectivity:?}");
}
