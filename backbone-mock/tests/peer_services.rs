//! The relay and the rendezvous server of a backbone: what clients are told of them.
#![allow(clippy::unwrap_used)]

mod common;

use backbone_mock::{Backbone, Config, Error, PeerServices};
use common::{World, answer, raw};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const PATH: &str = "/api/enlace/v1/PeerServices";
const LOOPBACK: [&str; 2] = ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"];

fn at(listen: &[&str]) -> PeerServices {
    PeerServices::new(listen.iter().map(ToString::to_string).collect())
}

async fn world(services: PeerServices) -> World {
    World::with(|config| config.peers = Some(services)).await
}

async fn told(world: &World) -> Value {
    answer(world.anonymous(Method::GET, PATH), 200).await
}

async fn extensions(world: &World) -> String {
    let answer = raw(world.anonymous(Method::OPTIONS, "/api/enlace/v1/Uploads")).await;
    answer.headers()["enlace-extension"].to_str().unwrap().to_owned()
}

/// Why a backbone with these services does not start.
async fn refusal(services: PeerServices) -> String {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::new(dir.path());
    config.peers = Some(services);
    Backbone::start(config).await.err().unwrap().to_string()
}

#[tokio::test]
async fn everybody_is_told_where_peers_are_served() {
    let world = world(at(&LOOPBACK)).await;
    let told = told(&world).await;
    let id = told["peerId"].as_str().unwrap();
    assert_eq!((&told["relay"], &told["rendezvous"]), (&json!(true), &json!(true)));
    let addresses = told["addresses"].as_array().unwrap();
    assert_eq!(addresses.len(), 2);
    for address in addresses {
        let address = address.as_str().unwrap();
        assert!(address.starts_with("/ip4/127.0.0.1/") && address.ends_with(&format!("/p2p/{id}")), "{address}");
        assert!(!address.contains("/0/"), "{address}: a port that was chosen is told");
    }
    assert_eq!(extensions(&world).await, "preview,peers");
}

#[tokio::test]
async fn a_backbone_without_peers_answers_as_if_it_knew_no_such_route() {
    let world = World::new().await;
    for path in [PATH, "/api/enlace/v1/Nowhere"] {
        let response = raw(world.anonymous(Method::GET, path)).await;
        assert_eq!((response.status(), response.content_length()), (StatusCode::NOT_FOUND, Some(0)), "{path}");
    }
    assert_eq!(extensions(&world).await, "preview");
}

#[tokio::test]
async fn the_peer_id_stays_after_a_restart() {
    let mut world = world(at(&LOOPBACK)).await;
    let before = told(&world).await["peerId"].clone();
    world.restart().await;
    assert_eq!(told(&world).await["peerId"], before);
}

#[cfg(unix)]
#[tokio::test]
async fn the_key_is_private_and_a_damaged_one_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut world = world(at(&LOOPBACK)).await;
    let key = world.dir.path().join("data/peer.key");
    let metadata = std::fs::metadata(&key).unwrap();
    assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (32, 0o600));
    world.backbone.take().unwrap().shutdown().await.unwrap();
    std::fs::write(&key, [1; 31]).unwrap();
    let mut config = Config::new(world.dir.path().join("data"));
    config.peers = Some(at(&LOOPBACK));
    let refused = Backbone::start(config).await.err().unwrap();
    assert!(matches!(&refused, Error::UnreadableKey { key: named } if *named == key), "{refused}");
}

#[tokio::test]
async fn addresses_that_are_announced_replace_all_others() {
    let announce = vec!["/dns/backbone.example.org/tcp/4712".to_owned()];
    let world = world(PeerServices { announce: announce.clone(), ..at(&["/ip4/0.0.0.0/tcp/0"]) }).await;
    let told = told(&world).await;
    let id = told["peerId"].as_str().unwrap();
    assert_eq!(told["addresses"], json!([format!("{}/p2p/{id}", announce[0])]));
}

#[tokio::test]
async fn neither_the_unspecified_address_nor_loopback_is_told_of_a_socket_on_all_interfaces() {
    let world = world(at(&["/ip4/0.0.0.0/tcp/0"])).await;
    for address in told(&world).await["addresses"].as_array().unwrap() {
        let address = address.as_str().unwrap();
        assert!(!address.starts_with("/ip4/0.") && !address.starts_with("/ip4/127."), "{address}");
    }
}

#[tokio::test]
async fn what_is_switched_off_is_not_offered() {
    let services = at(&LOOPBACK);
    let world = world(PeerServices { rendezvous: None, ..services.clone() }).await;
    let told = told(&world).await;
    assert_eq!((&told["relay"], &told["rendezvous"]), (&json!(true), &json!(false)));
    let refused = refusal(PeerServices { relay: None, rendezvous: None, ..services }).await;
    assert!(refused.contains("neither a relay nor a rendezvous server"), "{refused}");
}

#[tokio::test]
async fn an_address_that_cannot_be_used_is_named() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("/ip4/127.0.0.1/tcp/{}", held.local_addr().unwrap().port());
    let refused = refusal(at(&[&taken])).await;
    assert!(refused.contains(&taken) && refused.contains("for peers"), "{refused}");
    let refused = refusal(at(&["127.0.0.1:4712"])).await;
    assert!(refused.contains("\"127.0.0.1:4712\" is not a multiaddr such as /ip4/"), "{refused}");
    let refused = refusal(at(&[])).await;
    assert!(refused.contains("no address to listen on"), "{refused}");
}

#[tokio::test]
async fn announced_addresses_are_bounded_and_name_no_peer() {
    let announcing = |announce| PeerServices { announce, ..at(&LOOPBACK) };
    let addresses = |count: u8| (1..=count).map(|last| format!("/ip4/203.0.113.{last}/tcp/1")).collect::<Vec<_>>();
    assert_eq!(told(&world(announcing(addresses(16))).await).await["addresses"].as_array().unwrap().len(), 16);
    assert!(refusal(announcing(addresses(17))).await.contains("more than 16"));
    let named = "/ip4/203.0.113.1/tcp/1/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp".to_owned();
    assert!(refusal(announcing(vec![named])).await.contains("names a peer"));
    let long = format!("/dns/{}/tcp/1", "a".repeat(200));
    assert!(refusal(announcing(vec![long])).await.contains("too long"));
}

#[tokio::test]
async fn the_sockets_are_free_after_a_shutdown() {
    let mut world = world(at(&["/ip4/127.0.0.1/tcp/0"])).await;
    let told = told(&world).await;
    let address = told["addresses"][0].as_str().unwrap();
    let port: u16 = address.split('/').nth(4).unwrap().parse().unwrap();
    world.backbone.take().unwrap().shutdown().await.unwrap();
    std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
}
