//! `enlace`: share a file, receive one, run a node or a backbone.
//!
//! This file only wires: arguments in, a command run, an exit code out. Each subcommand has a file under `commands`.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod access;
mod api_key;
mod args;
mod commands;
mod config;
mod data_dir;
mod failure;
mod interrupt;
mod logging;
mod memory;
mod node;
mod output;
mod passwords;
mod platform;
mod port;
mod progress;
mod qr;
mod receive;
mod rest_client;
mod running;
mod server;
mod source_file;
mod time;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;
use crate::failure::Failure;
use crate::output::Output;

fn main() -> ExitCode {
    let (arguments, overrides) = args::split_overrides(std::env::args_os());
    let cli = Cli::parse_from(arguments);
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

fn run(cli: Cli, overrides: Vec<(String, String)>, output: Output) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::general(format!("cannot start worker threads: {error}")))?;
    let result = runtime.block_on(commands::run(cli, overrides, output));
    // Blocking work that is still under way (a terminal prompt, a file read) must not hold up the exit.
    runtime.shutdown_background();
    result
}
