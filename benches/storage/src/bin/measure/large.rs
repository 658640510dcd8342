//! A large file of format v2, from disk to disk: `share`, a backbone and `receive` as processes of their own.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use enlace_benches::Result;
use enlace_benches::process::Process;
use enlace_benches::table::{self, figure, median};
use enlace_benches::usage::{cpu_seconds, cpu_seconds_of_children};

use crate::{Common, MEASURED};

const MIB: usize = 1024 * 1024;
/// What one measured second is divided by.
const MB: f64 = 1e6;
const CLIENT: &str = "test:test";
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

/// One way of the file, or of a small one.
#[derive(Debug, Clone, Copy)]
struct Way {
    seconds: f64,
    /// CPU seconds of the sender or the receiver.
    end: f64,
    /// CPU seconds of the backbone.
    backbone: f64,
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
fn write(path: &Path, mib: usize) -> Result<f64> {
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

/// One program: its backbone, and the directories of its sender and its receiver.
struct Side {
    program: PathBuf,
    dir: PathBuf,
    backbone: Process,
    url: String,
}

/// Both ways of a file.
struct BothWays(Way, Way);

impl BothWays {
    fn less(self, other: Self) -> (Way, Way) {
        let less = |one: Way, other: Way| Way {
            seconds: one.seconds - other.seconds,
            end: one.end - other.end,
            backbone: one.backbone - other.backbone,
        };
        (less(self.0, other.0), less(self.1, other.1))
    }
}

impl Side {
    fn start(program: &Path, dir: PathBuf) -> Result<Self> {
        fs::create_dir_all(&dir)?;
        let data = dir.join("backbone");
        let fixed = ["backbone", "--json", "--client", CLIENT, "--listen", "127.0.0.1:0", "--data-dir"].map(OsStr::new);
        let backbone = Process::start(program, &[&fixed[..], &[data.as_ref()]].concat())?;
        let url = backbone.text("/url")?;
        let side = Self { program: program.to_owned(), dir, backbone, url };
        // Creates the identities, which takes time of its own.
        let first = side.dir.join("first.bin");
        fs::write(&first, b"1")?;
        side.both_ways(&first)?;
        Ok(side)
    }

    /// Sends a file and receives it.
    fn both_ways(&self, file: &Path) -> Result<BothWays> {
        let output = self.dir.join("received.bin");
        let (up, line) =
            self.way("sender", &["share".as_ref(), file.as_ref(), "--format".as_ref(), "v2".as_ref()], true)?;
        let reference = line.text("/token/reference/url")?;
        let received: [&OsStr; 6] = [
            "receive".as_ref(),
            reference.as_ref(),
            "--max-size".as_ref(),
            "1T".as_ref(),
            "--output".as_ref(),
            output.as_ref(),
        ];
        let (down, _) = self.way("receiver", &received, false)?;
        if !same(file, &output)? {
            return Err("another file was received than was sent".into());
        }
        fs::remove_file(output)?;
        let id = line.text("/file/id")?;
        self.command("sender", &["files".as_ref(), "delete".as_ref(), id.as_ref()])?;
        Ok(BothWays(up, down))
    }

    /// Runs a command until its line; one that serves after that is killed.
    fn way(&self, who: &str, arguments: &[&OsStr], serves: bool) -> Result<(Way, Process)> {
        let (backbone, children) = (cpu_seconds(self.backbone.id())?, cpu_seconds_of_children()?);
        let mut process = self.start_command(who, arguments, serves)?;
        let seconds = process.started_in.as_secs_f64();
        if serves {
            process.kill()
        } else {
            process.wait()?
        }
        let end = cpu_seconds_of_children()? - children;
        Ok((Way { seconds, end, backbone: cpu_seconds(self.backbone.id())? - backbone }, process))
    }

    fn command(&self, who: &str, arguments: &[&OsStr]) -> Result<()> {
        self.start_command(who, arguments, false)?.wait()
    }

    fn start_command(&self, who: &str, arguments: &[&OsStr], serves: bool) -> Result<Process> {
        let data = self.dir.join(who);
        let fixed = ["--json", "--client", CLIENT, "--backbone", &self.url].map(OsStr::new);
        let data: [&OsStr; 2] = ["--data-dir".as_ref(), data.as_ref()];
        let listen: &[&OsStr] = if serves { &["--listen".as_ref(), "127.0.0.1:0".as_ref()] } else { &[] };
        Process::start_quietly(&self.program, &[arguments, &fixed[..], &data, listen].concat())
    }
}

fn same(one: &Path, other: &Path) -> Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let length = one.metadata()?.len();
    if other.metadata()?.len() != length {
        return Ok(false);
    }
    let mut pieces = [vec![0; MIB], vec![0; MIB]];
    let mut left = length;
    while left > 0 {
        let count = left.min(MIB as u64) as usize;
        let [first, second] = &mut pieces;
        one.read_exact(&mut first[..count])?;
        other.read_exact(&mut second[..count])?;
        if first[..count] != second[..count] {
            return Ok(false);
        }
        left -= count as u64;
    }
    Ok(true)
}
