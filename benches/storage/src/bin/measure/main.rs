//! Measures a node and a backbone against the limit of the machine, and against another version.
//!
//! The sides alternate in short slices, so that other load on the machine affects all of them equally.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod growth;
mod large;
mod memory;
mod passwords;
mod resume;
mod side;
mod small;
mod speed;
mod transfer;
mod uses;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use enlace_benches::Result;
use tempfile::TempDir;

const MIB: usize = 1024 * 1024;
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

/// Options of all measurements.
#[derive(Args)]
struct Common {
    /// Program to measure.
    #[arg(long, global = true, default_value = "target/release/enlace")]
    enlace: PathBuf,
    /// Program to compare it with, for instance the previous version.
    #[arg(long, global = true)]
    baseline: Option<PathBuf>,
    /// Directory for the data, whose disk is part of the measurement. Default: the system's temporary directory.
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
}

#[derive(Subcommand)]
enum What {
    /// Tokens per second as a ratio to the limit; CPU time and context switches per token.
    Speed(speed::Options),
    /// Rate, lists, memory, disk and restart as tokens accumulate.
    Growth(growth::Options),
    /// Resident memory after a mixed load.
    Memory,
    /// Tokens with a password, with one and several clients.
    Passwords(passwords::Options),
    /// Counted uses of tokens beside stored tokens.
    Uses(uses::Options),
    /// Upload and download of 1 and 10 MiB.
    Transfer(transfer::Options),
    /// A large file of format v2 from disk to disk, and what limits its rate.
    Large(large::Options),
    /// Many small files in one share, from disk to disk.
    Small(small::Options),
    /// A large file whose way is interrupted and continued.
    Resume(resume::Options),
}

impl Common {
    /// A temporary directory, removed on drop.
    fn scratch(&self) -> Result<TempDir> {
        Ok(match &self.dir {
            Some(dir) => TempDir::new_in(dir)?,
            None => TempDir::new()?,
        })
    }

    /// The programs with their names in tables, the measured one first.
    fn programs(&self) -> Vec<(&'static str, &Path)> {
        let baseline = self.baseline.as_deref().map(|program| (BASELINE, program));
        std::iter::once((MEASURED, self.enlace.as_path())).chain(baseline).collect()
    }
}

/// A single thread, so that the client takes as little CPU time as possible from the measured processes.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let Arguments { common, what } = Arguments::parse();
    println!("load average at the start: {}", std::fs::read_to_string("/proc/loadavg")?.trim());
    match what {
        What::Speed(options) => speed::run(&common, &options).await,
        What::Growth(options) => growth::run(&common, &options).await,
        What::Memory => memory::run(&common).await,
        What::Passwords(options) => passwords::run(&common, &options).await,
        What::Uses(options) => uses::run(&common, &options).await,
        What::Transfer(options) => transfer::run(&common, &options).await,
        What::Large(options) => large::run(&common, &options),
        What::Small(options) => small::run(&common, &options),
        What::Resume(options) => resume::run(&common, &options),
    }
}
