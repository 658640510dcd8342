//! Dials that a peer refuses because it has no place for another connection of this one.

use swarm::Connection;
use tokio::time::Instant;
use transport::peer::PeerError;

use super::world::{RawPeer, TestNode, config_with};
use crate::config::{PeerConfig, PeerLimits};
use crate::peer::network::REDIAL_PAUSE;
use crate::peer::testing::{Person, time};
use crate::peer::{PeerFailure, PeerReads as _};

/// Without sockets, so that time can be paused.
async fn node(number: u8, limits: PeerLimits) -> TestNode {
    let config = PeerConfig { listen: vec!["/memory/0".to_owned()], ..config_with(limits) };
    TestNode::with(Person::new(number), config, |_| {}).await
}

/// A process with the identity of `number` that has just connected, and does nothing more.
async fn connected(number: u8, to: &TestNode) -> (RawPeer, Connection) {
    let raw = RawPeer::in_memory(number).await;
    let connection = raw.connect(to).await;
    raw.identify(&connection, Some(raw.person.credentials()), &time()).await.unwrap();
    (raw, connection)
}

fn refused(node: &TestNode) -> (u64, u64) {
    let refused = node.peers.shared().unwrap().network.refused();
    (refused.connections, refused.replaced)
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_is_refused_is_made_once_more_when_an_older_connection_gives_way() {
    let (alice, bob) = (node(1, PeerLimits::default()).await, node(2, PeerLimits::default()).await);
    let mut killed = Vec::new();
    for _ in 0..PeerLimits::default().connections_per_peer {
        killed.push(connected(2, &alice).await);
    }
    let (begin, route) = (Instant::now(), alice.route());
    let token = bob.peers.token(&route, &alice.shelf.token.id, None);
    // Those who ask at the same time wait for the same dial.
    let (token, channel) = tokio::join!(token, bob.peers.connect(alice.peers.direct().unwrap()));
    assert_eq!((token.unwrap(), channel.is_ok()), (alice.shelf.token.clone(), true));
    assert_eq!(refused(&alice), (1, 1));
    assert!(begin.elapsed() < REDIAL_PAUSE + swarm::USE_TIME, "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_refuses_again_is_dialled_twice_and_one_that_is_away_once() {
    let none = PeerLimits { connections_per_peer: 0, ..PeerLimits::default() };
    let (alice, bob) = (node(1, none).await, node(2, PeerLimits::default()).await);
    let begin = Instant::now();
    let failure = bob.peers.channel(&alice.route()).await.unwrap_err();
    assert!(matches!(failure, PeerFailure::Exchange(PeerError::Cut)), "{failure}");
    assert_eq!(refused(&alice).0, 2);
    assert!((REDIAL_PAUSE..2 * REDIAL_PAUSE).contains(&begin.elapsed()), "{:?}", begin.elapsed());

    let begin = Instant::now();
    let failure = bob.peers.channel(&alice.route_at(&["/memory/1"])).await.unwrap_err();
    assert!(matches!(failure, PeerFailure::Unreachable(_)), "{failure}");
    assert!(begin.elapsed() < REDIAL_PAUSE, "{:?}", begin.elapsed());
}
