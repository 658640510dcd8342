//! Small verbs: a directory of one's own, run the program in it, start a server and read its line.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A directory for one test. Every data directory, output and configuration lies in it.
pub(crate) struct Sandbox {
    dir: TempDir,
    has_peers: bool,
}

/// What the program wrote, and how it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A server in another process. It is killed on drop; `stop` is the polite way.
pub(crate) struct Serving {
    child: Child,
    pub(crate) line: Value,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { dir: TempDir::new().unwrap(), has_peers: false }
    }

    /// The same in which programs reach peers as they do for users.
    pub(crate) fn with_peers() -> Self {
        Self { has_peers: true, ..Self::new() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file and returns its path as text.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The program, in this directory, with nothing of the environment of whoever runs the tests.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_enlace"));
        command.args(args).current_dir(self.dir.path()).env_clear();
        // Peers are a matter of the tests that are about them.
        if !self.has_peers {
            command.env("enlace__peers__enabled", "false");
        }
        command.env("HOME", self.path("home")).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        Ended::from(self.command(args).output().unwrap())
    }

    /// Runs with a text on standard input.
    pub(crate) fn run_with_input(&self, args: &[&str], input: &str) -> Ended {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Ended::from(child.wait_with_output().unwrap())
    }

    /// Starts a server with `--json` and waits for its line.
    pub(crate) fn serve(&self, args: &[&str]) -> Serving {
        Serving::start(self.command(args))
    }

    /// The same, or how it ended without serving.
    pub(crate) fn try_serve(&self, args: &[&str]) -> Result<Serving, Ended> {
        Serving::try_start(&mut self.command(args))
    }

    /// The same by another program, which runs ours.
    pub(crate) fn serve_command(&self, words: &[String]) -> Serving {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(self.dir.path()).env_clear().stdin(Stdio::null());
        command.env("enlace__peers__enabled", "false");
        command.env("HOME", self.path("home")).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        Serving::start(command)
    }

    /// `share`s a file from the data directory `sender`, everything on free ports.
    pub(crate) fn share(&self, file: &str, more: &[&str]) -> Serving {
        let mut args = vec!["share", file, "--data-dir", "sender"];
        args.extend(["--listen", "127.0.0.1:0", "--backbone-listen", "127.0.0.1:0"]);
        args.extend(more);
        self.serve(&args)
    }

    /// `receive`s with the data directory `receiver`.
    pub(crate) fn receive(&self, reference: &str, more: &[&str]) -> Ended {
        let mut args = vec!["receive", reference, "--data-dir", "receiver", "--json"];
        args.extend(more);
        self.run(&args)
    }

    /// Names of everything directly in a directory, sorted.
    pub(crate) fn names(&self, name: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(name)).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Ended {
    /// The JSON line on standard output of a run that worked.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("not one JSON value: {self:?}"))
    }

    /// Checks the exit code, and that the reason names these words.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is missing in {self:?}");
        }
    }
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Serving {
    fn start(mut command: Command) -> Self {
        Self::try_start(&mut command).unwrap_or_else(|ended| panic!("{command:?} did not serve: {ended:?}"))
    }

    pub(crate) fn try_start(command: &mut Command) -> Result<Self, Ended> {
        command.arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        match serde_json::from_str(&line) {
            Ok(line) => Ok(Self { child, line }),
            Err(_) => Err(Ended::from(child.wait_with_output().unwrap())),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A member of the line, by path.
    #[track_caller]
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.line.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} in {}", self.line))
    }

    pub(crate) fn reference(&self) -> &str {
        self.text("/token/reference/url")
    }

    /// Asks it to end and waits until it has.
    pub(crate) fn stop(mut self) -> Ended {
        signal(&self.child, "TERM");
        let child = std::mem::replace(&mut self.child, idle());
        Ended::from(child.wait_with_output().unwrap())
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ended(mut self) -> Ended {
        let child = std::mem::replace(&mut self.child, idle());
        Ended::from(child.wait_with_output().unwrap())
    }

    /// Ends it without asking.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that has ended by the time anybody looks, to stand where a child was taken away.
fn idle() -> Child {
    Command::new("true").spawn().unwrap()
}

/// Sends a signal by name.
pub(crate) fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status().unwrap();
    assert!(status.success());
}

/// Bytes that differ from place to place.
pub(crate) fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index % 251) as u8 ^ (index / 251 % 256) as u8).collect()
}

/// A directory and everything below it.
pub(crate) fn everything_below(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    if path.is_dir() {
        let entries = std::fs::read_dir(path).unwrap();
        found.extend(entries.flat_map(|entry| everything_below(&entry.unwrap().path())));
    }
    found
}

/// Every file below a directory.
pub(crate) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found
}

/// Tells of a check that cannot be done on this machine, past the capture of test output: a skipped test must be seen.
///
/// # Panics
/// If the variable `CI` is set: continuous integration has what all checks need.
pub(crate) fn skipped(reason: &str) {
    assert!(std::env::var_os("CI").is_none(), "a check that does not run has not passed: {reason}");
    std::io::stderr().write_all(format!("skipped: {reason}\n").as_bytes()).unwrap();
}
