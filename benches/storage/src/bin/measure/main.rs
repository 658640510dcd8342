//! Measures a node and a backbone against the limit of the machine, and against another version.
//!
//! Sides take turns in short slices, so that other work on the machine meets all of them alike.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod growth;
mod memory;
mod passwords;
mod speed;
mod transfer;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use enlace_benches::Result;
use tempfile::TempDir;

/// Name of the measured program in tables.
const MEASURED: &str = "enlace";
/// Name of the program it is compared with.
const BASELINE: &str = "baseline";

/// Measures a node and a backbone against the limit of the machine, and against another version.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    what: What,
}

/// What is measured, and where.
#[derive(Args)]
struct Common {
    /// Program to measure.
    #[arg(long, global = true, default_value = "target/release/enlace")]
    enlace: PathBuf,
    /// Program to compare it with, for instance the version before.
    #[arg(long, global = true)]
    baseline: Option<PathBuf>,
    /// Where the data lies while it runs; its disk is part of what is measured. Default: the directory for temporary files.
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
}

#[derive(Subcommand)]
enum What {
    /// Tokens per second as a ratio to the limit; processor time and context switches per token.
    Speed(speed::Options),
    /// What many tokens do to rate, lists, memory, disk and restart.
    Growth(growth::Options),
    /// Resident memory after a mixed load.
    Memory,
    /// Tokens with a password, one client and many.
    Passwords(passwords::Options),
    /// Upload and download of 1 and 10 MiB.
    Transfer(transfer::Options),
}

impl Common {
    /// A directory that is removed in the end.
    fn scratch(&self) -> Result<TempDir> {
        Ok(match &self.dir {
            Some(dir) => TempDir::new_in(dir)?,
            None => TempDir::new()?,
        })
    }

    /// The programs with their names in tables; the measured one comes first.
    fn programs(&self) -> Vec<(&'static str, &Path)> {
        let baseline = self.baseline.as_deref().map(|program| (BASELINE, program));
        std::iter::once((MEASURED, self.enlace.as_path())).chain(baseline).collect()
    }
}

/// One thread: the client must not take the processor from what it measures.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Arguments { common, what } = Arguments::parse();
    println!("load average at the start: {}", std::fs::read_to_string("/proc/loadavg")?.trim());
    match what {
        What::Speed(options) => speed::run(&common, &options).await,
        What::Growth(options) => growth::run(&common, &options).await,
        What::Memory => memory::run(&common).await,
        What::Passwords(options) => passwords::run(&common, &options).await,
        What::Transfer(options) => transfer::run(&common, &options).await,
    }
}
