//! Many small files in one share, from disk to disk.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use clap::Args;
use enlace_benches::Result;
use enlace_benches::table::{self, figure, median};

use crate::side::{BothWays, Side, Way};
use crate::{Common, MEASURED};

const HEADING: [&str; 8] =
    ["way", "files/s", "without start", "CPU command", "CPU backbone", "cores used", "/copy", "/baseline"];
/// Files in each folder.
const PER_FOLDER: usize = 100;
/// No file has as many bytes; they have half of them on average.
const MAX_LENGTH: usize = 8192;

/// Options of `small`.
#[derive(Args)]
pub(crate) struct Options {
    /// Files, of up to 8 KiB and 4 KiB on average, 100 in each folder.
    #[arg(long, default_value_t = 10_000)]
    files: usize,
    /// Rounds; in each, every side sends the files once and receives them once.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// One way in all rounds: of all files, and of a single one, which tells how long it takes to start.
#[derive(Default)]
struct Ways {
    whole: Vec<Way>,
    start: Vec<f64>,
}

impl Ways {
    fn push(&mut self, whole: Way, one: Way) {
        self.whole.push(whole);
        self.start.push(one.seconds);
    }

    fn mid(&self, part: fn(&Way) -> f64) -> f64 {
        median(&self.whole.iter().map(part).collect::<Vec<_>>())
    }
}

pub(crate) fn run(common: &Common, options: &Options) -> Result<()> {
    let scratch = common.scratch()?;
    let (many, one) = (scratch.path().join("many"), scratch.path().join("one"));
    create(&many, options.files)?;
    create(&one, 1)?;
    let mut sides = Vec::new();
    for (name, program) in common.programs() {
        sides.push((name, Side::start(program, scratch.path().join(name))?, [Ways::default(), Ways::default()]));
    }
    let mut copies = Vec::new();
    for round in 0..options.rounds {
        for turn in 0..sides.len() {
            let index = (turn + round) % sides.len();
            let (name, side, [up, down]) = &mut sides[index];
            let (BothWays(sent, received), BothWays(one_sent, one_received)) =
                (side.both_ways(&many)?, side.both_ways(&one)?);
            let rate = |way: Way| figure(options.files as f64 / way.seconds);
            eprintln!("{name}, round {}: {} and {} files/s", round + 1, rate(sent), rate(received));
            up.push(sent, one_sent);
            down.push(received, one_received);
        }
        copies.push(copy(&many, &scratch.path().join(format!("copy-{round}")))?);
    }
    print(options.files as f64, &copies, &sides.into_iter().map(|(name, _, ways)| (name, ways)).collect::<Vec<_>>());
    Ok(())
}

/// Creates files whose lengths differ and whose bytes do not repeat.
fn create(folder: &Path, files: usize) -> Result<()> {
    let mut state = 1u64;
    for number in 0..files {
        let within = folder.join(format!("folder-{:04}", number / PER_FOLDER));
        if number % PER_FOLDER == 0 {
            fs::create_dir_all(&within)?;
        }
        let mut bytes = vec![0; number * 7919 % MAX_LENGTH];
        for place in bytes.chunks_mut(8) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            place.copy_from_slice(&state.to_le_bytes()[..place.len()]);
        }
        fs::write(within.join(format!("file-{number:06}")), bytes)?;
    }
    flush(folder)
}

/// Seconds that one process needs for a copy of all files that is flushed at its end.
fn copy(from: &Path, to: &Path) -> Result<f64> {
    let began = Instant::now();
    fs::create_dir(to)?;
    for folder in fs::read_dir(from)? {
        let folder = folder?;
        let within = to.join(folder.file_name());
        fs::create_dir(&within)?;
        for file in fs::read_dir(folder.path())? {
            let file = file?;
            fs::write(within.join(file.file_name()), fs::read(file.path())?)?;
        }
    }
    flush(to)?;
    Ok(began.elapsed().as_secs_f64())
}

/// Flushes a whole file system.
fn flush(path: &Path) -> Result<()> {
    let status = Command::new("sync").arg("--file-system").arg(path).status()?;
    if status.success() { Ok(()) } else { Err(format!("sync ended with {status}").into()) }
}

fn print(files: f64, copies: &[f64], sides: &[(&str, [Ways; 2])]) {
    let mut rows = vec![vec!["copy: read, written and flushed".to_owned(), figure(files / median(copies))]];
    rows[0].resize(HEADING.len(), "-".to_owned());
    for (place, what) in ["share", "receive"].into_iter().enumerate() {
        for (name, ways) in sides {
            let baseline = sides.get(1).map(|(_, baseline)| &baseline[place]).filter(|_| *name == MEASURED);
            rows.push(row(&format!("{what}: {name}"), files, median(copies), &ways[place], baseline));
        }
    }
    println!("\nMedians over the rounds; CPU seconds of the command and of the backbone for all files:\n");
    table::print(&HEADING, &rows);
}

fn row(what: &str, files: f64, copy: f64, ways: &Ways, baseline: Option<&Ways>) -> Vec<String> {
    let (seconds, end, backbone) = (ways.mid(|way| way.seconds), ways.mid(|way| way.end), ways.mid(|way| way.backbone));
    let cells = [
        files / seconds,
        files / (seconds - median(&ways.start)),
        end,
        backbone,
        (end + backbone) / seconds,
        copy / seconds,
    ];
    let ratio = baseline.map(|baseline| baseline.mid(|way| way.seconds) / seconds);
    let mut row = vec![what.to_owned()];
    row.extend(cells.map(figure));
    row.push(ratio.map_or_else(|| "-".to_owned(), figure));
    row
}
