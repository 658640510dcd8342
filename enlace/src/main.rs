//! `enlace`: share a file, receive one, run a node or a backbone.
//!
//! This file only wires: arguments in, a command run, an exit code out. Each subcommand has a file under `commands`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod access;
mod api_key;
mod args;
mod client;
mod code;
mod commands;
mod config;
mod confirm;
mod data_dir;
mod exclude;
mod failure;
mod format;
mod home;
mod interrupt;
mod limits;
mod listen_address;
mod logging;
mod memory;
mod node;
mod output;
mod passwords;
mod paths;
mod peer_address;
mod port;
mod progress;
mod qr;
mod reach;
mod receive;
mod rest_client;
mod rest_lines;
mod running;
mod server;
mod similar;
mod size;
mod source_file;
mod source_stream;
mod source_text;
mod source_tree;
mod terms;
mod text_file;
mod time;
mod walk;
mod wording;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::code::Kind;
use crate::commands::cli::{self, Cli};
use crate::failure::Failure;
use crate::output::Output;

fn main() -> ExitCode {
    durable::private::restrict_process();
    listener::raise_descriptor_limit();
    let (arguments, overrides) = args::split_overrides(std::env::args_os());
    let cli = match cli::parse(&arguments) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, &arguments),
    };
    let output = Output::new(cli.global.json);
    logging::start(&cli.global);
    match run(cli, overrides, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            failure.exit_code()
        }
    }
}

/// Help, the version, or what is wrong with the command line; the latter as JSON for scripts.
fn refuse(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    let arguments: Vec<String> = arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let json = arguments.iter().any(|argument| argument == "--json");
    if let Some(failure) = similar::failure(error, &arguments) {
        Output::new(json).failure(&failure);
        return failure.exit_code();
    }
    let asks_for_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand || !error.use_stderr();
    if asks_for_help {
        return help(error, json);
    }
    if !json {
        error.exit();
    }
    let text = error.to_string();
    let message = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    let words: Vec<&str> = message.split_whitespace().collect();
    let failure = Failure::usage(words.join(" ")).hint("`enlace COMMAND --help` shows the options and examples");
    Output::new(true).failure(&failure);
    failure.exit_code()
}

/// Help or the version. Where it was not asked for, clap writes it to standard error and says with which code to end.
fn help(error: &clap::Error, json: bool) -> ExitCode {
    match error.print() {
        Err(why) if !error.use_stderr() => {
            let failure = output::unwritable(&why);
            Output::new(json).failure(&failure);
            failure.exit_code()
        }
        _ => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Kind::Usage as u8)),
    }
}

fn run(cli: Cli, overrides: Vec<(String, String)>, output: Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::general(format!("cannot start worker threads: {}", failure::reason(&error))))?;
    let result = runtime.block_on(commands::run(cli, overrides, output));
    // Blocking work that is still under way (a terminal prompt, a file read) must not hold up the exit.
    runtime.shutdown_background();
    result
}
