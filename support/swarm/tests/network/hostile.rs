//! Peers that do not keep to the protocols.

use std::future::poll_fn;
use std::pin::Pin;

use libp2p::Transport as _;
use libp2p::core::muxing::{StreamMuxer as _, StreamMuxerBox};
use libp2p::core::transport::{DialOpts, PortUse};
use libp2p::core::{Endpoint, upgrade};
use libp2p::{identity, noise, tcp, yamux};
use swarm::{Limits, Multiaddr, Network};
use tokio::time::{Duration, timeout};

use crate::support::*;

/// A connection of somebody who has only the transport in common.
async fn raw(address: &Multiaddr) -> StreamMuxerBox {
    let key = identity::Keypair::generate_ed25519();
    let mut transport = tcp::tokio::Transport::new(tcp::Config::new())
        .upgrade(upgrade::Version::V1Lazy)
        .authenticate(noise::Config::new(&key).unwrap())
        .multiplex(yamux::Config::default())
        .boxed();
    let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    transport.dial(address.clone(), options).unwrap().await.unwrap().1
}

/// Opens streams and negotiates nothing on them, until the other side ends the connection or makes it wait.
async fn flood(mut muxer: StreamMuxerBox) -> usize {
    let mut streams = Vec::new();
    loop {
        let opened = poll_fn(|cx| {
            // The connection itself has to be driven, too.
            let _ = Pin::new(&mut muxer).poll(cx)?;
            Pin::new(&mut muxer).poll_outbound(cx)
        });
        match timeout(Duration::from_millis(500), opened).await {
            Ok(Ok(mut stream)) => {
                // yamux tells the other side of a stream with the first byte.
                let written = futures_util::AsyncWriteExt::write(&mut stream, b"x");
                drop(timeout(Duration::from_millis(500), written).await);
                streams.push(stream);
            }
            Ok(Err(_)) | Err(_) => return streams.len(),
        }
    }
}

async fn is_served(alice: &Network, seed: u8) {
    let (bob, _keep) = start(config(seed, &[])).await;
    let connection = connect(&bob, alice).await;
    for _ in 0..16 {
        soon(ask(&connection, b"hello")).await.expect("it is served");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_streams_ends_its_own_connection_only() {
    let (alice, inbound) = start(config(1, &[TCP])).await;
    echo(inbound);
    let address = alice.listen_addresses().remove(0);
    let floods = (0..8).map(|_| async { flood(raw(&address).await).await });
    let floods = futures_util::future::join_all(floods);
    let (opened, ()) = soon(async { tokio::join!(floods, is_served(&alice, 2)) }).await;
    assert!(opened.iter().all(|streams| *streams <= 300), "{opened:?}");
    is_served(&alice, 3).await;
    until(|| alice.connections().iter().all(|connection| connection.sent() > 0 || !connection.is_open())).await;
}

#[tokio::test]
async fn connections_that_come_and_go_leave_nothing() {
    let limits = Limits { connections: 16, ..Limits::default() };
    let (alice, inbound) = start(limited(1, &[TCP], limits)).await;
    echo(inbound);
    let address = alice.listen_addresses().remove(0);
    for _ in 0..64 {
        drop(soon(raw(&address)).await);
    }
    until(|| alice.connections().is_empty()).await;
    is_served(&alice, 2).await;
}
