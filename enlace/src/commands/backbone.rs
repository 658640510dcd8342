//! `enlace backbone`: the server alone.

use std::net::SocketAddr;

use backbone_mock::{Backbone, Config, Limits, OAuthClient, PeerDescription, PeerServices};
use clap::Args;
use serde_json::{Value, json};

use super::Context;
use crate::client::Client;
use crate::data_dir::{DataDir, Purpose, default_data_dir};
use crate::failure::Failure;
use crate::limits::{BackboneLimits, PeerAddresses};
use crate::output::Output;
use crate::port::BackboneNames;
use crate::{port, server};

const NAMES: BackboneNames = BackboneNames {
    backbone: "backbone",
    listen: "--listen",
    metrics_listen: "--metrics-listen",
    peer_listen: "--peer-listen",
    peer_announce: "--peer-announce",
};

/// Run a standalone backbone.
///
/// It stores the encrypted data of nodes and serves it to authorized clients, but cannot decrypt it. Put a TLS proxy in
/// front before other machines use it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    enlace backbone\n  \
    enlace backbone --listen 127.0.0.1:4710 --data-dir ./backbone --client-file client.txt\n  \
    enlace backbone --listen 127.0.0.1:0 --did-domain-name localhost --json\n  \
    enlace backbone --peer-listen /ip4/0.0.0.0/tcp/4712 --peer-announce /dns/backbone.example.org/tcp/4712")]
pub(crate) struct BackboneArgs {
    /// Address, as IP:PORT; port 0 picks a free port
    #[arg(long, value_name = "ADDR", value_parser = port::parse_address, default_value_t = SocketAddr::from(([127, 0, 0, 1], port::BACKBONE)))]
    listen: SocketAddr,
    /// Domain in the addresses of identities; published clients need the host name under which they reach this backbone
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    did_domain_name: String,
    /// OAuth client that may use this backbone; can be given several times
    ///
    /// Other users of this machine can see it, so prefer --client-file. Without any client, and on loopback only, the
    /// public client `enlace-guest` is accepted.
    #[arg(long, value_name = "ID:SECRET", env = "ENLACE_CLIENT", hide_env_values = true)]
    client: Vec<String>,
    /// File with ID:SECRET of an OAuth client in its first line; can be given several times
    #[arg(long, value_name = "FILE")]
    client_file: Vec<std::path::PathBuf>,
    /// Accept the public client of `enlace receive` as well
    #[arg(long)]
    guests: bool,
    /// Multiaddr at which peers use this process as a relay and rendezvous server; can be given several times
    ///
    /// For example /ip4/0.0.0.0/tcp/4712 and /ip4/0.0.0.0/udp/4712/quic-v1; port 0 picks a free port. Peers encrypt what they send
    /// through the relay. Nodes that use this backbone find it by themselves.
    #[arg(long, value_name = "MULTIADDR", help_heading = "Peers")]
    peer_listen: Vec<String>,
    /// Multiaddr that peers are told in place of those of the interfaces; can be given several times
    ///
    /// Needed behind a NAT, or for a DNS name: /dns/backbone.example.org/tcp/4712.
    #[arg(long, value_name = "MULTIADDR", requires = "peer_listen", help_heading = "Peers")]
    peer_announce: Vec<String>,
    /// Do not relay connections between peers
    #[arg(long, requires = "peer_listen", conflicts_with = "no_rendezvous", help_heading = "Peers")]
    no_relay: bool,
    /// Do not keep registrations by which peers find each other
    #[arg(long, requires = "peer_listen", help_heading = "Peers")]
    no_rendezvous: bool,
    /// Address of metrics in the text format of Prometheus, as IP:PORT; they are at /metrics
    #[arg(long, value_name = "ADDR", value_parser = port::parse_address)]
    metrics_listen: Option<SocketAddr>,
    /// Maximum size of a file in bytes, before encryption
    ///
    /// Nodes have their own limit: the configuration key transportLibrary.platformMaxUnencryptedFileSize.
    #[arg(long, value_name = "BYTES", default_value_t = runtime::Config::DEFAULT_MAX_FILE_SIZE)]
    max_file_size: u64,
    /// Limit for the clients of this backbone, as NAME=NUMBER; can be given several times
    ///
    /// The names are those below `enlace.backbone.limits` in the configuration of a node.
    #[arg(long, value_name = "NAME=NUMBER")]
    limit: Vec<String>,
}

/// Runs it.
pub(crate) async fn run(mut context: Context, args: BackboneArgs) -> Result<(), Failure> {
    let path = match &context.global.data_dir {
        Some(path) => path.clone(),
        None => default_data_dir(Purpose::Backbone)?,
    };
    let mut config = Config::new(DataDir::open(path)?.path());
    config.listen = args.listen;
    config.metrics_listen = args.metrics_listen;
    config.did_domain_name.clone_from(&args.did_domain_name);
    let mut limits = BackboneLimits::default();
    args.limit.iter().try_for_each(|limit| limits.set(limit))?;
    config.clients = clients(&args, &limits)?;
    config.limits = Limits::for_files_of(args.max_file_size);
    limits.apply(&mut config.limits);
    config.peers = peer_services(&args, &limits);
    let backbone = context.interrupt.or(start(config)).await?;
    let url = backbone.url();
    server::warn_of_exposure(backbone.local_addr(), "backbone", context.output);
    let peer = backbone.peer_services();
    let metrics = backbone.metrics_addr().map(|address| format!("http://{address}/metrics"));
    let told = context.output.data(&ready(&url, metrics.as_deref(), peer.as_ref()), || url.clone());
    if told.is_ok() {
        if let Some(metrics) = metrics {
            context.output.talk(format!("metrics are at {metrics}"));
        }
        if let Some(peer) = &peer {
            tell_of_peer(peer, args.peer_announce.is_empty(), context.output);
        }
        context.output.talk("serving until Ctrl-C");
        context.interrupt.asked().await;
        context.output.talk("stopping");
    }
    backbone.shutdown().await?;
    told
}

/// What it does for peers, if they can reach it.
fn peer_services(args: &BackboneArgs, limits: &BackboneLimits) -> Option<PeerServices> {
    let addresses = PeerAddresses { listen: args.peer_listen.clone(), announce: args.peer_announce.clone() };
    let mut services = (!addresses.listen.is_empty()).then(|| limits.peer_services(&addresses))?;
    services.relay = services.relay.filter(|_| !args.no_relay);
    services.rendezvous = services.rendezvous.filter(|_| !args.no_rendezvous);
    Some(services)
}

/// The line for scripts.
fn ready(url: &str, metrics: Option<&str>, peer: Option<&PeerDescription>) -> Value {
    let mut line = json!({ "url": url });
    if let Some(metrics) = metrics {
        line["metrics"] = json!({ "url": metrics });
    }
    if let Some(peer) = peer {
        line["peer"] = json!({ "id": peer.peer_id, "addresses": peer.addresses });
    }
    line
}

/// Says where peers reach it.
fn tell_of_peer(peer: &PeerDescription, is_found: bool, output: Output) {
    for address in &peer.addresses {
        output.talk(format!("peers connect to {address}"));
    }
    if is_found {
        output.talk("if peers reach this machine at another address, give it with --peer-announce");
    }
}

async fn start(config: Config) -> Result<Backbone, Failure> {
    Backbone::start(config).await.map_err(|error| NAMES.failure(error))
}

fn clients(args: &BackboneArgs, limits: &BackboneLimits) -> Result<Vec<OAuthClient>, Failure> {
    let mut clients = Vec::new();
    for text in &args.client {
        clients.push(Client::parse(text, "given with --client or ENLACE_CLIENT")?);
    }
    for path in &args.client_file {
        clients.push(Client::read(path)?);
    }
    if clients.is_empty() && !args.guests && !args.listen.ip().is_loopback() {
        return Err(Failure::usage("other machines can reach this address, and no OAuth client is given")
            .hint("give an OAuth client with --client-file FILE, or accept everybody with --guests"));
    }
    let mut clients: Vec<_> = clients.iter().map(|client| limits.client(&client.id, client.secret.expose())).collect();
    // Without any client it serves this machine only, and accepts guests.
    if args.guests || clients.is_empty() {
        clients.push(limits.guest());
    }
    Ok(clients)
}
