//! Small verbs to build networks with.

use std::future::Future;
use std::time::Duration;

use swarm::{AddressPolicy, Config, Connection, Event, Inbound, Limits, Multiaddr, Network, Seed, Transports};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::broadcast;

pub(crate) const ECHO: &str = "/test/echo/1";
pub(crate) const OTHER: &str = "/test/other/1";

pub(crate) const MEMORY: &str = "/memory/0";
pub(crate) const TCP: &str = "/ip4/127.0.0.1/tcp/0";
pub(crate) const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

/// No test waits longer for anything.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it takes too long")
}

pub(crate) fn config(seed: u8, listen: &[&str]) -> Config {
    Config {
        listen: listen.iter().map(|address| address.parse().unwrap()).collect(),
        transports: Transports { tcp: true, quic: true, memory: true, tls: true },
        accept: vec![ECHO, OTHER],
        addresses: AddressPolicy { loopback: true, ..AddressPolicy::default() },
        ..Config::new(Seed::new([seed; 32]))
    }
}

pub(crate) fn limited(seed: u8, listen: &[&str], limits: Limits) -> Config {
    Config { limits, ..config(seed, listen) }
}

pub(crate) async fn start(config: Config) -> (Network, Inbound) {
    soon(Network::start(config)).await.unwrap()
}

pub(crate) async fn connect(from: &Network, to: &Network) -> Connection {
    soon(from.connect(to.local_peer(), to.listen_addresses())).await.unwrap()
}

/// The connection of `network` to the only peer that it has.
pub(crate) async fn only_connection(network: &Network) -> Connection {
    let mut events = network.subscribe();
    loop {
        if let [connection] = network.connections().as_slice() {
            return connection.clone();
        }
        soon(events.recv()).await.unwrap();
    }
}

/// Returns what the peer sends back for `message`, or why it does not.
pub(crate) async fn ask(connection: &Connection, message: &[u8]) -> Result<Vec<u8>, String> {
    let mut stream = connection.open(ECHO).await.map_err(|error| error.to_string())?;
    stream.write_all(message).await.map_err(|error| error.to_string())?;
    stream.shutdown().await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.map_err(|error| error.to_string())?;
    if answer == message { Ok(answer) } else { Err("the stream ended early".into()) }
}

/// Sends everything back, on each stream.
pub(crate) fn echo(mut inbound: Inbound) -> tokio::task::JoinHandle<u64> {
    tokio::spawn(async move {
        let mut served = 0;
        while let Some(inbound) = inbound.next().await {
            served += 1;
            tokio::spawn(async move {
                let (mut read, mut write) = tokio::io::split(inbound.stream);
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
            });
        }
        served
    })
}

pub(crate) async fn event<T>(events: &mut broadcast::Receiver<Event>, wanted: impl Fn(&Event) -> Option<T>) -> T {
    soon(async {
        loop {
            if let Some(found) = wanted(&events.recv().await.unwrap()) {
                return found;
            }
        }
    })
    .await
}

/// Repeats until it holds, letting others run in between.
pub(crate) async fn until(holds: impl Fn() -> bool) {
    soon(async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// The port of an address, read from its text: tests see libp2p only through the crate.
pub(crate) fn port(address: &Multiaddr) -> u16 {
    address.to_string().split('/').nth(4).unwrap().parse().unwrap()
}

/// The addresses of a network, each with its peer at the end.
pub(crate) fn full_addresses(network: &Network) -> Vec<Multiaddr> {
    let full = |address| format!("{address}/p2p/{}", network.local_peer()).parse().unwrap();
    network.listen_addresses().into_iter().map(full).collect()
}
