//! The `enlace` program as a child process, which tests can kill at any time.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time-out of a start. Reached only if the program hangs.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Interval at which the memory of a process is read. What a program takes only within the last one may be missed.
#[cfg(target_os = "linux")]
const MEMORY_INTERVAL: Duration = Duration::from_millis(5);

/// Variable that switches peers off and on.
pub const PEERS_ENABLED: &str = "enlace__peers__enabled";

/// Path of the `enlace` program: what `ENLACE_BIN` names, else the one beside this test's executable; built if it is not
/// there, or older than what it is made from.
///
/// # Panics
/// If there is none and it cannot be built.
#[must_use]
pub fn enlace() -> PathBuf {
    static BUILD: OnceLock<PathBuf> = OnceLock::new();
    BUILD.get_or_init(find_or_build).clone()
}

fn find_or_build() -> PathBuf {
    if let Some(given) = std::env::var_os("ENLACE_BIN") {
        return given.into();
    }
    let test = std::env::current_exe().expect("a running test has a path");
    // The test is target/<profile>/deps/<test>, the program target/<profile>/enlace.
    let profile = test.parent().and_then(|deps| deps.parent()).expect("tests lie in target/<profile>/deps");
    let program = profile.join(format!("enlace{}", std::env::consts::EXE_SUFFIX));
    if !is_current(&program) {
        build(profile.file_name().expect("a profile has a name"));
        assert!(program.exists(), "{} is missing", program.display());
    }
    program
}

/// Builds the program as `cargo test --workspace` does for the tests of its package, which leaves nothing to do after that.
fn build(directory: &OsStr) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["test", "--quiet", "--no-run", "--workspace", "--test", "cmd"]);
    if directory != "debug" {
        build.arg("--profile").arg(directory);
    }
    build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    // What cargo says to this test of its package. Build scripts of others watch these names, and would run again.
    let is_of_package = |name: &str| ["CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|start| name.starts_with(start));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_of_package)) {
        build.env_remove(name);
    }
    assert!(build.status().expect("cargo runs").success(), "the program cannot be built");
}

/// Whether no source is newer than the program. Beside it `cargo build` says what it was made from; `cargo test` does not.
fn is_current(program: &Path) -> bool {
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let (Some(built), Ok(rule)) = (changed(program), std::fs::read_to_string(program.with_extension("d"))) else {
        return false;
    };
    let sources = rule.split_once(": ").map_or("", |(_, sources)| sources).trim_end();
    // Blanks in names are written with a backslash before them.
    let sources = sources.replace("\\ ", "\0");
    let is_older = |source: &str| changed(Path::new(&source.replace("\0", " "))).is_some_and(|at| at <= built);
    !sources.is_empty() && sources.split(' ').all(is_older)
}

/// A running `enlace`. Killed when dropped.
pub struct Process {
    child: Child,
    /// The JSON line that it printed when it began to serve.
    pub announcement: serde_json::Value,
    talk: Option<JoinHandle<String>>,
}

/// A program that may not serve yet. Killed on drop.
pub(crate) struct Launch {
    process: Process,
    /// The first line of its output, or `None` at its end.
    first: mpsc::Receiver<Option<String>>,
}

impl Launch {
    /// Waits for its first line, which is `None` if it ended without one. Returns `None` after the time-out.
    pub(crate) fn wait(&self, longest: Duration) -> Option<Option<String>> {
        self.first.recv_timeout(longest).ok()
    }

    /// Kills it, and waits for its end.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }
}

/// A start that failed.
#[derive(Debug)]
pub struct ProcessError {
    /// Exit code, if it ended by itself.
    pub code: Option<i32>,
    /// Its output on stderr.
    pub talk: String,
}

impl Process {
    /// Starts `enlace` with arguments, and waits for the line that announces that it serves.
    ///
    /// # Errors
    /// If it ends without such a line.
    ///
    /// # Panics
    /// If the program cannot be started, or prints no line in time.
    pub async fn start<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<Self, ProcessError> {
        Self::start_within(START_TIMEOUT, arguments).await
    }

    /// The same for a program that has much to do before it serves.
    ///
    /// # Errors
    /// If it ends without a line.
    ///
    /// # Panics
    /// If the program cannot be started, or prints no line in time.
    pub async fn start_within<S: AsRef<OsStr>>(
        longest: Duration,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Self, ProcessError> {
        let mut command = Command::new(enlace());
        command.args(arguments);
        Self::spawn_within(longest, command).await
    }

    /// Starts a prepared command, and waits for the line that announces that it serves.
    ///
    /// # Errors
    /// If it ends without such a line.
    ///
    /// # Panics
    /// If the program cannot be started, or prints no line in time.
    pub async fn spawn(command: Command) -> Result<Self, ProcessError> {
        Self::spawn_within(START_TIMEOUT, command).await
    }

    async fn spawn_within(longest: Duration, command: Command) -> Result<Self, ProcessError> {
        // Not on this thread: the backbone that it talks to may run in this process and must not be blocked.
        tokio::task::spawn_blocking(move || Self::spawn_now(longest, command)).await.expect("nothing cancels it")
    }

    fn spawn_now(longest: Duration, command: Command) -> Result<Self, ProcessError> {
        let mut launch = Self::launch(command);
        match launch.wait(longest) {
            Some(Some(line)) => {
                launch.process.announcement = serde_json::from_str(&line).expect("one line of JSON");
                Ok(launch.process)
            }
            Some(None) => {
                let code = launch.process.child.wait().ok().and_then(|status| status.code());
                Err(ProcessError { code, talk: launch.process.talk() })
            }
            None => {
                launch.kill();
                panic!("the program printed no line in time: {}", launch.process.talk());
            }
        }
    }

    /// Starts `enlace` with arguments and kills it when a condition holds, or when it serves. Returns whether it served.
    ///
    /// # Panics
    /// If the program cannot be started, or neither happens in time.
    pub async fn kill_when<S: AsRef<OsStr>>(
        arguments: impl IntoIterator<Item = S>,
        mut condition: impl FnMut() -> bool + Send + 'static,
    ) -> bool {
        let mut command = Command::new(enlace());
        command.args(arguments);
        let watch = move || {
            let mut launch = Self::launch(command);
            let began = Instant::now();
            let line = loop {
                if condition() {
                    break None;
                }
                if let Some(line) = launch.wait(Duration::ZERO) {
                    break line;
                }
                assert!(began.elapsed() < START_TIMEOUT, "the condition never holds");
            };
            launch.kill();
            line.is_some()
        };
        tokio::task::spawn_blocking(watch).await.expect("nothing cancels it")
    }

    /// Runs `enlace` with arguments until it prints a line, and returns that line and the peak of its memory in bytes;
    /// Linux only. A process that has ended tells no peak, so it is read again and again.
    ///
    /// # Panics
    /// If the program cannot be started, ends without a line of JSON, or prints none in time.
    #[cfg(target_os = "linux")]
    pub async fn run_measured<S: AsRef<OsStr>>(
        longest: Duration,
        arguments: impl IntoIterator<Item = S>,
    ) -> (serde_json::Value, u64) {
        let mut command = Command::new(enlace());
        command.args(arguments);
        let measure = move || {
            let mut launch = Self::launch(command);
            let (began, mut peak) = (Instant::now(), 0);
            let line = loop {
                peak = peak_memory_of(launch.process.id()).unwrap_or(peak);
                if let Some(line) = launch.wait(MEMORY_INTERVAL) {
                    break line;
                }
                assert!(began.elapsed() < longest, "the program does not end");
            };
            let Some(line) = line else { panic!("the program failed: {}", launch.process.talk()) };
            (serde_json::from_str(&line).expect("one line of JSON"), peak)
        };
        tokio::task::spawn_blocking(measure).await.expect("nothing cancels it")
    }

    /// Starts a prepared command and does not wait for it.
    pub(crate) fn launch(mut command: Command) -> Launch {
        // Environment variables of the user must not affect a test.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().to_uppercase().starts_with("ENLACE_") {
                command.env_remove(name);
            }
        }
        // Peers are a matter of the tests that are about them.
        if command.get_envs().all(|(name, _)| name != PEERS_ENABLED) {
            command.env(PEERS_ENABLED, "false");
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be started");
        let mut stderr = child.stderr.take().expect("piped");
        let talk = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let stdout = child.stdout.take().expect("piped");
        let (sender, first) = mpsc::channel();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines();
            let _ = sender.send(lines.next().and_then(Result::ok));
            // Keeps reading, so that the child never blocks on a full pipe.
            lines.for_each(drop);
        });
        let process = Self { child, announcement: serde_json::Value::Null, talk: Some(talk) };
        Launch { process, first }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The peak of its memory in bytes, without the pages of mapped files; Linux only.
    ///
    /// # Panics
    /// If it is not running, or the system does not report it.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn peak_memory(&self) -> u64 {
        peak_memory_of(self.id()).expect("a running process tells its peak")
    }

    /// Counts the peak anew from now on. Returns the memory of now in bytes; Linux only.
    ///
    /// # Panics
    /// If it is not running, or the system does not let it.
    #[cfg(target_os = "linux")]
    #[must_use]
    pub fn forget_peak_memory(&self) -> u64 {
        std::fs::write(format!("/proc/{}/clear_refs", self.id()), "5").expect("a running process of this user");
        self.peak_memory()
    }

    /// Kills it, and waits for its end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Its output on stderr. Call it after the end of the process.
    pub fn talk(&mut self) -> String {
        self.talk.take().and_then(|talk| talk.join().ok()).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The peak of the memory of a process in bytes, if it is running.
///
/// Pages of mapped files do not count: they are the program itself, most of them in a debug build, and the system takes them back
/// whenever it needs room. It tells their number of now only, and a program maps hardly fewer of them with time.
#[cfg(target_os = "linux")]
fn peak_memory_of(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let bytes = |name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
        Some(kibibytes * 1024)
    };
    Some(bytes("VmHWM:")?.saturating_sub(bytes("RssFile:")?))
}
