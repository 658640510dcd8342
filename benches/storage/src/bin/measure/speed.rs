//! Tokens per second.

use std::time::Duration;

use clap::Args;
use enlace_benches::Result;
use enlace_benches::connection::Request;
use enlace_benches::load::{Clients, Seen, Until};
use enlace_benches::process::{Limit, Pair, Process, settle};
use enlace_benches::table::{self, figure, median};
use enlace_benches::usage::Usage;
use serde_json::json;

use crate::{BASELINE, Common, MEASURED};

/// Name of the limit in tables.
const LIMIT: &str = "limit";

/// Options of `speed`.
#[derive(Args)]
pub(crate) struct Options {
    /// Rounds; each has one slice of every job for every side.
    #[arg(long, default_value_t = 30)]
    rounds: usize,
    /// Duration of a slice in milliseconds.
    #[arg(long, default_value_t = 250)]
    slice: u64,
}

/// One job at one side.
struct Lane {
    side: &'static str,
    clients: Clients,
    /// Process ids of the backbone and of the node, or of the limit's processes.
    processes: [u32; 2],
    seen: Vec<Seen>,
    used: [Usage; 2],
}

pub(crate) async fn run(common: &Common, options: &Options) -> Result<()> {
    let scratch = common.scratch()?;
    let limit = Limit::start(&scratch.path().join("limit"))?;
    let mut pairs = Vec::new();
    for (name, program) in common.programs() {
        pairs.push((name, Pair::start(program, &scratch.path().join(name)).await?));
    }
    let mut jobs = Vec::new();
    for ephemeral in [true, false] {
        for clients in [1, 16] {
            let name = format!("{} token, {clients} client{}", kind(ephemeral), if clients > 1 { "s" } else { "" });
            let terms = json!({ "ephemeral": ephemeral });
            let front = if ephemeral { &limit.once } else { &limit.twice };
            let request = Request::json("/", &[], terms.to_string().as_bytes());
            let connected = Clients::connect(&front.authority, clients, request).await?;
            let mut lanes = vec![Lane::new(LIMIT, connected, [&limit.back, &front.process])];
            for (side, pair) in &pairs {
                let connected = Clients::connect(&pair.authority, clients, pair.token(&terms)).await?;
                lanes.push(Lane::new(side, connected, [&pair.backbone, &pair.node]));
            }
            jobs.push((name, lanes));
        }
    }
    let slice = Until::Elapsed(Duration::from_millis(options.slice));
    for round in 0..=options.rounds {
        for (name, lanes) in &mut jobs {
            let count = lanes.len();
            for turn in 0..count {
                // Rotates the order, so that no side is always first.
                lanes[(turn + round) % count].measure(slice, &pairs).await?;
            }
            eprintln!("round {round} of {}: {name}", options.rounds);
            // The first round is a warm-up.
            if round == 0 {
                lanes.iter_mut().for_each(Lane::forget);
            }
        }
    }
    print_rates(&jobs);
    print_usage(&jobs);
    print_memory(&pairs)
}

fn kind(ephemeral: bool) -> &'static str {
    if ephemeral { "ephemeral" } else { "stored" }
}

impl Lane {
    fn new(side: &'static str, clients: Clients, processes: [&Process; 2]) -> Self {
        let processes = processes.map(Process::id);
        Self { side, clients, processes, seen: Vec::new(), used: Default::default() }
    }

    async fn measure(&mut self, until: Until, pairs: &[(&str, Pair)]) -> Result<()> {
        // All processes are idle before a measurement starts.
        settle(pairs.iter().map(|(_, pair)| pair)).await?;
        let before = self.usage()?;
        self.seen.push(self.clients.run(until).await?);
        for (index, now) in self.usage()?.into_iter().enumerate() {
            self.used[index].add(now.since(before[index]));
        }
        Ok(())
    }

    fn usage(&self) -> Result<[Usage; 2]> {
        Ok([Usage::of(self.processes[0])?, Usage::of(self.processes[1])?])
    }

    fn forget(&mut self) {
        self.seen.clear();
        self.used = Default::default();
    }

    fn count(&self) -> f64 {
        self.seen.iter().map(|seen| seen.count).sum::<u64>() as f64
    }

    fn median_of(&self, figure: impl Fn(&Seen) -> f64) -> f64 {
        median(&self.seen.iter().map(figure).collect::<Vec<_>>())
    }

    /// Median of the ratios of both rates in each round.
    fn ratio(&self, other: &Self) -> f64 {
        let ratios = self.seen.iter().zip(&other.seen).map(|(ours, theirs)| ours.rate / theirs.rate);
        median(&ratios.collect::<Vec<_>>())
    }

    /// The highest rate of a slice.
    fn best(&self) -> f64 {
        self.seen.iter().map(|seen| seen.rate).fold(0.0, f64::max)
    }

    /// Compares every side with the limit, and the measured program also with the baseline.
    fn others<'a>(&self, lanes: &'a [Self]) -> [Option<&'a Self>; 2] {
        let of_side = |side: &str| lanes.iter().find(|lane| lane.side == side && lane.side != self.side);
        [of_side(LIMIT), of_side(BASELINE).filter(|_| self.side == MEASURED)]
    }
}

fn print_rates(jobs: &[(String, Vec<Lane>)]) {
    println!(
        "\nMedians over the rounds (a ratio is the median of the ratios in each round), then the best slice of each side:"
    );
    println!(
        "other work on the machine only ever takes away. Latencies are medians over the rounds in microseconds.\n"
    );
    let mut rows = Vec::new();
    for (name, lanes) in jobs {
        for lane in lanes {
            let others = lane.others(lanes);
            let shown = |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), figure);
            rows.push(vec![
                format!("{name}: {}", lane.side),
                figure(lane.median_of(|seen| seen.rate)),
                shown(others[0].map(|other| lane.ratio(other))),
                shown(others[1].map(|other| lane.ratio(other))),
                figure(lane.best()),
                shown(others[0].map(|other| lane.best() / other.best())),
                shown(others[1].map(|other| lane.best() / other.best())),
                figure(lane.median_of(|seen| f64::from(seen.p50))),
                figure(lane.median_of(|seen| f64::from(seen.p99))),
            ]);
        }
    }
    table::print(&["job: side", "tokens/s", "/limit", "/baseline", "best", "/limit", "/baseline", "p50", "p99"], &rows);
}

fn print_usage(jobs: &[(String, Vec<Lane>)]) {
    println!(
        "\nPer token, while it is measured; of the limit, the back stands for the backbone and the front for the node:\n"
    );
    let mut rows = Vec::new();
    for (name, lanes) in jobs {
        for lane in lanes {
            let each = |total: f64| figure(total / lane.count());
            let switches = lane.used.map(|used| each(used.context_switches as f64));
            let cpu = lane.used.map(|used| each(used.cpu_seconds * 1e6));
            rows.push([vec![format!("{name}: {}", lane.side)], switches.to_vec(), cpu.to_vec()].concat());
        }
    }
    table::print(&["job: side", "switches: backbone", "node", "CPU µs: backbone", "node"], &rows);
}

fn print_memory(pairs: &[(&str, Pair)]) -> Result<()> {
    println!("\nResident memory in MiB at the end, and its peak:\n");
    let mut rows = Vec::new();
    for (name, pair) in pairs {
        let (backbone, node) = pair.memory()?;
        let cells = [backbone.resident, backbone.peak, node.resident, node.peak].map(figure);
        rows.push([vec![(*name).to_owned()], cells.to_vec()].concat());
    }
    table::print(&["side", "backbone", "peak", "node", "peak"], &rows);
    Ok(())
}
