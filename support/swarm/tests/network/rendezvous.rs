//! Being found under a name at a server.

use std::time::Duration;

use swarm::{
    Config, DiscoveredBy, Discovery, Event, Multiaddr, Network, PeerId, RendezvousError, RendezvousLimits, Services,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::*;

const MINUTE: Duration = Duration::from_secs(60);

fn server(limits: RendezvousLimits) -> Config {
    Config { services: Services { rendezvous: Some(limits), ..Services::default() }, ..config(9, &[TCP]) }
}

fn client(seed: u8, server: &Network) -> Config {
    client_of(seed, full_addresses(server))
}

fn client_of(seed: u8, rendezvous: Vec<Multiaddr>) -> Config {
    Config { discovery: Discovery { rendezvous, ..Discovery::default() }, ..config(seed, &[TCP]) }
}

async fn found(network: &Network, namespace: &str) -> Vec<(PeerId, Vec<Multiaddr>)> {
    soon(network.discover(namespace)).await.unwrap()
}

/// Asks again until it holds.
async fn until_found(network: &Network, namespace: &str, holds: impl Fn(&[(PeerId, Vec<Multiaddr>)]) -> bool) {
    soon(async { while !network.discover(namespace).await.is_ok_and(|found| holds(&found)) {} }).await;
}

#[tokio::test]
async fn who_is_registered_is_found_and_who_is_not_is_not() {
    let (server, _keep) = start(server(RendezvousLimits::default())).await;
    let (alice, _keep) = start(client(1, &server)).await;
    let (bob, _keep) = start(client(2, &server)).await;
    assert!(found(&bob, "a place").await.is_empty());
    soon(alice.register("a place", MINUTE)).await.unwrap();
    let mut events = bob.subscribe();
    let expected = vec![(alice.local_peer(), alice.dial_addresses())];
    assert_eq!(found(&bob, "a place").await, expected);
    let told = event(&mut events, |event| match event {
        Event::Discovered { peer, addresses, by: DiscoveredBy::Rendezvous } => Some((*peer, addresses.clone())),
        _ => None,
    });
    assert_eq!(vec![told.await], expected);
    assert!(found(&bob, "another place").await.is_empty());
    // Nobody finds itself.
    assert!(found(&alice, "a place").await.is_empty());
    assert!(bob.reachability().rendezvous[0].connected);
    soon(alice.unregister("a place")).await;
    until_found(&bob, "a place", <[_]>::is_empty).await;
}

#[tokio::test]
async fn a_registration_is_renewed_while_its_peer_runs_and_expires_afterwards() {
    let limits = RendezvousLimits { shortest_ttl: Duration::from_secs(1), ..RendezvousLimits::default() };
    let (server, _keep) = start(server(limits)).await;
    let (alice, _keep) = start(client(1, &server)).await;
    let (bob, _keep) = start(client(2, &server)).await;
    let (other, _keep) = start(client(3, &server)).await;
    soon(alice.register("a place", Duration::from_secs(2))).await.unwrap();
    soon(other.register("a place", Duration::from_secs(3))).await.unwrap();
    soon(other.shutdown()).await;
    // The other one expires, which takes longer than the time of the one that is renewed.
    until_found(&bob, "a place", |found| matches!(found, [(peer, _)] if *peer == alice.local_peer())).await;
    soon(alice.shutdown()).await;
    until_found(&bob, "a place", <[_]>::is_empty).await;
}

#[tokio::test]
async fn a_time_out_of_bounds_is_refused() {
    let (server, _keep) = start(server(RendezvousLimits::default())).await;
    let (alice, _keep) = start(client(1, &server)).await;
    for ttl in [Duration::from_secs(29), Duration::from_secs(60 * 60 + 1)] {
        let error = soon(alice.register("a place", ttl)).await.unwrap_err();
        assert!(matches!(error, RendezvousError::Refused(102)), "{error:?}");
    }
    soon(alice.register("a place", Duration::from_secs(30))).await.unwrap();
    soon(alice.register("a place", Duration::from_secs(60 * 60))).await.unwrap();
}

#[tokio::test]
async fn registrations_at_their_bounds() {
    let limits = RendezvousLimits { registrations: 3, registrations_per_peer: 2, ..RendezvousLimits::default() };
    let (server, _keep) = start(server(limits)).await;
    let (alice, _keep) = start(client(1, &server)).await;
    let (bob, _keep) = start(client(2, &server)).await;
    soon(alice.register("one", MINUTE)).await.unwrap();
    soon(alice.register("two", MINUTE)).await.unwrap();
    let error = soon(alice.register("three", MINUTE)).await.unwrap_err();
    assert!(matches!(error, RendezvousError::Refused(400)), "{error:?}");
    // What is there is renewed at the bound.
    soon(alice.register("two", MINUTE)).await.unwrap();
    soon(bob.register("one", MINUTE)).await.unwrap();
    let error = soon(bob.register("two", MINUTE)).await.unwrap_err();
    assert!(matches!(error, RendezvousError::Refused(400)), "{error:?}");
    assert_eq!(found(&bob, "one").await.len(), 1);
}

#[tokio::test]
async fn names_that_one_peer_registers_are_bounded() {
    let (server, _keep) = start(server(RendezvousLimits::default())).await;
    let (alice, _keep) = start(client(1, &server)).await;
    for number in 0..16 {
        soon(alice.register(&format!("place {number}"), MINUTE)).await.unwrap();
    }
    assert!(matches!(soon(alice.register("one more", MINUTE)).await, Err(RendezvousError::TooMany)));
    for name in [String::new(), "x".repeat(256)] {
        assert!(matches!(soon(alice.register(&name, MINUTE)).await, Err(RendezvousError::Namespace)));
    }
    soon(alice.unregister("place 0")).await;
    soon(alice.register(&"x".repeat(255), MINUTE)).await.unwrap();
}

#[tokio::test]
async fn without_a_server_there_is_nothing() {
    let (alice, _keep) = start(config(1, &[TCP])).await;
    assert!(matches!(soon(alice.register("a place", MINUTE)).await, Err(RendezvousError::NoServer)));
    assert!(matches!(soon(alice.discover("a place")).await, Err(RendezvousError::NoServer)));
}

#[tokio::test]
async fn a_registration_is_made_again_when_the_server_is_back() {
    let (first, keep) = start(server(RendezvousLimits::default())).await;
    let (alice, _keep) = start(client(1, &first)).await;
    let (bob, _keep) = start(client(2, &first)).await;
    soon(alice.register("a place", MINUTE)).await.unwrap();
    let listen = first.listen_addresses();
    soon(first.shutdown()).await;
    drop((first, keep));
    let error = soon(bob.discover("a place")).await.unwrap_err();
    assert!(matches!(error, RendezvousError::Unreachable(_)), "{error:?}");
    let (_second, _keep) = start(Config { listen, ..server(RendezvousLimits::default()) }).await;
    until_found(&bob, "a place", |found| found.len() == 1).await;
}

#[tokio::test]
async fn a_registration_waits_for_a_server_that_is_not_there_yet() {
    let (first, keep) = start(server(RendezvousLimits::default())).await;
    let (addresses, listen) = (full_addresses(&first), first.listen_addresses());
    soon(first.shutdown()).await;
    drop((first, keep));
    let (alice, _keep) = start(client_of(1, addresses)).await;
    let error = soon(alice.register("a place", MINUTE)).await.unwrap_err();
    assert!(matches!(error, RendezvousError::Unreachable(_)), "{error:?}");
    let (second, _keep) = start(Config { listen, ..server(RendezvousLimits::default()) }).await;
    let (bob, _keep) = start(client(2, &second)).await;
    until_found(&bob, "a place", |found| found.len() == 1).await;
}

#[tokio::test]
async fn answers_of_a_hostile_server_are_errors() {
    let hostile = Config { accept: vec!["/rendezvous/1.0.0"], ..config(9, &[TCP]) };
    let (server, mut inbound) = start(hostile).await;
    let (alice, _keep) = start(client(1, &server)).await;
    // Nothing, an empty message, a question, a length beyond the bound, an endless length, bytes that are no message.
    let answers: [&[u8]; 6] = [b"", &[0], &[2, 8, 3], &[0x81, 0x80, 0x40], &[0x80; 9], &[4, 0xff, 0xff, 0xff, 0xff]];
    let serving = tokio::spawn(async move {
        for answer in answers.iter().cycle() {
            let Some(mut received) = inbound.next().await else { break };
            let _ = received.stream.read_u8().await;
            let _ = received.stream.write_all(answer).await;
            let _ = received.stream.shutdown().await;
        }
    });
    for _ in answers {
        let error = soon(alice.discover("a place")).await.unwrap_err();
        assert!(matches!(error, RendezvousError::Unreachable(_)), "{error:?}");
    }
    for number in 0..answers.len() {
        let error = soon(alice.register(&format!("place {number}"), MINUTE)).await.unwrap_err();
        assert!(matches!(error, RendezvousError::Unreachable(_)), "{error:?}");
        soon(alice.unregister(&format!("place {number}"))).await;
    }
    serving.abort();
}
