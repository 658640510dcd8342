//! Tokens with a password: each needs a slow hash, so only the CPU should limit the rate.

use std::time::Duration;

use clap::Args;
use enlace_benches::Result;
use enlace_benches::load::{Clients, Until};
use enlace_benches::process::Pair;
use enlace_benches::table::{self, figure};
use enlace_benches::usage::cpu_seconds;

use crate::Common;
use crate::memory::password;

/// Options of `passwords`.
#[derive(Args)]
pub(crate) struct Options {
    /// Seconds for each number of clients.
    #[arg(long, default_value_t = 4)]
    seconds: u64,
}

pub(crate) async fn run(common: &Common, options: &Options) -> Result<()> {
    let scratch = common.scratch()?;
    let mut pairs = Vec::new();
    for (name, program) in common.programs() {
        pairs.push((name, Pair::start(program, &scratch.path().join(name)).await?));
    }
    let mut rows = Vec::new();
    let mut alone = vec![f64::NAN; pairs.len()];
    for count in [1, 2, 4, 16] {
        for (index, (name, pair)) in pairs.iter().enumerate() {
            let mut clients = Clients::connect(&pair.authority, count, pair.token(&password())).await?;
            let used = || Ok::<_, std::io::Error>(cpu_seconds(pair.node.id())? + cpu_seconds(pair.backbone.id())?);
            let before = used()?;
            let seen = clients.run(Until::Elapsed(Duration::from_secs(options.seconds))).await?;
            let cpu = used()? - before;
            if count == 1 {
                alone[index] = seen.rate;
            }
            rows.push(vec![
                format!("{name}: {count}"),
                figure(seen.rate),
                figure(seen.rate / alone[index]),
                figure(cpu / seen.seconds),
                figure(cpu * 1e3 / seen.count as f64),
                figure(f64::from(seen.p50) / 1e3),
                figure(f64::from(seen.p99) / 1e3),
            ]);
            eprintln!("{name}: {count} clients");
        }
    }
    println!("\nTokens with a password on {} cores:\n", std::thread::available_parallelism()?);
    let heading = ["side: clients", "tokens/s", "/1 client", "cores used", "CPU ms/token", "p50 ms", "p99 ms"];
    table::print(&heading, &rows);
    Ok(())
}
