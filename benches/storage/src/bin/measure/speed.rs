//! Tokens per second.

use std::time::Duration;

use clap::Args;
use enlace_benches::Result;
use enlace_benches::connection::Request;
use enlace_benches::load::{Clients, Seen, Until};
use enlace_benches::process::{Limit, Pair, settle};
use enlace_benches::table::{self, figure, median};
use enlace_benches::usage::Usage;
use serde_json::json;

use crate::Common;

/// How long it is measured.
#[derive(Args)]
pub(crate) struct Options {
    /// Rounds; each has one slice of every job for every side.
    #[arg(long, default_value_t = 30)]
    rounds: usize,
    /// Milliseconds of a slice.
    #[arg(long, default_value_t = 250)]
    slice: u64,
}

/// One job at one side.
struct Lane {
    clients: Clients,
    /// Whose use is counted: backbone and node. Absent for the limit.
    pair: Option<usize>,
    seen: Vec<Seen>,
    backbone: Usage,
    node: Usage,
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
            let mut lanes = vec![Lane::new(Clients::connect(front, clients, request).await?, None)];
            for (index, (_, pair)) in pairs.iter().enumerate() {
                let connected = Clients::connect(&pair.authority, clients, pair.token(&terms)).await?;
                lanes.push(Lane::new(connected, Some(index)));
            }
            jobs.push((name, lanes));
        }
    }
    let slice = Until::Elapsed(Duration::from_millis(options.slice));
    for round in 0..=options.rounds {
        for (name, lanes) in &mut jobs {
            let count = lanes.len();
            for turn in 0..count {
                // Nobody always comes first.
                lanes[(turn + round) % count].measure(slice, &pairs).await?;
            }
            eprintln!("round {round} of {}: {name}", options.rounds);
            // The first round warms up.
            if round == 0 {
                lanes.iter_mut().for_each(Lane::forget);
            }
        }
    }
    print_rates(&jobs, &pairs);
    print_usage(&jobs, &pairs);
    print_memory(&pairs)
}

fn kind(ephemeral: bool) -> &'static str {
    if ephemeral { "ephemeral" } else { "stored" }
}

impl Lane {
    fn new(clients: Clients, pair: Option<usize>) -> Self {
        Self { clients, pair, seen: Vec::new(), backbone: Usage::default(), node: Usage::default() }
    }

    async fn measure(&mut self, until: Until, pairs: &[(&str, Pair)]) -> Result<()> {
        // The background work of everybody is over before anybody is measured.
        settle(pairs.iter().map(|(_, pair)| pair)).await?;
        let Some((_, pair)) = self.pair.map(|index| &pairs[index]) else {
            self.seen.push(self.clients.run(until).await?);
            return Ok(());
        };
        let before = (Usage::of(pair.backbone.id())?, Usage::of(pair.node.id())?);
        self.seen.push(self.clients.run(until).await?);
        self.backbone.add(Usage::of(pair.backbone.id())?.since(before.0));
        self.node.add(Usage::of(pair.node.id())?.since(before.1));
        Ok(())
    }

    fn forget(&mut self) {
        self.seen.clear();
        (self.backbone, self.node) = (Usage::default(), Usage::default());
    }

    fn count(&self) -> f64 {
        self.seen.iter().map(|seen| seen.count).sum::<u64>() as f64
    }

    fn median_of(&self, figure: impl Fn(&Seen) -> f64) -> f64 {
        median(&self.seen.iter().map(figure).collect::<Vec<_>>())
    }

    /// Median over the rounds of the ratio of both rates in the same round.
    fn ratio(&self, other: &Self) -> f64 {
        let ratios = self.seen.iter().zip(&other.seen).map(|(ours, theirs)| ours.rate / theirs.rate);
        median(&ratios.collect::<Vec<_>>())
    }

    /// The highest rate of a slice.
    fn best(&self) -> f64 {
        self.seen.iter().map(|seen| seen.rate).fold(0.0, f64::max)
    }

    /// Everybody is compared with the limit, the measured program with the baseline too.
    fn is_compared_with(&self, other: &Self) -> bool {
        self.pair != other.pair && (other.pair.is_none() || self.pair == Some(0))
    }
}

fn print_rates(jobs: &[(String, Vec<Lane>)], pairs: &[(&str, Pair)]) {
    println!(
        "\nMedians over the rounds; a ratio is the median of the ratios of each round. The rate and its ratio suffer"
    );
    println!("from other work on the machine; the median latency (p50, microseconds) hardly does.\n");
    let mut rows = Vec::new();
    for (name, lanes) in jobs {
        for lane in lanes {
            let side = lane.pair.map_or("limit", |index| pairs[index].0);
            let rate = |seen: &Seen| seen.rate;
            let others = [lanes.first(), lanes.get(2)];
            let others = others.map(|other| other.filter(|other| lane.is_compared_with(other)));
            let shown = |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), figure);
            rows.push(vec![
                format!("{name}: {side}"),
                figure(lane.median_of(rate)),
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

fn print_usage(jobs: &[(String, Vec<Lane>)], pairs: &[(&str, Pair)]) {
    println!("\nPer token:\n");
    let mut rows = Vec::new();
    for (name, lanes) in jobs {
        for lane in lanes {
            let Some(index) = lane.pair else { continue };
            let each = |total: f64| figure(total / lane.count());
            rows.push(vec![
                format!("{name}: {}", pairs[index].0),
                each(lane.backbone.context_switches as f64),
                each(lane.node.context_switches as f64),
                each(lane.backbone.cpu_seconds * 1e6),
                each(lane.node.cpu_seconds * 1e6),
            ]);
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
