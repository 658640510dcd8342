//! `enlace serve`: a node with its REST API, until it is told to stop.

use std::path::Path;
use std::time::Duration;

use clap::Args;
use runtime::Runtime;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::share_result::peer_json;
use super::{Context, shape};
use crate::args::{NodeOptions, PeerOptions, ServerOptions};
use crate::failure::Failure;
use crate::node::Node;
use crate::output::escaped;
use crate::server::Served;

/// Run a node with its REST API.
///
/// Without a configured backbone it starts its own on this machine. The command line (`--a:b=c`) takes precedence over the
/// environment (`a__b=c`), which takes precedence over the file given with `--config`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    enlace serve\n  \
    enlace serve --listen 127.0.0.1:0 --data-dir ./node --json\n  \
    enlace serve --backbone https://backbone.example.org --client-file client.txt\n  \
    enlace serve --modules:sync:enabled=true --print-config")]
pub(crate) struct ServeArgs {
    /// Print the effective configuration with secrets masked, and exit
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    node: NodeOptions,
    #[command(flatten)]
    server: ServerOptions,
    #[command(flatten)]
    peers: PeerOptions,
}

/// Earlier versions read this file from the working directory.
const FORMER_CONFIG_FILE: &str = "config.json";

/// Runs it.
pub(crate) async fn run(mut context: Context, args: ServeArgs) -> Result<(), Failure> {
    if args.node.config.is_none() && Path::new(FORMER_CONFIG_FILE).exists() {
        let message = format!("{FORMER_CONFIG_FILE} in this directory is not read");
        context.output.warning(&message, &format!("if it is yours, add --config {FORMER_CONFIG_FILE}"));
    }
    let configuration = context.configuration(&args.node, &args.server, &args.peers)?;
    let masked = configuration.masked();
    if args.print_config {
        return context.output.data(&masked, || escaped(&serde_json::to_string_pretty(&masked).unwrap_or_default()));
    }
    let plan = context.plan(configuration, &args.node)?;
    let (settings, file) = (plan.settings.clone(), plan.configuration_file.clone());
    let node = context.interrupt.or(Node::start(plan)).await?;
    let served = Served::start(&node, &settings, masked).await;
    let result = serve(&mut context, &node, served, file.as_deref(), settings.sync_interval).await;
    node.stop().await?;
    result
}

async fn serve(
    context: &mut Context,
    node: &Node,
    served: Result<Served, Failure>,
    configuration_file: Option<&Path>,
    sync_interval: Option<Duration>,
) -> Result<(), Failure> {
    let served = served?;
    let address = node.runtime.account().identity_info().await?.address;
    let mut value = json!({
        "identity": { "address": address },
        "rest": served.json(),
        "appwrite": served.appwrite_json(),
        "backbone": { "url": node.backbone_url },
        "peer": peer_json(node.runtime.peers().connectivity().as_ref()),
    });
    if let Some(file) = configuration_file {
        value["configurationFile"] = json!(file.to_string_lossy());
    }
    let told = context.output.data(&value, || {
        let rest = served.url().map_or_else(|| "off".to_owned(), |url| format!("{url}/api/v2"));
        let key = served.api_key_file().display().to_string();
        let mut rows = vec![("Identity", address.to_string()), ("REST API", rest), ("API key", key)];
        rows.extend(served.appwrite_rows());
        rows.push(("Backbone", node.backbone_url.clone()));
        shape::labelled(&rows)
    });
    if told.is_err() {
        served.stop().await;
        return told;
    }
    served.warn(context.output);
    context.output.talk("serving until Ctrl-C");
    let sync = sync_interval.map(|interval| Sync::start(node.runtime.clone(), interval));
    context.interrupt.asked().await;
    context.output.talk("stopping");
    if let Some(sync) = sync {
        sync.stop().await;
    }
    served.stop().await;
    Ok(())
}

/// Synchronizes at once and then periodically.
struct Sync {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Sync {
    fn start(runtime: Runtime, interval: Duration) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            loop {
                if let Err(error) = runtime.account().sync_everything().await {
                    tracing::warn!(%error, "the periodic synchronization failed; it will be retried");
                }
                tokio::select! {
                    () = tokio::time::sleep(interval) => {}
                    _ = &mut stopped => return,
                }
            }
        });
        Self { stop, task }
    }

    /// Lets a run that is under way end.
    async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}
