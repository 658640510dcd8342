//! The measured programs as child processes, each with its own directory.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::time::sleep;

use crate::connection::{Answer, Connection, Request};
use crate::usage::cpu_seconds;
use crate::{Result, usage};

/// Interval at which a process is checked for idleness.
const IDLE_INTERVAL: Duration = Duration::from_millis(100);
/// Maximum wait for a process to become idle.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Maximum CPU time per interval of an idle process, in seconds.
const IDLE_CPU_SECONDS: f64 = 0.015;

/// A running child process, which has printed one line of JSON. Killed on drop.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// The parsed line.
    pub announcement: Value,
    /// Time from the start to the line.
    pub started_in: Duration,
}

impl Process {
    /// Starts a program and waits for its line.
    ///
    /// # Errors
    /// If it cannot be started or its first line is not JSON.
    pub fn start<S: AsRef<OsStr>>(program: &Path, arguments: &[S]) -> Result<Self> {
        Self::start_with(program, arguments, Stdio::inherit())
    }

    /// The same for a program that tells its progress, which is discarded.
    ///
    /// # Errors
    /// If it cannot be started or its first line is not JSON.
    pub fn start_quietly<S: AsRef<OsStr>>(program: &Path, arguments: &[S]) -> Result<Self> {
        Self::start_with(program, arguments, Stdio::null())
    }

    /// The same for a program that is killed at work: nothing is waited for, and what it prints is discarded.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_to_kill<S: AsRef<OsStr>>(program: &Path, arguments: &[S]) -> Result<Self> {
        let child = command(program, arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Self { child, announcement: Value::Null, started_in: Duration::ZERO })
    }

    fn start_with<S: AsRef<OsStr>>(program: &Path, arguments: &[S], stderr: Stdio) -> Result<Self> {
        let began = Instant::now();
        let mut child = command(program, arguments).stdout(Stdio::piped()).stderr(stderr).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("a piped output")?).read_line(&mut line)?;
        let started_in = began.elapsed();
        // From here on, the process is killed on every error.
        let mut process = Self { child, announcement: Value::Null, started_in };
        process.announcement = serde_json::from_str(&line)
            .map_err(|error| format!("{} announced {line:?}: {error}", program.display()))?;
        Ok(process)
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, and waits for its end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Whether it works.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If it fails.
    pub fn wait(&mut self) -> Result<()> {
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("a program ended with {status}").into()) }
    }

    /// A text of its line, by a JSON pointer.
    ///
    /// # Errors
    /// If there is none.
    pub fn text(&self, pointer: &str) -> Result<String> {
        let text = self.announcement.pointer(pointer).and_then(Value::as_str);
        Ok(text.ok_or_else(|| format!("the announcement has no {pointer}"))?.to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn command<S: AsRef<OsStr>>(program: &Path, arguments: &[S]) -> Command {
    let mut command = Command::new(program);
    // Environment variables of the user must not affect a measurement.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().to_uppercase().starts_with("ENLACE_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

/// A backbone, a node that uses it, and a file at the node for which tokens are created.
#[derive(Debug)]
pub struct Pair {
    program: PathBuf,
    dir: PathBuf,
    backbone_port: String,
    /// The backbone.
    pub backbone: Process,
    /// The node.
    pub node: Process,
    /// `host:port` of the node's REST API.
    pub authority: String,
    headers: Vec<String>,
    file: String,
}

impl Pair {
    /// Starts both below `dir` and uploads a small file.
    ///
    /// # Errors
    /// If one does not start.
    pub async fn start(program: &Path, dir: &Path) -> Result<Self> {
        for side in ["backbone", "node"] {
            DirBuilder::new().recursive(true).mode(0o700).create(dir.join(side))?;
        }
        let backbone = start_backbone(program, dir, "0")?;
        let backbone_port = port(&backbone.text("/url")?)?;
        let node = start_node(program, dir, &backbone.text("/url")?)?;
        let (program, dir) = (program.to_owned(), dir.to_owned());
        let authority = authority_of(&node)?;
        let key = fs::read_to_string(node.text("/rest/apiKeyFile")?)?;
        let headers = vec![format!("x-api-key: {}", key.trim())];
        let mut pair = Self { program, dir, backbone_port, backbone, node, authority, headers, file: String::new() };
        pair.file = pair.upload(b"what tokens are made for").await?;
        Ok(pair)
    }

    /// Kills both and starts them again. Returns the start times of the backbone and the node.
    ///
    /// # Errors
    /// If one does not start.
    pub fn crash_and_restart(&mut self) -> Result<(Duration, Duration)> {
        self.node.kill();
        self.backbone.kill();
        self.backbone = start_backbone(&self.program, &self.dir, &self.backbone_port)?;
        self.node = start_node(&self.program, &self.dir, &self.backbone.text("/url")?)?;
        self.authority = authority_of(&self.node)?;
        Ok((self.backbone.started_in, self.node.started_in))
    }

    /// Waits until both are idle.
    ///
    /// # Errors
    /// If one has ended.
    pub async fn settle(&self) -> Result<()> {
        settle(std::iter::once(self)).await
    }

    /// The request for a token with these terms.
    #[must_use]
    pub fn token(&self, terms: &Value) -> Request {
        Request::json(&format!("/api/v2/Files/{}/Token", self.file), &self.headers, terms.to_string().as_bytes())
    }

    /// A read.
    #[must_use]
    pub fn get(&self, path: &str) -> Request {
        Request::new("GET", &format!("/api/v2/{path}"), &self.headers, b"")
    }

    /// The request for an upload.
    #[must_use]
    pub fn upload_of(&self, content: &[u8]) -> Request {
        const BOUNDARY: &str = "----measure";
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.bin\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        let body = [head.as_bytes(), content, format!("\r\n--{BOUNDARY}--\r\n").as_bytes()].concat();
        let headers =
            [&self.headers[..], &[format!("content-type: multipart/form-data; boundary={BOUNDARY}")]].concat();
        Request::new("POST", "/api/v2/Files/Own", &headers, &body)
    }

    /// Uploads a file and returns its id.
    ///
    /// # Errors
    /// If the node refuses it.
    pub async fn upload(&self, content: &[u8]) -> Result<String> {
        let (_, body) = self.ask(&self.upload_of(content)).await?;
        id_in(&body)
    }

    /// Creates a token and returns its id.
    ///
    /// # Errors
    /// If the node refuses it.
    pub async fn create(&self, terms: &Value) -> Result<String> {
        let (_, body) = self.ask(&self.token(terms)).await?;
        id_in(&body)
    }

    /// Sends a request over a new connection; the answer has to be a success.
    ///
    /// # Errors
    /// If it is not.
    pub async fn ask(&self, request: &Request) -> Result<(Answer, Vec<u8>)> {
        let mut body = Vec::new();
        let answer = Connection::open(&self.authority).await?.exchange(request, &mut body).await?;
        match answer.status {
            200..300 => Ok((answer, body)),
            status => Err(format!("answered with {status}: {}", String::from_utf8_lossy(&body)).into()),
        }
    }

    /// Bytes on disk of the backbone and of the node.
    ///
    /// # Errors
    /// If a directory cannot be read.
    pub fn disk_bytes(&self) -> Result<(u64, u64)> {
        Ok((allocated(&self.dir.join("backbone"))?, allocated(&self.dir.join("node"))?))
    }

    /// Memory of the backbone and of the node.
    ///
    /// # Errors
    /// If one has ended.
    pub fn memory(&self) -> Result<(usage::Memory, usage::Memory)> {
        Ok((usage::Memory::of(self.backbone.id())?, usage::Memory::of(self.node.id())?))
    }
}

/// Waits until all processes of these pairs are idle, so that their background work does not affect the next measurement.
///
/// # Errors
/// If one has ended.
pub async fn settle(pairs: impl Iterator<Item = &Pair> + Clone) -> Result<()> {
    let used = || -> Result<f64> {
        let each = pairs.clone().flat_map(|pair| [&pair.node, &pair.backbone]);
        each.map(|process| Ok(cpu_seconds(process.id())?)).sum()
    };
    let give_up = Instant::now() + IDLE_TIMEOUT;
    let mut before = used()?;
    while Instant::now() < give_up {
        sleep(IDLE_INTERVAL).await;
        let now = used()?;
        if now - before < IDLE_CPU_SECONDS {
            break;
        }
        before = now;
    }
    Ok(())
}

/// The processes of `limit`: a back, and fronts with one and with two commits per request.
#[derive(Debug)]
pub struct Limit {
    /// Replaces a backbone.
    pub back: Process,
    /// Replaces a node that stores nothing.
    pub once: Front,
    /// Replaces a node that stores the token: it commits after the back.
    pub twice: Front,
}

/// A front of the limit.
#[derive(Debug)]
pub struct Front {
    /// The process.
    pub process: Process,
    /// `host:port`.
    pub authority: String,
}

impl Limit {
    /// Starts them from the directory of the running program.
    ///
    /// # Errors
    /// If one does not start.
    pub fn start(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let program = std::env::current_exe()?.with_file_name("limit");
        let dir = dir.as_os_str();
        let back = Process::start(&program, &["back".as_ref(), "--dir".as_ref(), dir])?;
        let authority = back.text("/authority")?;
        let front: [&OsStr; 3] = ["front".as_ref(), "--back".as_ref(), authority.as_ref()];
        let once = Front::start(&program, &front)?;
        let twice: [&OsStr; 4] = ["--commits".as_ref(), "2".as_ref(), "--dir".as_ref(), dir];
        let twice = Front::start(&program, &[&front[..], &twice].concat())?;
        Ok(Self { back, once, twice })
    }
}

impl Front {
    fn start(program: &Path, arguments: &[&OsStr]) -> Result<Self> {
        let process = Process::start(program, arguments)?;
        let authority = process.text("/authority")?;
        Ok(Self { process, authority })
    }
}

fn start_backbone(program: &Path, dir: &Path, port: &str) -> Result<Process> {
    let (listen, dir) = (format!("127.0.0.1:{port}"), dir.join("backbone"));
    let fixed = ["backbone", "--json", "--client", "test:test", "--did-domain-name", "localhost"].map(OsStr::new);
    let given: [&OsStr; 4] = ["--listen".as_ref(), listen.as_ref(), "--data-dir".as_ref(), dir.as_ref()];
    Process::start(program, &[&fixed[..], &given].concat())
}

fn start_node(program: &Path, dir: &Path, backbone: &str) -> Result<Process> {
    let dir = dir.join("node");
    let fixed = ["serve", "--json", "--client", "test:test", "--listen", "127.0.0.1:0"].map(OsStr::new);
    let given: [&OsStr; 4] = ["--backbone".as_ref(), backbone.as_ref(), "--data-dir".as_ref(), dir.as_ref()];
    Process::start(program, &[&fixed[..], &given].concat())
}

fn authority_of(node: &Process) -> Result<String> {
    let url = node.text("/rest/url")?;
    Ok(url.trim_start_matches("http://").trim_end_matches('/').to_owned())
}

fn port(url: &str) -> Result<String> {
    Ok(url.trim_end_matches('/').rsplit(':').next().ok_or("a URL with a port")?.to_owned())
}

/// The id in an answer of the REST API.
///
/// # Errors
/// If there is none.
pub fn id_in(body: &[u8]) -> Result<String> {
    let answer: Value = serde_json::from_slice(body)?;
    Ok(answer["result"]["id"].as_str().ok_or("an answer with an id")?.to_owned())
}

fn allocated(dir: &Path) -> Result<u64> {
    let mut total = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // A file may be removed meanwhile.
        let Ok(metadata) = entry.metadata() else { continue };
        total += if metadata.is_dir() { allocated(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(total)
}
