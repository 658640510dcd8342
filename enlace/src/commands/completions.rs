//! `enlace completions SHELL`.

use clap::Args;
use clap_complete::Shell;

use crate::failure::Failure;
use crate::output::Output;

/// Print a completion script for a shell.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    enlace completions bash > ~/.local/share/bash-completion/completions/enlace\n  \
    enlace completions zsh > ~/.zfunc/_enlace\n  \
    enlace completions fish > ~/.config/fish/completions/enlace.fish")]
pub(crate) struct CompletionsArgs {
    /// Shell for which to print the script
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs it.
pub(crate) fn run(args: &CompletionsArgs, mut command: clap::Command, output: Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "enlace", &mut script);
    let text = String::from_utf8(script).map_err(|error| Failure::general(error.to_string()))?;
    output.text(&text)
}
