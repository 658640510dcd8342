//! Peers that know other ways to encrypt than this one, and those that are not who they say.

use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::upgrade::{self, InboundConnectionUpgrade, OutboundConnectionUpgrade};
use libp2p::core::{Negotiated, Transport as _};
use libp2p::{identity, noise, tcp, tls, yamux};
use swarm::custom::Transport;
use swarm::{Config, ConnectError, Inbound, Network, PeerId, Transports, offers_tls};

use crate::support::*;

/// Bytes of an echo: several frames of yamux, each several records of TLS, and all within one window.
const LENGTH: usize = 200 << 10;

fn key(seed: u8) -> identity::Keypair {
    identity::Keypair::ed25519_from_bytes([seed; 32]).unwrap()
}

/// A network over libp2p's own transport with this way to encrypt.
async fn plain<U, S, E>(seed: u8, listen: &[&str], security: U) -> (Network, Inbound)
where
    U: InboundConnectionUpgrade<Negotiated<tcp::tokio::TcpStream>, Output = (PeerId, S), Error = E>,
    U: OutboundConnectionUpgrade<Negotiated<tcp::tokio::TcpStream>, Output = (PeerId, S), Error = E>,
    U: Clone + Send + 'static,
    <U as InboundConnectionUpgrade<Negotiated<tcp::tokio::TcpStream>>>::Future: Send,
    <U as OutboundConnectionUpgrade<Negotiated<tcp::tokio::TcpStream>>>::Future: Send,
    <U as upgrade::UpgradeInfo>::Info: Send,
    <<U as upgrade::UpgradeInfo>::InfoIter as IntoIterator>::IntoIter: Send,
    S: futures_util::AsyncRead + futures_util::AsyncWrite + Send + Unpin + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let transport: Transport = tcp::tokio::Transport::new(tcp::Config::new())
        .upgrade(upgrade::Version::V1Lazy)
        .authenticate(security)
        .multiplex(yamux::Config::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed();
    soon(Network::start_with(config(seed, listen), transport)).await.unwrap()
}

async fn noise_only(seed: u8, listen: &[&str]) -> (Network, Inbound) {
    plain(seed, listen, noise::Config::new(&key(seed)).unwrap()).await
}

async fn tls_only(seed: u8, listen: &[&str]) -> (Network, Inbound) {
    plain(seed, listen, tls::Config::new(&key(seed)).unwrap()).await
}

/// Both connect to each other, know each other's keys, and carry bytes both ways.
async fn understand_each_other(one: (Network, Inbound), other: (Network, Inbound)) {
    let networks = [one.0.clone(), other.0.clone()];
    let _echoes = [echo(one.1), echo(other.1)];
    for (from, to) in [(0, 1), (1, 0)] {
        let connection = connect(&networks[from], &networks[to]).await;
        assert_eq!(connection.peer(), networks[to].local_peer());
        let message: Vec<u8> = (0..LENGTH).map(|place| (place / 251) as u8).collect();
        assert!(soon(ask(&connection, &message)).await.unwrap() == message);
        connection.close();
        until(|| networks.iter().all(|network| network.connections().is_empty())).await;
    }
}

#[tokio::test]
async fn peers_that_know_noise_only_connect_both_ways() {
    understand_each_other(start(config(1, &[TCP])).await, noise_only(2, &[TCP]).await).await;
    let transports = Transports { tls: false, ..config(2, &[]).transports };
    understand_each_other(start(config(1, &[TCP])).await, start(Config { transports, ..config(2, &[TCP]) }).await)
        .await;
}

#[tokio::test]
async fn peers_that_know_tls_only_connect_both_ways() {
    if !offers_tls() {
        println!("skipped: without instructions for AES, TLS is not offered");
        return;
    }
    understand_each_other(start(config(1, &[TCP])).await, tls_only(2, &[TCP]).await).await;
}

#[tokio::test]
async fn without_tls_a_peer_that_knows_nothing_else_is_not_reached() {
    let (alice, _keep) = tls_only(1, &[TCP]).await;
    let transports = Transports { tls: false, ..config(2, &[]).transports };
    let (bob, _keep) = start(Config { transports, ..config(2, &[]) }).await;
    let error = soon(bob.connect(alice.local_peer(), alice.listen_addresses())).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn who_answers_at_the_address_of_a_peer_is_not_that_peer() {
    let wanted = key(9).public().to_peer_id();
    let (bob, _keep) = start(config(2, &[])).await;
    let mut answering = vec![start(config(1, &[TCP])).await, noise_only(1, &[TCP]).await];
    if offers_tls() {
        answering.push(tls_only(1, &[TCP]).await);
    }
    for (alice, _keep) in answering {
        let error = soon(bob.connect(wanted, alice.listen_addresses())).await.unwrap_err();
        let is_named = matches!(&error, ConnectError::WrongPeer { found, .. } if *found == alice.local_peer());
        assert!(is_named, "{error:?}");
        assert!(bob.connections().is_empty());
    }
}
