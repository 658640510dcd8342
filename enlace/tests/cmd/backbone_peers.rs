//! The relay and the rendezvous server of a backbone.

use crate::sandbox::Sandbox;

const BACKBONE: [&str; 5] = ["backbone", "--listen", "127.0.0.1:0", "--data-dir", "b"];
const PEER: [&str; 2] = ["--peer-listen", "/ip4/127.0.0.1/tcp/0"];

#[test]
fn a_backbone_says_where_it_serves_peers_and_stays_the_same_peer() {
    let sandbox = Sandbox::new();
    let quic = ["--peer-listen", "/ip4/127.0.0.1/udp/0/quic-v1"];
    let metrics = ["--metrics-listen", "127.0.0.1:0"];
    let first = sandbox.serve(&[&BACKBONE[..], &PEER, &quic, &metrics].concat());
    assert!(first.text("/metrics/url").ends_with("/metrics"));
    let id = first.text("/peer/id").to_owned();
    let addresses = first.line["peer"]["addresses"].as_array().unwrap().clone();
    assert_eq!(addresses.len(), 2, "{addresses:?}");
    for address in addresses {
        let address = address.as_str().unwrap();
        assert!(address.starts_with("/ip4/127.0.0.1/") && address.ends_with(&format!("/p2p/{id}")), "{address}");
    }
    drop(first);
    let announce = ["--peer-announce", "/dns/backbone.example.org/tcp/4712", "--no-relay"];
    let second = sandbox.serve(&[&BACKBONE[..], &PEER, &announce].concat());
    assert_eq!(second.text("/peer/id"), id);
    assert_eq!(second.text("/peer/addresses/0"), format!("{}/p2p/{id}", announce[1]));
}

#[test]
fn a_backbone_that_is_not_asked_to_serves_no_peers() {
    let sandbox = Sandbox::new();
    let backbone = sandbox.serve(&BACKBONE);
    assert_eq!(backbone.line.as_object().unwrap().keys().collect::<Vec<_>>(), ["url"]);
}

#[test]
fn what_cannot_be_served_is_refused_with_the_option() {
    let sandbox = Sandbox::new();
    let run = |options: &[&str]| sandbox.run(&[&BACKBONE[..], options].concat());
    run(&["--peer-listen", "127.0.0.1:4712"]).refused(2, &["--peer-listen", "not a multiaddr such as /ip4/"]);
    run(&[&PEER[..], &["--peer-announce", "x"]].concat()).refused(2, &["--peer-announce", "not a multiaddr"]);
    run(&["--no-relay"]).refused(2, &["--peer-listen"]);
    run(&[&PEER[..], &["--no-relay", "--no-rendezvous"]].concat()).refused(2, &["cannot be used with"]);
    run(&[&PEER[..], &["--limit", "relayCircuitSeconds=4294967296"]].concat()).refused(2, &["number"]);
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("/ip4/127.0.0.1/tcp/{}", held.local_addr().unwrap().port());
    let metrics = held.local_addr().unwrap().to_string();
    run(&["--metrics-listen", &metrics]).refused(5, &[&metrics, "--metrics-listen"]);
    run(&["--peer-listen", &taken]).refused(5, &[&taken, "for peers", "--peer-listen"]);
}

#[test]
fn the_embedded_backbone_serves_peers_if_its_keys_say_so() {
    let sandbox = Sandbox::new();
    let serve = ["serve", "--data-dir", "d", "--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"];
    let listen = "--enlace:backbone:peerListen=[\"/ip4/127.0.0.1/tcp/0\"]";
    let node = sandbox.serve(&[&serve[..], &[listen]].concat());
    assert!(sandbox.path("d/backbone/peer.key").exists());
    drop(node);
    let bad = "--enlace:backbone:peerListen=[\"x\"]";
    sandbox.run(&[&serve[..], &[bad]].concat()).refused(2, &["enlace.backbone.peerListen", "not a multiaddr"]);
}

#[test]
fn a_reference_is_made_when_the_relay_of_the_backbone_leads_to_the_node() {
    let sandbox = Sandbox::with_peers();
    let backbone = sandbox.serve(&[&BACKBONE[..], &PEER].concat());
    let share = ["share", &sandbox.file("a.txt", "hello"), "--data-dir", "d", "--listen", "127.0.0.1:0", "--no-mdns"];
    let at = ["--backbone", backbone.text("/url")];
    let shared = sandbox.serve(&[&share[..], &at, &PEER].concat());
    let addresses = shared.line["peer"]["addresses"].to_string();
    let relay = format!("/p2p/{}/p2p-circuit", backbone.text("/peer/id"));
    assert!(addresses.contains(&relay), "{relay} in {addresses}");
}
