//! Upload and download of files.

use std::time::Instant;

use clap::Args;
use enlace_benches::Result;
use enlace_benches::connection::Connection;
use enlace_benches::process::Pair;
use enlace_benches::table::{self, figure, median};

use crate::Common;

const MIB: usize = 1024 * 1024;

/// Options of `transfer`.
#[derive(Args)]
pub(crate) struct Options {
    /// Rounds; in each, every side uploads and downloads every size once.
    #[arg(long, default_value_t = 15)]
    rounds: usize,
}

/// MiB per second in each round.
#[derive(Default, Clone)]
struct Rates {
    up: Vec<f64>,
    down: Vec<f64>,
}

pub(crate) async fn run(common: &Common, options: &Options) -> Result<()> {
    let scratch = common.scratch()?;
    let mut pairs = Vec::new();
    for (name, program) in common.programs() {
        pairs.push((name, Pair::start(program, &scratch.path().join(name)).await?));
    }
    let mut rows = Vec::new();
    for size in [1, 10] {
        let content = vec![0x2a; size * MIB];
        let mut rates = vec![Rates::default(); pairs.len()];
        for round in 0..=options.rounds {
            for turn in 0..pairs.len() {
                let index = (turn + round) % pairs.len();
                let (up, down) = once(&pairs[index].1, &content).await?;
                // The first round is a warm-up.
                if round > 0 {
                    rates[index].up.push(up);
                    rates[index].down.push(down);
                }
            }
        }
        for (what, figures) in
            [("upload", (|rates| &rates.up) as fn(&Rates) -> &Vec<f64>), ("download", |rates| &rates.down)]
        {
            for (index, (name, _)) in pairs.iter().enumerate() {
                let ours = figures(&rates[index]);
                let ratio = match rates.get(1).map(figures) {
                    Some(baseline) if index == 0 => figure(median(
                        &ours.iter().zip(baseline).map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>(),
                    )),
                    _ => "-".to_owned(),
                };
                rows.push(vec![format!("{what} {size} MiB: {name}"), figure(median(ours)), ratio]);
            }
        }
        eprintln!("{size} MiB");
    }
    println!("\nMedians over the rounds:\n");
    table::print(&["job: side", "MiB/s", "/baseline"], &rows);
    Ok(())
}

/// MiB per second up and down.
async fn once(pair: &Pair, content: &[u8]) -> Result<(f64, f64)> {
    let mebibytes = content.len() as f64 / MIB as f64;
    pair.settle().await?;
    let request = pair.upload_of(content);
    let mut connection = Connection::open(&pair.authority).await?;
    let mut body = Vec::new();
    let began = Instant::now();
    let answer = connection.exchange(&request, &mut body).await?;
    let up = mebibytes / began.elapsed().as_secs_f64();
    let id = enlace_benches::process::id_in(&body)
        .map_err(|error| format!("an upload was answered with {}: {error}", answer.status))?;
    let request = pair.get(&format!("Files/{id}/Download"));
    let began = Instant::now();
    let answer = connection.discard(&request).await?;
    let down = mebibytes / began.elapsed().as_secs_f64();
    if answer.status != 200 || answer.length != content.len() as u64 {
        return Err(format!("a download was answered with {} and {} bytes", answer.status, answer.length).into());
    }
    Ok((up, down))
}
