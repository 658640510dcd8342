//! `share`, a backbone and `receive` as processes of their own, from disk to disk.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use enlace_benches::Result;
use enlace_benches::process::Process;
use enlace_benches::usage::{cpu_seconds, cpu_seconds_of_children, file_bytes};

use crate::MIB;

const CLIENT: &str = "test:test";
/// How often it is looked whether a command has come far enough.
const LOOKS: Duration = Duration::from_millis(1);
/// How long a backbone has nothing more of a command that was killed.
const SETTLES: Duration = Duration::from_millis(200);

/// One way of the file, or of a small one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) seconds: f64,
    /// CPU seconds of the sender or the receiver.
    pub(crate) end: f64,
    /// CPU seconds of the backbone.
    pub(crate) backbone: f64,
    /// Bytes that the backbone wrote to its disk or read from it.
    pub(crate) bytes: u64,
}

/// Who has a data directory of their own.
struct Who {
    name: &'static str,
    /// Whether the command serves when it is done.
    serves: bool,
}

const SENDER: Who = Who { name: "sender", serves: true };
const RECEIVER: Who = Who { name: "receiver", serves: false };

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
            bytes: one.bytes.saturating_sub(other.bytes),
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

    /// Sends a file or a folder, and receives it.
    pub(crate) fn both_ways(&self, file: &Path) -> Result<BothWays> {
        let (up, line) = self.send(file)?;
        let (down, _) = self.receive(&line)?;
        self.check_and_remove(file, &line)?;
        Ok(BothWays(up, down))
    }

    /// The same, but each command is killed when the backbone has got or given a part of the file, and then started again.
    pub(crate) fn both_ways_in_two_runs(&self, file: &Path, part: f64) -> Result<(Continued, Continued)> {
        let stop = |length: u64| (length as f64 * part) as u64;
        let length = file.metadata()?.len();
        let up = self.interrupted(&SENDER, &share(file), stop(length))?;
        let (way, line) = self.send(file)?;
        let up = up.continued(way, &line)?;
        let reference = line.text("/token/reference/url")?;
        let down = self.interrupted(&RECEIVER, &receive(&reference, &self.output()), stop(length))?;
        let (way, received) = self.receive(&line)?;
        let down = down.continued(way, &received)?;
        self.check_and_remove(file, &line)?;
        Ok((up, down))
    }

    fn output(&self) -> PathBuf {
        self.dir.join("received")
    }

    fn send(&self, file: &Path) -> Result<(Way, Process)> {
        self.way(&SENDER, &share(file))
    }

    /// Receives what was sent.
    fn receive(&self, sent: &Process) -> Result<(Way, Process)> {
        self.way(&RECEIVER, &receive(&sent.text("/token/reference/url")?, &self.output()))
    }

    /// Moves a folder out of the way. Removing it would make ext4 search long for each new file: for some seconds it does not give
    /// numbers of removed files to others.
    fn keep(&self, output: &Path) -> Result<()> {
        let kept = self.dir.join("kept");
        fs::create_dir_all(&kept)?;
        let number = fs::read_dir(&kept)?.count();
        Ok(fs::rename(output, kept.join(number.to_string()))?)
    }

    /// Compares what is at the receiver, and removes the file at the backbone.
    fn check_and_remove(&self, file: &Path, sent: &Process) -> Result<()> {
        let output = self.output();
        if !same(file, &output)? {
            return Err("something else was received than was sent".into());
        }
        if output.is_dir() {
            self.keep(&output)?;
        } else {
            fs::remove_file(output)?;
        }
        let id = sent.text("/file/id")?;
        let delete: [&OsStr; 3] = ["files".as_ref(), "delete".as_ref(), id.as_ref()];
        Process::start_quietly(&self.program, &self.arguments(SENDER.name, &delete))?.wait()
    }

    /// Runs a command until its line; one that serves after that is killed.
    fn way(&self, who: &Who, arguments: &[&OsStr]) -> Result<(Way, Process)> {
        let (backbone, children) = (cpu_seconds(self.backbone.id())?, cpu_seconds_of_children()?);
        let moved = self.moved(who)?;
        let mut process = Process::start_quietly(&self.program, &self.arguments(who.name, arguments))?;
        let seconds = process.started_in.as_secs_f64();
        if who.serves {
            process.kill();
        } else {
            process.wait()?;
        }
        let end = cpu_seconds_of_children()? - children;
        let backbone = cpu_seconds(self.backbone.id())? - backbone;
        Ok((Way { seconds, end, backbone, bytes: self.moved(who)? - moved }, process))
    }

    /// Kills a command when the backbone has got or given so many bytes.
    fn interrupted(&self, who: &Who, arguments: &[&OsStr], stop: u64) -> Result<Interrupted> {
        let before = self.moved(who)?;
        let mut process = Process::start_to_kill(&self.program, &self.arguments(who.name, arguments))?;
        while self.moved(who)? - before < stop {
            if !process.is_running()? {
                return Err("a command ended before it could be killed".into());
            }
            sleep(LOOKS);
        }
        process.kill();
        // The backbone may still have some of it.
        let mut bytes = self.moved(who)?;
        loop {
            sleep(SETTLES);
            match self.moved(who)? {
                same if same == bytes => return Ok(Interrupted { bytes: bytes - before }),
                more => bytes = more,
            }
        }
    }

    /// Bytes that the backbone has written of what is sent to it, or read of what is received.
    fn moved(&self, who: &Who) -> Result<u64> {
        let (read, written) = file_bytes(self.backbone.id())?;
        Ok(if who.serves { written } else { read })
    }

    fn arguments(&self, who: &str, arguments: &[&OsStr]) -> Vec<OsString> {
        let fixed = ["--json", "--client", CLIENT, "--backbone", &self.url, "--data-dir"].map(OsStr::new);
        let data = self.dir.join(who);
        [arguments, &fixed, &[data.as_ref()]].concat().into_iter().map(OsStr::to_owned).collect()
    }
}

/// A way that was not finished.
struct Interrupted {
    bytes: u64,
}

/// The second run of a way, and both.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Continued {
    pub(crate) second: Way,
    /// Bytes that it did not need to send.
    pub(crate) resumed: u64,
    /// Bytes of both runs.
    pub(crate) bytes: u64,
}

impl Interrupted {
    fn continued(self, second: Way, line: &Process) -> Result<Continued> {
        let resumed = line.announcement["resumed"].as_u64().ok_or("a line that says how much was there")?;
        Ok(Continued { second, resumed, bytes: self.bytes + second.bytes })
    }
}

fn share(file: &Path) -> Vec<&OsStr> {
    let options = ["--format", "v2", "--no-direct", "--listen", "127.0.0.1:0"].map(OsStr::new);
    [&["share".as_ref(), file.as_ref()], &options[..]].concat()
}

fn receive<'a>(reference: &'a str, output: &'a Path) -> Vec<&'a OsStr> {
    let options = ["--no-direct", "--max-size", "1T", "--output"].map(OsStr::new);
    [&["receive".as_ref(), reference.as_ref()], &options[..], &[output.as_ref()]].concat()
}

/// Whether two files, or two folders, have the same in them.
fn same(one: &Path, other: &Path) -> Result<bool> {
    match (one.is_dir(), other.is_dir()) {
        (false, false) => same_files(one, other),
        (true, true) => same_folders(one, other),
        _ => Ok(false),
    }
}

fn same_folders(one: &Path, other: &Path) -> Result<bool> {
    if fs::read_dir(one)?.count() != fs::read_dir(other)?.count() {
        return Ok(false);
    }
    for entry in fs::read_dir(one)? {
        let entry = entry?;
        if !same(&entry.path(), &other.join(entry.file_name()))? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn same_files(one: &Path, other: &Path) -> Result<bool> {
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
