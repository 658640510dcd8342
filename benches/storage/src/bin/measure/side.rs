//! `share`, a backbone and `receive` as processes of their own, from disk to disk.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use enlace_benches::Result;
use enlace_benches::process::Process;
use enlace_benches::usage::{cpu_seconds, cpu_seconds_of_children};

const MIB: usize = 1024 * 1024;
const CLIENT: &str = "test:test";

/// One way of the file, or of a small one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) seconds: f64,
    /// CPU seconds of the sender or the receiver.
    pub(crate) end: f64,
    /// CPU seconds of the backbone.
    pub(crate) backbone: f64,
}

/// One program: its backbone, and the directories of its sender and its receiver.
pub(crate) struct Side {
    program: PathBuf,
    dir: PathBuf,
    backbone: Process,
    url: String,
}

/// Both ways of a file.
pub(crate) struct BothWays(pub(crate) Way, pub(crate) Way);

impl BothWays {
    pub(crate) fn less(self, other: Self) -> (Way, Way) {
        let less = |one: Way, other: Way| Way {
            seconds: one.seconds - other.seconds,
            end: one.end - other.end,
            backbone: one.backbone - other.backbone,
        };
        (less(self.0, other.0), less(self.1, other.1))
    }
}

impl Side {
    pub(crate) fn start(program: &Path, dir: PathBuf) -> Result<Self> {
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
    pub(crate) fn both_ways(&self, file: &Path) -> Result<BothWays> {
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
