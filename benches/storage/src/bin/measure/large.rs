//! A large file of format v2, from disk to disk: `share`, a backbone and `receive` as processes of their own.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use clap::Args;
use enlace_benches::Result;
use enlace_benches::table::{self, figure, median};

use crate::side::{Side, Way};
use crate::{Common, MEASURED, MIB};

/// What one measured second is divided by.
const MB: f64 = 1e6;
const HEADING: [&str; 7] = ["way", "MB/s", "CPU command", "CPU backbone", "cores used", "/disk", "/baseline"];

/// Options of `large`.
#[derive(Args)]
pub(crate) struct Options {
    /// MiB of the file. So much is needed on the disk for each round, and three times more.
    #[arg(long, default_value_t = 1024)]
    mib: usize,
    /// Rounds; in each, every side sends the file once and receives it once.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// All ways of one side.
#[derive(Default)]
struct Ways {
    up: Vec<Way>,
    down: Vec<Way>,
}

pub(crate) fn run(common: &Common, options: &Options) -> Result<()> {
    let scratch = common.scratch()?;
    let (large, small) = (scratch.path().join("large.bin"), scratch.path().join("small.bin"));
    fs::write(&small, b"1")?;
    // Each into another file: memory that the system has for a file already is faster than memory that it has to get.
    let mut disk = vec![write(&large, options.mib)?];
    let mut sides = Vec::new();
    for (name, program) in common.programs() {
        sides.push((name, Side::start(program, scratch.path().join(name))?, Ways::default()));
    }
    for round in 0..options.rounds {
        for turn in 0..sides.len() {
            let index = (turn + round) % sides.len();
            let (name, side, ways) = &mut sides[index];
            // Starting and stopping is not part of the way.
            let (up, down) = side.both_ways(&large)?.less(side.both_ways(&small)?);
            eprintln!("{name}, round {}: {} and {} MB/s", round + 1, rate(up, options.mib), rate(down, options.mib));
            ways.up.push(up);
            ways.down.push(down);
        }
        disk.push(write(&scratch.path().join(format!("limit-{round}.bin")), options.mib)?);
    }
    print(options.mib, &disk, &sides.into_iter().map(|(name, _, ways)| (name, ways)).collect::<Vec<_>>());
    Ok(())
}

fn rate(way: Way, mib: usize) -> String {
    figure((mib * MIB) as f64 / MB / way.seconds)
}

fn print(mib: usize, disk: &[f64], sides: &[(&str, Ways)]) {
    let megabytes = (mib * MIB) as f64 / MB;
    let mut rows = vec![vec!["disk: written and flushed".to_owned(), figure(megabytes / median(disk))]];
    rows[0].resize(HEADING.len(), "-".to_owned());
    for (name, all) in sides {
        let baseline = sides.get(1).map(|(_, baseline)| baseline).filter(|_| *name == MEASURED);
        rows.push(row(&format!("share: {name}"), megabytes, disk, &all.up, baseline.map(|all| &*all.up)));
        rows.push(row(&format!("receive: {name}"), megabytes, disk, &all.down, baseline.map(|all| &*all.down)));
    }
    println!("\nMedians over the rounds; CPU seconds per GB of the command and of the backbone:\n");
    table::print(&HEADING, &rows);
}

fn row(what: &str, megabytes: f64, disk: &[f64], ways: &[Way], baseline: Option<&[Way]>) -> Vec<String> {
    let mid = |ways: &[Way], part: fn(&Way) -> f64| median(&ways.iter().map(part).collect::<Vec<_>>());
    let seconds = mid(ways, |way| way.seconds);
    let (end, backbone) = (mid(ways, |way| way.end), mid(ways, |way| way.backbone));
    let ratio = baseline.map(|baseline| mid(baseline, |way| way.seconds) / seconds);
    let per_gigabyte = 1000.0 / megabytes;
    let cells = [
        megabytes / seconds,
        end * per_gigabyte,
        backbone * per_gigabyte,
        (end + backbone) / seconds,
        median(disk) / seconds,
    ];
    let mut row = vec![what.to_owned()];
    row.extend(cells.map(figure));
    row.push(ratio.map_or_else(|| "-".to_owned(), figure));
    row
}

/// Seconds that it takes to fill a file and flush it. The bytes do not repeat within a disk's block.
pub(crate) fn write(path: &Path, mib: usize) -> Result<f64> {
    let mut state = 1u64;
    let mut piece = vec![0; 4 * MIB];
    for word in piece.chunks_exact_mut(8) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        word.copy_from_slice(&state.to_le_bytes());
    }
    let began = Instant::now();
    let mut file = File::create(path)?;
    for start in (0..mib).step_by(4) {
        file.write_all(&piece[..(mib - start).min(4) * MIB])?;
    }
    file.sync_data()?;
    Ok(began.elapsed().as_secs_f64())
}
