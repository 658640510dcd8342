//! The subcommands, one a file.

pub(crate) mod backbone;
pub(crate) mod cli;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod files;
pub(crate) mod identity;
pub(crate) mod next_steps;
mod peer_servers;
pub(crate) mod peers;
pub(crate) mod receive;
mod receive_direct;
pub(crate) mod serve;
pub(crate) mod shape;
pub(crate) mod share;
mod share_code;
mod share_direct;
pub(crate) mod share_early;
mod share_notify;
mod share_result;
pub(crate) mod tokens;

use self::cli::{Cli, Command};
use crate::access::Access;
use crate::args::{Global, NodeOptions, PeerOptions, ServerOptions};
use crate::config::Configuration;
use crate::data_dir::Purpose;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::node::{Plan, configuration};
use crate::output::Output;

/// What every command gets.
pub(crate) struct Context {
    /// Options of every command.
    pub(crate) global: Global,
    /// Settings of the form `--a:b=c`.
    pub(crate) overrides: Vec<(String, String)>,
    /// Where results and messages go.
    pub(crate) output: Output,
    /// Tells when to stop.
    pub(crate) interrupt: Interrupt,
}

/// Runs the command that was asked for.
///
/// # Errors
/// The failure to report.
pub(crate) async fn run(cli: Cli, overrides: Vec<(String, String)>, output: Output) -> Result<(), Failure> {
    let Cli { global, command } = cli;
    if !overrides.is_empty() && matches!(command, Command::Receive(_) | Command::Backbone(_) | Command::Completions(_))
    {
        return Err(Failure::usage(format!(
            "this command does not accept the configuration key --{}=…",
            overrides[0].0
        ))
        .hint("share, serve, identity, files, tokens, peers and doctor accept configuration keys"));
    }
    let context = Context { global, overrides, output, interrupt: Interrupt::default() };
    match command {
        Command::Share(args) => share::run(context, args).await,
        Command::Receive(args) => receive::run(context, args).await,
        Command::Serve(args) => serve::run(context, args).await,
        Command::Backbone(args) => backbone::run(context, args).await,
        Command::Identity(args) => identity::run(context, args).await,
        Command::Files(args) => files::run(context, args).await,
        Command::Tokens(args) => tokens::run(context, args).await,
        Command::Peers(args) => peers::run(context, args).await,
        Command::Doctor(args) => doctor::run(context, args).await,
        Command::Completions(args) => completions::run(&args, cli::command(), output),
    }
}

impl Context {
    /// The configuration of a node from all sources.
    pub(crate) fn configuration(
        &self,
        node: &NodeOptions,
        server: &ServerOptions,
        peers: &PeerOptions,
    ) -> Result<Configuration, Failure> {
        configuration(&self.global, node, server, peers, &self.overrides)
    }

    /// What a command is going to do with a node. Says which file the configuration is from.
    pub(crate) fn plan(&self, configuration: Configuration, node: &NodeOptions) -> Result<Plan, Failure> {
        if let Some(file) = &configuration.file {
            self.output.configuration_file(file);
        }
        let plan = Plan::new(configuration, Purpose::Node, node.change_backbone)?;
        plan.warn_of_unused_client(self.output)?;
        Ok(plan)
    }

    /// Finds or starts the node, does the work, and stops what was started, whatever came of it.
    pub(crate) async fn with_access<T>(
        &mut self,
        node: &NodeOptions,
        work: impl AsyncFnOnce(&Access) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut configuration = self.configuration(node, &ServerOptions::default(), &PeerOptions::default())?;
        if let Some(peers) = &mut configuration.settings.peers {
            peers.dials_only();
        }
        let plan = self.plan(configuration, node)?;
        let access = self.interrupt.or(Access::open(plan, self.output)).await?;
        let result = self.interrupt.or(work(&access)).await;
        let closed = access.close().await;
        result.and_then(|value| closed.map(|()| value))
    }
}
