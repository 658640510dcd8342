//! Peers that do as little as possible, to compare with: streams without a protocol, and connections without streams.
#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Parser, Subcommand, ValueEnum};
use enlace_benches::Result;
use serde_json::json;
use swarm::{AddressPolicy, Config, Connection, KeepAlive, Multiaddr, Network, PeerId, Seed, Stream, Transports};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use transport::crypto::random;
use transport::peer::{Conversation, IDENTITY_PROTOCOL, IdentityExchange, Now, Side};
use transport::wire::Timestamp;

/// Bytes of one write, as in `transport::peer`.
const PIECE: usize = 256 << 10;
/// The name of a stream without a protocol.
const BARE: &str = "/enlace-benches/bare/1";
/// Connections that are being made at a time.
const CONNECTING: usize = 8;

/// Peers that do as little as possible.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Listens on loopback, prints its peer id and address, and sends bytes from memory on each stream that is opened.
    Send {
        /// MiB to send.
        #[arg(long, default_value_t = 1024)]
        mib: usize,
        /// What carries the streams.
        #[arg(long, value_enum, default_value_t = Carrier::Tcp)]
        carrier: Carrier,
    },
    /// Opens a stream to a peer that sends, and prints how many bytes came, and in how many seconds.
    Fetch {
        /// Its peer id.
        #[arg(long)]
        peer: PeerId,
        /// Where it listens.
        address: Multiaddr,
    },
    /// Connects many peers to a node, each with a key of its own, prints a line, and keeps them until standard input ends.
    Idle {
        /// Number of peers.
        #[arg(long, default_value_t = 200)]
        count: usize,
        /// Peer id of the node.
        #[arg(long)]
        peer: PeerId,
        /// Where the node listens.
        #[arg(required = true)]
        addresses: Vec<Multiaddr>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Carrier {
    /// TCP as nodes use it: with TLS where the processor has instructions for AES, else with Noise.
    Tcp,
    /// TCP with Noise.
    TcpNoise,
    /// QUIC.
    Quic,
}

#[tokio::main]
async fn main() -> Result<()> {
    match Arguments::parse().what {
        What::Send { mib, carrier } => send(mib, carrier).await,
        What::Fetch { peer, address } => fetch(peer, address).await,
        What::Idle { count, peer, addresses } => idle(count, peer, addresses).await,
    }
}

async fn send(mib: usize, carrier: Carrier) -> Result<()> {
    let listen = match carrier {
        Carrier::Tcp | Carrier::TcpNoise => "/ip4/127.0.0.1/tcp/0",
        Carrier::Quic => "/ip4/127.0.0.1/udp/0/quic-v1",
    };
    // Who fetches takes Noise where nothing else is understood.
    let transports = Transports { tls: !matches!(carrier, Carrier::TcpNoise), ..Transports::default() };
    let listening = Config { listen: vec![listen.parse()?], accept: vec![BARE], transports, ..config() };
    let (network, mut inbound) = Network::start(listening).await?;
    let address = network.dial_addresses().into_iter().next().ok_or("an address")?;
    println!("{}", json!({ "peer": network.local_peer().to_string(), "address": address.to_string() }));
    while let Some(incoming) = inbound.next().await {
        tokio::spawn(async move {
            // Nothing is to be done for a receiver that is gone.
            let _ = write(incoming.stream, mib).await;
        });
    }
    Ok(())
}

async fn write(mut stream: Stream, mib: usize) -> Result<()> {
    // What opens the stream arrives with its first byte.
    stream.read_u8().await?;
    let piece = vec![7; PIECE];
    for _ in 0..mib * (1 << 20) / PIECE {
        stream.write_all(&piece).await?;
    }
    Ok(stream.shutdown().await?)
}

async fn fetch(peer: PeerId, address: Multiaddr) -> Result<()> {
    let (network, _inbound) = Network::start(config()).await?;
    let connection = network.connect(peer, vec![address]).await?;
    let mut stream = connection.open(BARE).await?;
    let began = Instant::now();
    stream.write_u8(1).await?;
    stream.flush().await?;
    let bytes = drain(&mut stream).await?;
    println!("{}", json!({ "bytes": bytes, "seconds": began.elapsed().as_secs_f64() }));
    Ok(())
}

async fn drain(stream: &mut Stream) -> Result<u64> {
    let (mut piece, mut bytes) = (vec![0; PIECE], 0);
    loop {
        match stream.read(&mut piece).await? {
            0 => return Ok(bytes),
            read => bytes += read as u64,
        }
    }
}

async fn idle(count: usize, peer: PeerId, addresses: Vec<Multiaddr>) -> Result<()> {
    let mut connecting = tokio::task::JoinSet::new();
    let mut kept = Vec::with_capacity(count);
    for _ in 0..count {
        if connecting.len() == CONNECTING
            && let Some(connected) = connecting.join_next().await
        {
            kept.push(connected??);
        }
        connecting.spawn(stranger(peer, addresses.clone()));
    }
    while let Some(connected) = connecting.join_next().await {
        kept.push(connected??);
    }
    println!("{}", json!({ "connected": kept.len() }));
    let mut nothing = Vec::new();
    tokio::io::stdin().read_to_end(&mut nothing).await?;
    let open = kept.iter().filter(|(_, connection, _)| connection.is_open()).count();
    println!("{}", json!({ "stillConnected": open }));
    Ok(())
}

/// A peer that proves no identity, and its connection.
async fn stranger(peer: PeerId, addresses: Vec<Multiaddr>) -> Result<(Network, Connection, KeepAlive)> {
    let (network, _) = Network::start(Config { idle_timeout: Duration::from_secs(3600), ..config() }).await?;
    let connection = network.connect(peer, addresses).await?;
    let kept = connection.keep_alive();
    let mut stream = connection.open(IDENTITY_PROTOCOL).await?;
    let exchange =
        IdentityExchange::initiator([network.local_peer(), peer], random::bytes(), None, |_: &_, _: &_| false);
    drive(Conversation::new(exchange, Instant::now()), &mut stream).await?;
    Ok((network, connection, kept))
}

async fn drive<S: Side>(mut conversation: Conversation<S>, stream: &mut Stream) -> Result<()> {
    loop {
        if let Some(bytes) = conversation.outgoing() {
            stream.write_all(&bytes).await?;
            stream.flush().await?;
        }
        if let Some(end) = conversation.end() {
            end?;
            return Ok(stream.shutdown().await?);
        }
        let mut piece = vec![0; conversation.wants()];
        match stream.read(&mut piece).await? {
            0 => conversation.cut(),
            read => {
                conversation.receive(&piece[..read], now()?);
            }
        }
    }
}

fn now() -> Result<Now> {
    let milliseconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().try_into()?;
    Ok(Now { instant: Instant::now(), time: Timestamp::from_unix_milliseconds(milliseconds) })
}

/// A network that reaches this machine and its own networks.
fn config() -> Config {
    let addresses = AddressPolicy { private: true, loopback: true, ..AddressPolicy::default() };
    Config { addresses, ..Config::new(Seed::new(random::bytes())) }
}
