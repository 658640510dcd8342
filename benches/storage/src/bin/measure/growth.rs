//! Rate, lists, memory, disk and restart as tokens accumulate.

use std::time::{Duration, Instant};

use clap::Args;
use enlace_benches::connection::{Connection, Request};
use enlace_benches::load::{Clients, Seen, Until};
use enlace_benches::process::{Limit, Pair};
use enlace_benches::table::{self, figure, median};
use enlace_benches::{Result, usage};
use serde_json::json;

use crate::Common;

/// Number of tokens between two readings.
const WINDOW: u64 = 10_000;
/// Number of clients that create tokens.
const CLIENTS: usize = 16;
/// Number of times a list is read; the median is reported.
const LISTS: usize = 5;
/// Longer lists are read only once.
const LARGE_LIST: u64 = 100_000;
/// Duration of the limit's slice after each printed window.
const SLICE: Duration = Duration::from_secs(1);
/// Number of the limit's slices that a window is compared with.
const LIMIT_SLICES: usize = 3;

/// Options of `growth`.
#[derive(Args)]
pub(crate) struct Options {
    /// Final number of tokens.
    #[arg(long, default_value_t = 1_000_000)]
    tokens: u64,
    /// Create ephemeral tokens, which the node does not store.
    #[arg(long)]
    ephemeral: bool,
}

pub(crate) async fn run(common: &Common, options: &Options) -> Result<()> {
    let scratch = common.scratch()?;
    let limit = Limit::start(&scratch.path().join("limit"))?;
    let mut pair = Pair::start(&common.enlace, &scratch.path().join("enlace")).await?;
    let disk_before = pair.disk_bytes()?;
    let terms = json!({ "ephemeral": options.ephemeral });
    let mut clients = Clients::connect(&pair.authority, CLIENTS, pair.token(&terms)).await?;
    let front = if options.ephemeral { &limit.once.authority } else { &limit.twice.authority };
    let request = Request::json("/", &[], terms.to_string().as_bytes());
    let mut at_limit = Clients::connect(front, CLIENTS, request).await?;

    let first = pair.create(&terms).await?;
    let mut made = 1;
    let mut growth = Vec::new();
    let mut lists = Vec::new();
    let began = Instant::now();
    for target in readings(options.tokens) {
        let seen = clients.run(Until::Count(target - made)).await?;
        made = target;
        if !target.is_multiple_of(WINDOW) && target != options.tokens {
            // A reading only for the list of this length.
            lists.push(list(&pair, target).await?);
            continue;
        }
        if is_printed(target, options.tokens) {
            let mut rates = Vec::new();
            for _ in 0..LIMIT_SLICES {
                rates.push(at_limit.run(Until::Elapsed(SLICE / LIMIT_SLICES as u32)).await?.rate);
            }
            growth.push(window(target, &seen, median(&rates), &pair)?);
            eprintln!("{target} tokens after {:.0} s", began.elapsed().as_secs_f64());
        }
        if target == WINDOW {
            lists.push(list(&pair, target).await?);
        }
    }
    println!("\nTokens with {CLIENTS} clients, in windows of {WINDOW} tokens that end at:\n");
    table::print(
        &["tokens", "tokens/s", "limit", "/limit", "p50 µs", "p99 µs", "MiB: backbone", "peak", "node", "peak"],
        &growth,
    );

    pair.settle().await?;
    let disk = pair.disk_bytes()?;
    println!(
        "\ndisk bytes per token: backbone {}, node {}",
        figure((disk.0.saturating_sub(disk_before.0)) as f64 / made as f64),
        figure((disk.1.saturating_sub(disk_before.1)) as f64 / made as f64),
    );
    println!("settled: {}", memory(pair.memory()?));
    lists.push(list(&pair, made).await?);
    println!("after the list of all: {}\n", memory(pair.memory()?));
    table::print(&["list of", "first byte ms", "whole ms", "bytes"], &lists);

    let last = pair.create(&terms).await?;
    let (backbone, node) = pair.crash_and_restart()?;
    println!(
        "\nstart after a crash: backbone {:.0} ms, node {:.0} ms",
        backbone.as_secs_f64() * 1e3,
        node.as_secs_f64() * 1e3
    );
    if !options.ephemeral {
        for id in [&first, &last] {
            pair.ask(&pair.get(&format!("Tokens/{id}"))).await?;
        }
    }
    let began = Instant::now();
    pair.create(&terms).await?;
    println!("first token after it: {:.1} ms", began.elapsed().as_secs_f64() * 1e3);
    println!("restarted: {}", memory(pair.memory()?));
    Ok(())
}

/// Numbers of tokens at which readings are taken, in order: 1,000 for the list, then every window.
fn readings(tokens: u64) -> Vec<u64> {
    let windows = (1..).map(|window| window * WINDOW).take_while(|count| *count < tokens);
    let mut readings: Vec<u64> = [1_000].into_iter().filter(|count| *count < tokens).chain(windows).collect();
    readings.push(tokens);
    readings
}

/// Prints the first two windows, the last two, and every tenth of the way.
fn is_printed(target: u64, tokens: u64) -> bool {
    let tenth = (tokens / 10 / WINDOW).max(1) * WINDOW;
    target <= 2 * WINDOW || target.is_multiple_of(tenth) || tokens - target <= WINDOW
}

fn window(target: u64, seen: &Seen, limit: f64, pair: &Pair) -> Result<Vec<String>> {
    let (backbone, node) = pair.memory()?;
    let rates = [seen.rate, limit, seen.rate / limit, f64::from(seen.p50), f64::from(seen.p99)];
    let memory = [backbone.resident, backbone.peak, node.resident, node.peak];
    Ok([vec![target.to_string()], rates.map(figure).to_vec(), memory.map(figure).to_vec()].concat())
}

/// Reads the list of all stored tokens.
async fn list(pair: &Pair, count: u64) -> Result<Vec<String>> {
    let request = pair.get("Tokens/Own");
    let mut connection = Connection::open(&pair.authority).await?;
    let (mut first, mut whole, mut length) = (Vec::new(), Vec::new(), 0);
    for _ in 0..if count > LARGE_LIST { 1 } else { LISTS } {
        let began = Instant::now();
        let answer = connection.discard(&request).await?;
        if answer.status != 200 {
            return Err(format!("a list was answered with {}", answer.status).into());
        }
        first.push(answer.first_byte.duration_since(began).as_secs_f64() * 1e3);
        whole.push(began.elapsed().as_secs_f64() * 1e3);
        length = answer.length;
    }
    Ok(vec![count.to_string(), figure(median(&first)), figure(median(&whole)), length.to_string()])
}

fn memory((backbone, node): (usage::Memory, usage::Memory)) -> String {
    format!(
        "resident MiB (peak): backbone {} ({}), node {} ({})",
        figure(backbone.resident),
        figure(backbone.peak),
        figure(node.resident),
        figure(node.peak)
    )
}
