//! `enlace backbone`: the server alone.

use std::net::SocketAddr;

use backbone_mock::{Backbone, Config, Limits, OAuthClient};
use clap::Args;
use serde_json::json;

use super::Context;
use crate::client::Client;
use crate::data_dir::{DataDir, Purpose, default_data_dir};
use crate::failure::Failure;
use crate::limits::BackboneLimits;
use crate::{port, server};

/// Run a standalone backbone.
///
/// It stores the encrypted data of nodes and serves it to authorized clients, but cannot decrypt it. Put a TLS proxy in
/// front before other machines use it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    enlace backbone\n  \
    enlace backbone --listen 127.0.0.1:4710 --data-dir ./backbone --client-file client.txt\n  \
    enlace backbone --listen 127.0.0.1:0 --did-domain-name localhost --json")]
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
    config.did_domain_name.clone_from(&args.did_domain_name);
    let mut limits = BackboneLimits::default();
    args.limit.iter().try_for_each(|limit| limits.set(limit))?;
    config.clients = clients(&args, &limits)?;
    config.limits = Limits::for_files_of(args.max_file_size);
    limits.apply(&mut config.limits);
    let backbone = context.interrupt.or(start(config)).await?;
    let url = backbone.url();
    server::warn_of_exposure(backbone.local_addr(), "backbone", context.output);
    let told = context.output.data(&json!({ "url": url }), || url.clone());
    if told.is_ok() {
        context.output.talk("serving until Ctrl-C");
        context.interrupt.asked().await;
        context.output.talk("stopping");
    }
    backbone.shutdown().await?;
    told
}

async fn start(config: Config) -> Result<Backbone, Failure> {
    Backbone::start(config).await.map_err(|error| match error {
        backbone_mock::Error::Listen(error) => port::unavailable(&error, "backbone", "--listen"),
        other => Failure::from(other),
    })
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
