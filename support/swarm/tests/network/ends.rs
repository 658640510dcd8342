//! How a network ends, and what it survives.

use swarm::Multiaddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::support::*;

async fn until_free(addresses: &[Multiaddr]) {
    soon(async {
        for address in addresses {
            let host = ("127.0.0.1", port(address));
            if address.to_string().contains("udp") {
                while UdpSocket::bind(host).await.is_err() {
                    tokio::task::yield_now().await;
                }
            } else {
                while TcpListener::bind(host).await.is_err() {
                    tokio::task::yield_now().await;
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn shutdown_frees_the_ports_and_tells_the_peers() {
    let (alice, mut inbound) = start(config(1, &[TCP, QUIC])).await;
    let (bob, _keep) = start(config(2, &[])).await;
    let connection = connect(&bob, &alice).await;
    let addresses = alice.listen_addresses();
    assert_eq!(addresses.len(), 2);
    soon(alice.shutdown()).await;
    soon(connection.closed()).await;
    assert!(soon(inbound.next()).await.is_none());
    until_free(&addresses).await;
    // Again, and anything else afterwards, is harmless.
    soon(alice.shutdown()).await;
    let error = soon(alice.connect(bob.local_peer(), vec!["/memory/1".parse().unwrap()])).await.unwrap_err();
    assert!(matches!(error, swarm::ConnectError::Ended), "{error:?}");
}

#[tokio::test]
async fn the_task_ends_with_its_last_handle() {
    let (alice, inbound) = start(config(1, &[TCP])).await;
    let addresses = alice.listen_addresses();
    let (bob, _keep) = start(config(2, &[])).await;
    let connection = connect(&bob, &alice).await;
    let second = alice.clone();
    drop((alice, inbound));
    assert!(!second.listen_addresses().is_empty() && connection.is_open());
    drop(second);
    soon(connection.closed()).await;
    until_free(&addresses).await;
}

#[tokio::test]
async fn who_takes_streams_keeps_the_task() {
    let (alice, mut inbound) = start(config(1, &[TCP])).await;
    let (bob, _keep) = start(config(2, &[])).await;
    let (peer, addresses) = (alice.local_peer(), alice.listen_addresses());
    drop(alice);
    let connection = soon(bob.connect(peer, addresses)).await.unwrap();
    let _stream = soon(connection.open(ECHO)).await.unwrap();
    assert_eq!(soon(inbound.next()).await.unwrap().connection.peer(), bob.local_peer());
    drop(inbound);
    soon(connection.closed()).await;
}

#[tokio::test]
async fn garbage_ends_its_own_connection_only() {
    let (alice, inbound) = start(config(1, &[TCP, QUIC])).await;
    echo(inbound);
    let addresses = alice.listen_addresses();
    let tcp = addresses.iter().find(|address| address.to_string().contains("tcp")).unwrap();
    let udp = addresses.iter().find(|address| address.to_string().contains("udp")).unwrap();
    let mut noise = [0_u8; 4096];
    for round in 0..32_u8 {
        for (index, byte) in noise.iter_mut().enumerate() {
            *byte = (index as u8).wrapping_mul(31).wrapping_add(round.wrapping_mul(97)) ^ (index >> 3) as u8;
        }
        let mut stream = TcpStream::connect(("127.0.0.1", port(tcp))).await.unwrap();
        let prefix: &[u8] = match round % 3 {
            0 => b"",
            1 => b"\x13/multistream/1.0.0\n\x07/noise\n",
            _ => b"\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n",
        };
        // The other side may close at any byte.
        let _ = stream.write_all(prefix).await;
        let _ = stream.write_all(&noise).await;
        let _ = stream.shutdown().await;
        let _ = soon(stream.read_to_end(&mut Vec::new())).await;
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.send_to(&noise[..1200], ("127.0.0.1", port(udp))).await.unwrap();
    }
    let (bob, _keep) = start(config(2, &[])).await;
    for address in [tcp, udp] {
        let connection = soon(bob.connect(alice.local_peer(), vec![address.clone()])).await.unwrap();
        assert_eq!(soon(ask(&connection, b"hello")).await.unwrap(), b"hello");
        connection.close();
        soon(connection.closed()).await;
        until(|| bob.connections().is_empty()).await;
    }
}
