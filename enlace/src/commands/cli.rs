//! The command line: what can be said, with examples.

use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use super::{backbone, completions, doctor, files, identity, peers, receive, serve, share, tokens};
use crate::args::Global;
use crate::code::Kind;

/// Share files end-to-end encrypted by short references, and receive them.
///
/// Without configuration, `share` and `serve` start their own backbone on this machine. Results are written to standard
/// output, messages to standard error.
#[derive(Debug, Parser)]
#[command(
    name = "enlace",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = after_help(),
    after_long_help = after_help(),
)]
pub(crate) struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

// The help text of each command is at the type of its arguments; a doc comment here would replace it.
/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Share(share::ShareArgs),
    Receive(receive::ReceiveArgs),
    Serve(serve::ServeArgs),
    Backbone(backbone::BackboneArgs),
    Identity(identity::IdentityArgs),
    Files(files::FilesArgs),
    Tokens(tokens::TokensArgs),
    Peers(peers::PeersArgs),
    Doctor(doctor::DoctorArgs),
    Completions(completions::CompletionsArgs),
}

/// Reads the command line, and the environment where an option has a variable.
///
/// # Errors
/// What clap reports, help and version included.
pub(crate) fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let matches = without_empty_variables(Cli::command()).try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

/// An empty variable counts as not set: scripts and containers cannot always leave one out.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |arg: &clap::Arg| arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| if is_empty(&arg) { arg.env(clap::builder::Resettable::Reset) } else { arg })
        .mut_subcommands(without_empty_variables)
}

/// The whole command, for completion scripts.
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

fn after_help() -> String {
    format!(
        "Examples:\n  \
           enlace share report.pdf                      share a file until Ctrl-C\n  \
           enlace receive 'http://localhost:4710/r/…'   receive it in another terminal\n  \
           enlace serve --data-dir ./node               run a node with its REST API\n  \
           enlace files list --json                     list the files of this node\n\n{}",
        Kind::table()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_command_has_examples_in_its_help() {
        fn check(command: &mut clap::Command) {
            if command.get_name() != "help" && !command.has_subcommands() {
                let help = command.render_long_help().to_string();
                assert!(help.contains("Examples:\n  enlace "), "{}:\n{help}", command.get_name());
            }
            command.get_subcommands_mut().for_each(check);
        }
        check(&mut command());
    }
}
