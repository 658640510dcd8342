//! Peers that take more of a relay and a rendezvous server than they may, while clients use the backbone.
#![allow(clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use backbone_mock::{PeerMetrics, PeerServices, RelayLimits, RendezvousLimits};
use common::World;
use reqwest::{Method, StatusCode};
use swarm::{AddressPolicy, Config, Discovery, Inbound, Multiaddr, Network, PeerId, RendezvousError, Seed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// After this long a test has hung.
const PATIENCE: Duration = Duration::from_secs(60);
const MINUTE: Duration = Duration::from_secs(60);

async fn world(relay: RelayLimits, rendezvous: RendezvousLimits) -> World {
    let services = PeerServices {
        relay: Some(relay),
        rendezvous: Some(rendezvous),
        ..PeerServices::new(vec!["/ip4/127.0.0.1/tcp/0".to_owned()])
    };
    World::with(|config| {
        config.metrics_listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        config.peers = Some(services);
    })
    .await
}

fn addresses(world: &World) -> Vec<Multiaddr> {
    let told = world.backbone().peer_services().unwrap().addresses;
    told.iter().map(|address| address.parse().unwrap()).collect()
}

fn relay(world: &World) -> PeerId {
    world.backbone().peer_services().unwrap().peer_id.parse().unwrap()
}

fn metrics(world: &World) -> PeerMetrics {
    world.backbone().admin().peers().unwrap()
}

async fn peer(seed: u8, discovery: Discovery) -> (Network, Inbound) {
    let addresses = AddressPolicy { loopback: true, ..AddressPolicy::default() };
    Network::start(Config { addresses, discovery, ..Config::new(Seed::new([seed; 32])) }).await.unwrap()
}

async fn until(holds: impl Fn() -> bool) {
    let holds = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, holds).await.expect("it takes no minute");
}

/// Clients are answered.
async fn serves(world: &World, seed: u8) {
    let person = world.person(seed).await;
    assert_eq!(common::raw(person.get("/Devices/Self")).await.status(), StatusCode::OK);
    assert_eq!(common::raw(world.anonymous(Method::GET, "/health")).await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_reservations_is_refused_at_the_bound_and_disturbs_no_client() {
    let limits = RelayLimits { reservations: 3, ..RelayLimits::default() };
    let world = world(limits, RendezvousLimits::default()).await;
    let mut flood = Vec::new();
    for seed in 1..=12 {
        flood.push(peer(seed, Discovery { relays: addresses(&world), ..Discovery::default() }).await);
    }
    until(|| metrics(&world).reservations_refused >= 9).await;
    serves(&world, 1).await;
    let there = metrics(&world);
    assert_eq!((there.reservations, there.reservations_accepted), (3, 3));
    let is_reserved =
        |(network, _): &(Network, Inbound)| network.reachability().relays.iter().any(|relay| relay.reserved);
    until(|| flood.iter().filter(|peer| is_reserved(peer)).count() == 3).await;
    let (reserved, refused): (Vec<_>, Vec<_>) = flood.into_iter().partition(is_reserved);
    for (peer, _) in refused {
        peer.shutdown().await;
    }
    assert_eq!(metrics(&world).reservations, 3);
    for (left, (peer, _)) in (0..3).rev().zip(reserved) {
        peer.shutdown().await;
        until(|| metrics(&world).reservations == left).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn circuits_to_peers_that_nobody_knows_are_refused_and_disturb_no_client() {
    let world = world(RelayLimits::default(), RendezvousLimits::default()).await;
    let (guest, _inbound) = peer(1, Discovery::default()).await;
    let through = addresses(&world);
    for number in 0..20 {
        let (nobody, _) = peer(100 + number, Discovery::default()).await;
        let circuit = |address: &Multiaddr| format!("{address}/p2p-circuit").parse().unwrap();
        assert!(guest.connect(nobody.local_peer(), through.iter().map(circuit).collect()).await.is_err());
    }
    serves(&world, 1).await;
    let there = metrics(&world);
    assert_eq!((there.circuits, there.circuits_accepted), (0, 0));
    assert!(there.circuits_refused > 0, "{there:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn registrations_are_refused_at_the_bound_and_disturb_no_client() {
    let limits = RendezvousLimits { registrations: 3, registrations_per_peer: 2, ..RendezvousLimits::default() };
    let world = world(RelayLimits::default(), limits).await;
    let listening = async |seed| {
        let addresses = AddressPolicy { loopback: true, ..AddressPolicy::default() };
        let discovery = Discovery { rendezvous: self::addresses(&world), ..Discovery::default() };
        let listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
        Network::start(Config { listen, addresses, discovery, ..Config::new(Seed::new([seed; 32])) }).await.unwrap()
    };
    let (one, _inbound) = listening(1).await;
    let (other, _inbound) = listening(2).await;
    for name in ["a", "b"] {
        one.register(name, MINUTE).await.unwrap();
    }
    assert!(matches!(one.register("c", MINUTE).await, Err(RendezvousError::Refused(_))));
    other.register("a", MINUTE).await.unwrap();
    assert!(matches!(other.register("b", MINUTE).await, Err(RendezvousError::Refused(_))));
    serves(&world, 1).await;
    let there = metrics(&world);
    assert_eq!((there.registrations, there.registrations_accepted), (3, 3));
    assert!(there.registrations_refused >= 2, "{there:?}");
    // A renewal counts as accepted and is no other registration, and one that ends makes room.
    other.register("a", 2 * MINUTE).await.unwrap();
    other.unregister("b").await;
    for name in ["b", "c"] {
        one.unregister(name).await;
    }
    until(|| metrics(&world).registrations == 2).await;
    let there = metrics(&world);
    assert_eq!((there.registrations_accepted, there.lookups_accepted), (4, 0));
    let found = other.discover("a").await.unwrap();
    assert!(metrics(&world).lookups_accepted >= 1);
    assert_eq!(found.iter().map(|(peer, _)| *peer).collect::<Vec<_>>(), [one.local_peer()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_any_announced_length_and_garbage_end_their_stream_only() {
    let world = world(RelayLimits::default(), RendezvousLimits::default()).await;
    let (guest, _inbound) = peer(1, Discovery::default()).await;
    let connection = guest.connect(relay(&world), addresses(&world)).await.unwrap();
    // Lengths of 2^63 and 16 MiB as variable-length numbers, and bytes that are no message.
    let huge = [&[0xff; 8][..], &[0x7f]].concat();
    let large = [&[0x80, 0x80, 0x80, 0x08][..], &[0; 256 * 1024]].concat();
    for protocol in ["/rendezvous/1.0.0", "/libp2p/circuit/relay/0.2.0/hop"] {
        for bytes in [&huge, &large, &vec![7; 64 * 1024]] {
            let mut stream = connection.open(protocol).await.unwrap();
            // It may be reset before all of it was sent.
            let _ = stream.write_all(bytes).await;
            let _ = stream.shutdown().await;
            let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
            let _ = ended.expect("the stream ends");
        }
    }
    serves(&world, 1).await;
    let again = guest.connect(relay(&world), addresses(&world)).await.unwrap();
    assert!(again.is_open());
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_for_who_asks_at_their_address() {
    let limits = RelayLimits { reservations: 1, ..RelayLimits::default() };
    let world = world(limits, RendezvousLimits::default()).await;
    let (_first, _inbound) = peer(1, Discovery { relays: addresses(&world), ..Discovery::default() }).await;
    until(|| metrics(&world).reservations == 1).await;
    let at = world.backbone().metrics_addr().unwrap();
    let ask = async |method: Method, path: &str, host: &str| {
        let url = format!("http://{at}{path}");
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        http.request(method, url).header("host", host).send().await.unwrap()
    };
    let answer = ask(Method::GET, "/metrics", "localhost").await;
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = answer.text().await.unwrap();
    for line in [
        "enlace_backbone_healthy 1",
        "# TYPE enlace_relay_reservations gauge",
        "enlace_relay_reservations 1",
        "enlace_relay_reservations_total{outcome=\"accepted\"} 1",
        "enlace_relay_circuits_total{outcome=\"refused\"} 0",
        "# TYPE enlace_relay_received_bytes_total counter",
        "# TYPE enlace_rendezvous_registrations gauge",
        "enlace_rendezvous_registrations 0",
        "enlace_rendezvous_registrations_total{outcome=\"accepted\"} 0",
        "enlace_rendezvous_lookups_total{outcome=\"refused\"} 0",
    ] {
        assert!(text.lines().any(|there| there == line), "{line} is missing in {text}");
    }
    assert_eq!(ask(Method::GET, "/", "localhost").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(ask(Method::POST, "/metrics", "localhost").await.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(ask(Method::GET, "/metrics", "attacker.example").await.status(), StatusCode::FORBIDDEN);
    assert_eq!(common::raw(world.anonymous(Method::GET, "/metrics")).await.status(), StatusCode::NOT_FOUND);
}
