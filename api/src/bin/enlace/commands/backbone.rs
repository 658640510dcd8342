//! `enlace backbone`: the server alone.

use std::net::SocketAddr;

use backbone_mock::{Backbone, Config, Limits, OAuthClient};
use clap::Args;
use serde_json::json;

use super::Context;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::node::{BackboneLimits, Client};
use crate::platform::{self, Purpose};
use crate::{passwords, port, server};

/// Run a backbone alone.
///
/// It stores what nodes seal and hands it to whom the seals allow; it cannot read it. Put a TLS proxy in front before
/// other machines use it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    enlace backbone\n  \
    enlace backbone --listen 127.0.0.1:4710 --data-dir ./backbone --client-file client.txt\n  \
    enlace backbone --listen 127.0.0.1:0 --did-domain-name localhost --json")]
pub(crate) struct BackboneArgs {
    /// Address; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value_t = SocketAddr::from(([127, 0, 0, 1], port::BACKBONE)))]
    listen: SocketAddr,
    /// Host name inside the addresses of identities; the one by which nodes reach this backbone
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    did_domain_name: String,
    /// OAuth client that may use it; can be given several times
    ///
    /// Others on this machine can read it, so prefer --client-file. Without any client, and on loopback only, the
    /// public client `enlace-guest` is known.
    #[arg(long, value_name = "ID:SECRET", env = "ENLACE_CLIENT", hide_env_values = true)]
    client: Vec<String>,
    /// File whose first line is ID:SECRET of an OAuth client; can be given several times
    #[arg(long, value_name = "FILE")]
    client_file: Vec<std::path::PathBuf>,
    /// Know the public client of `enlace receive` as well
    #[arg(long)]
    guests: bool,
    /// Largest file of a node, in bytes before it is sealed
    ///
    /// Nodes have a limit of their own: the configuration key transportLibrary.platformMaxUnencryptedFileSize.
    #[arg(long, value_name = "BYTES", default_value_t = runtime::Config::DEFAULT_MAX_FILE_SIZE)]
    max_file_size: u64,
    /// What others may do, as NAME=NUMBER; can be given several times
    ///
    /// The names are those below `enlace.backbone.limits` in the configuration of a node.
    #[arg(long, value_name = "NAME=NUMBER")]
    limit: Vec<String>,
}

/// Runs it.
pub(crate) async fn run(mut context: Context, args: BackboneArgs) -> Result<(), Failure> {
    let path = match &context.global.data_dir {
        Some(path) => path.clone(),
        None => platform::default_data_dir(Purpose::Backbone)?,
    };
    let mut config = Config::new(DataDir::open(path)?.path());
    config.listen = args.listen;
    config.did_domain_name.clone_from(&args.did_domain_name);
    let mut limits = BackboneLimits::default();
    args.limit.iter().try_for_each(|limit| limits.set(limit))?;
    config.clients = clients(&args, &limits)?;
    config.limits = Limits::for_files_of(args.max_file_size);
    limits.apply(&mut config.limits);
    let started = Backbone::start(config).await.map_err(|error| match error {
        backbone_mock::Error::Listen { address, source } => port::unavailable(address, &source, "backbone", "--listen"),
        other => Failure::from(other),
    });
    let backbone = started?;
    let url = backbone.url();
    context.output.data(&json!({ "url": url }), || url.clone());
    server::warn_of_exposure(backbone.local_addr(), "backbone", context.output);
    context.output.talk("serving until Ctrl-C");
    context.interrupt.asked().await;
    context.output.talk("stopping");
    Ok(backbone.shutdown().await?)
}

fn clients(args: &BackboneArgs, limits: &BackboneLimits) -> Result<Vec<OAuthClient>, Failure> {
    let mut clients = Vec::new();
    for text in &args.client {
        clients.push(Client::parse(text)?);
    }
    for path in &args.client_file {
        clients.push(Client::parse(passwords::read(path)?.expose())?);
    }
    if clients.is_empty() && !args.guests && !args.listen.ip().is_loopback() {
        return Err(Failure::usage("no OAuth client is given, and other machines can reach this address")
            .hint("say who may use it with --client-file FILE, or let everybody with --guests"));
    }
    let mut clients: Vec<_> = clients.iter().map(|client| limits.client(&client.id, client.secret.expose())).collect();
    // Without any client it serves this machine only, of which everybody is a guest.
    if args.guests || clients.is_empty() {
        clients.push(limits.guest());
    }
    Ok(clients)
}
