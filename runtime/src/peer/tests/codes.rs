use std::time::Duration;

use swarm::{Network, RendezvousLimits};
use transport::crypto::SecretKey;
use transport::peer::{Code, DEFAULT_CODE_LIFETIME, MAX_CODE_LIFETIME};
use transport::wire::TokenReference;

use super::world::TestNode;
use crate::config::PeerConfig;
use crate::error::Error;
use crate::peer::testing::{Person, clock};
use crate::peer::{CodeEnd, MAX_OFFERS, PeersError, receive_code, receive_code_at};

fn reference() -> String {
    let key = SecretKey::from_bytes([7; 32]).into();
    let id = "TOKabcDEF123ghiJKL45".parse().unwrap();
    let (backbone_base_url, for_identity_truncated) = (Some("http://localhost:8080".to_owned()), None);
    let (password_protection, password) = (None, None);
    TokenReference { id, backbone_base_url, key, for_identity_truncated, password_protection, password, direct: None }
        .to_url(None)
        .unwrap()
}

fn dialable(node: &TestNode) -> String {
    format!("{}/p2p/{}", node.address(), node.peer_id())
}

async fn receive(code: &str, from: &[&TestNode]) -> Result<(String, transport::peer::Fingerprint), PeersError> {
    let addresses: Vec<_> = from.iter().map(|node| dialable(node)).collect();
    receive_code_at(PeerConfig::on_this_machine(), code, &addresses, clock()).await.map_err(|error| match error {
        Error::Peers(error) => error,
        other => panic!("{other}"),
    })
}

/// Another code with the same number.
fn guess(code: &str) -> String {
    let number: u16 = code.split('-').next().unwrap().parse().unwrap();
    let guesses = std::iter::repeat_with(|| Code::generate(number).unwrap().expose().to_owned());
    guesses.into_iter().find(|guess| guess != code).unwrap()
}

#[tokio::test]
async fn a_reference_reaches_whoever_has_the_code_and_both_see_the_same_fingerprint() {
    let alice = TestNode::new(1).await;
    let mut offered = alice.peers.offer_code(&reference(), DEFAULT_CODE_LIFETIME).unwrap();
    let (text, fingerprint) = receive(&offered.text().to_uppercase(), &[&alice]).await.unwrap();
    assert_eq!(text, reference(), "in the form in which it was offered");
    assert_eq!(offered.taken().await, CodeEnd::Taken { fingerprint });
    assert_eq!(offered.taken().await, CodeEnd::Taken { fingerprint });
    assert!(matches!(receive(offered.text(), &[&alice]).await, Err(PeersError::CodeNotFound { .. })), "once only");
    assert!(!format!("{offered:?}").contains(offered.text()));
}

#[tokio::test]
async fn a_node_that_is_found_at_other_addresses_later_is_asked_there() {
    let alice = TestNode::new(1).await;
    let offered = alice.peers.offer_code(&reference(), DEFAULT_CODE_LIFETIME).unwrap();
    let dead = format!("/ip4/127.0.0.1/tcp/1/p2p/{}", alice.peer_id());
    let addresses = [dead.clone(), dead, dialable(&alice)];
    let (text, _) = receive_code_at(PeerConfig::on_this_machine(), offered.text(), &addresses, clock()).await.unwrap();
    assert_eq!(text, reference());
}

#[tokio::test]
async fn one_wrong_guess_ends_a_code() {
    let alice = TestNode::new(1).await;
    let mut offered = alice.peers.offer_code(&reference(), DEFAULT_CODE_LIFETIME).unwrap();
    assert_eq!(receive(&guess(offered.text()), &[&alice]).await, Err(PeersError::WrongCode));
    assert_eq!(offered.taken().await, CodeEnd::Burned);
    let error = receive(offered.text(), &[&alice]).await.unwrap_err();
    assert_eq!(error, PeersError::CodeNotFound { tried: "nodes asked: 1 at given addresses".to_owned() });
}

#[tokio::test]
async fn nodes_without_the_code_are_asked_and_told_nothing_that_depends_on_it() {
    let (alice, bob, carol) = (TestNode::new(1).await, TestNode::new(2).await, TestNode::new(3).await);
    let mut offered = alice.peers.offer_code(&reference(), DEFAULT_CODE_LIFETIME).unwrap();
    let mut others = bob.peers.offer_code(&reference(), DEFAULT_CODE_LIFETIME).unwrap();
    let is_other = offered.text().split('-').next() != others.text().split('-').next();
    assert!(receive(offered.text(), &[&bob, &alice, &carol]).await.is_ok() || !is_other);
    if is_other {
        assert!(matches!(offered.taken().await, CodeEnd::Taken { .. }));
        assert!(receive(others.text(), &[&bob]).await.is_ok(), "the other one was not guessed at");
        assert!(matches!(others.taken().await, CodeEnd::Taken { .. }));
    }
}

#[tokio::test]
async fn as_many_codes_wait_as_the_bound_says_and_dropped_ones_are_withdrawn() {
    let alice = TestNode::new(1).await;
    let offer = || alice.peers.offer_code(&reference(), DEFAULT_CODE_LIFETIME);
    let mut offered: Vec<_> = (0..MAX_OFFERS).map(|_| offer().unwrap()).collect();
    assert_eq!(offer().err(), Some(PeersError::TooManyCodes));
    let withdrawn = offered.pop().unwrap().text().to_owned();
    assert!(matches!(receive(&withdrawn, &[&alice]).await, Err(PeersError::CodeNotFound { .. })));
    offered.push(offer().unwrap());
    alice.peers.shutdown().await;
    assert_eq!(offered[0].taken().await, CodeEnd::Withdrawn);
}

#[tokio::test(start_paused = true)]
async fn a_code_ends_with_its_lifetime() {
    let memory = PeerConfig { listen: vec!["/memory/0".to_owned()], ..PeerConfig::on_this_machine() };
    let alice = TestNode::with(Person::new(1), memory, |_| {}).await;
    for (lifetime, expected) in [(Duration::from_secs(60), Duration::from_secs(60)), (Duration::MAX, MAX_CODE_LIFETIME)]
    {
        let mut offered = alice.peers.offer_code(&reference(), lifetime).unwrap();
        let begin = tokio::time::Instant::now();
        assert_eq!(offered.taken().await, CodeEnd::Expired);
        let elapsed = begin.elapsed();
        assert!(elapsed >= expected && elapsed < expected + Duration::from_secs(1), "{elapsed:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_offered_or_received_is_refused_at_once() {
    let alice = TestNode::new(1).await;
    for text in ["", "nonsense", &"x".repeat(5000)] {
        assert!(matches!(alice.peers.offer_code(text, DEFAULT_CODE_LIFETIME), Err(PeersError::Reference(_))));
    }
    let nowhere = || receive_code(PeerConfig::on_this_machine(), "7-amber-violin", clock());
    let error = nowhere().await.unwrap_err().to_string();
    assert!(error.contains("no node was found"), "{error}");
    assert!(matches!(receive("7-amber", &[]).await, Err(PeersError::InvalidCode(_))));
    for address in ["nonsense", "/ip4/127.0.0.1/tcp/1"] {
        let outcome =
            receive_code_at(PeerConfig::on_this_machine(), "7-amber-violin", &[address.to_owned()], clock()).await;
        assert!(matches!(outcome, Err(Error::Peers(PeersError::InvalidAddress(_)))), "{address}");
    }
    let off = crate::peer::PeerNetwork::off().offer_code(&reference(), DEFAULT_CODE_LIFETIME);
    assert_eq!(off.err(), Some(PeersError::Off));
}

async fn rendezvous() -> (Network, swarm::Inbound, String) {
    let config = swarm::Config {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        addresses: swarm::AddressPolicy { loopback: true, ..swarm::AddressPolicy::default() },
        services: swarm::Services { rendezvous: Some(RendezvousLimits::default()), ..swarm::Services::default() },
        ..swarm::Config::new(swarm::Seed::new([99; 32]))
    };
    let (network, inbound) = Network::start(config).await.unwrap();
    let address = format!("{}/p2p/{}", network.listen_addresses()[0], network.local_peer());
    (network, inbound, address)
}

#[tokio::test]
async fn who_offers_a_code_is_found_at_a_rendezvous_server() {
    let (server, _inbound, address) = rendezvous().await;
    let meeting = PeerConfig { rendezvous: vec![address], ..PeerConfig::on_this_machine() };
    let alice = TestNode::with(Person::new(1), meeting.clone(), |_| {}).await;
    let mut offered = alice.peers.offer_code(&reference(), DEFAULT_CODE_LIFETIME).unwrap();
    let (text, fingerprint) = receive_code(meeting.clone(), offered.text(), clock()).await.unwrap();
    assert_eq!((text, offered.taken().await), (reference(), CodeEnd::Taken { fingerprint }));
    let is_server = |peer: &crate::dto::Peer| peer.id == server.local_peer().to_base58();
    assert!(!alice.peers.peers().iter().any(is_server), "a server is no peer");
}

/// Whether an interface other than that of this machine carries multicast.
fn multicast() -> std::io::Result<()> {
    use std::net::{Ipv4Addr, UdpSocket};
    let (group, probe) = (Ipv4Addr::new(224, 0, 0, 250), UdpSocket::bind("0.0.0.0:0")?);
    probe.connect("203.0.113.1:9")?;
    let std::net::IpAddr::V4(own) = probe.local_addr()?.ip() else {
        return Err(std::io::ErrorKind::Unsupported.into());
    };
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.join_multicast_v4(&group, &own)?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    socket.send_to(b"here", (group, socket.local_addr()?.port()))?;
    socket.recv_from(&mut [0; 8]).map(drop)
}

/// Reports a check that needs multicast and cannot be done on this machine.
///
/// # Panics
/// If the variable `ENLACE_MULTICAST` is set: the suite in network namespaces (`tests/network`) runs the check where it can be done.
fn skipped(reason: &std::io::Error) {
    assert!(std::env::var_os("ENLACE_MULTICAST").is_none(), "a check that does not run has not passed: {reason}");
    let line = format!("skipped: no multicast on this machine ({reason})\n");
    std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).unwrap();
}

#[tokio::test]
async fn who_offers_a_code_is_found_in_the_local_network_without_any_setting() {
    if let Err(reason) = multicast() {
        return skipped(&reason);
    }
    let alice = TestNode::with(Person::new(1), PeerConfig::default(), |_| {}).await;
    let mut offered = alice.peers.offer_code(&reference(), DEFAULT_CODE_LIFETIME).unwrap();
    let (text, fingerprint) = receive_code(PeerConfig::default(), offered.text(), clock()).await.unwrap();
    assert_eq!((text, offered.taken().await), (reference(), CodeEnd::Taken { fingerprint }));
}
