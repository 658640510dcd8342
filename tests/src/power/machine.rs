//! A machine with a program and a disk, which loses power.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::{Chance, Disk, Image, Omit, Shim, Tear, Trace};
use crate::{Process, ProcessError, enlace};

/// A machine that runs `enlace`, and whose power tests cut.
pub struct Machine {
    shim: Shim,
    omit: Option<Omit>,
    root: PathBuf,
    trace: PathBuf,
    boot_id: PathBuf,
    boots: u64,
    /// The disk as it was when the program started.
    disk: Option<Disk>,
    process: Option<Process>,
    keeps_copies: bool,
    variables: Vec<(String, String)>,
}

impl Machine {
    /// A machine with an empty disk in a new directory.
    ///
    /// # Errors
    /// The system's.
    pub fn new(home: &Path, shim: Shim, omit: Option<Omit>) -> io::Result<Self> {
        fs::create_dir_all(home)?;
        // The shim compares with paths from the kernel, which have no symbolic links.
        let home = home.canonicalize()?;
        let root = home.join("disk");
        fs::create_dir(&root)?;
        let (trace, boot_id) = (home.join("trace"), home.join("boot-id"));
        let mut machine = Self {
            shim,
            omit,
            root,
            trace,
            boot_id,
            boots: 0,
            disk: None,
            process: None,
            keeps_copies: false,
            variables: Vec::new(),
        };
        machine.boot()?;
        Ok(machine)
    }

    /// Whether a cut keeps copies of the trace and of the disk next to the disk, as `trace-at-cut` and `disk-after-cut`.
    pub fn keep_copies(&mut self, keeps_copies: bool) {
        self.keeps_copies = keeps_copies;
    }

    /// Starts the program with this variable in its environment.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// The data directory on its disk, created by the program.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.root.join("data")
    }

    /// The running program.
    #[must_use]
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// Starts `enlace` and waits until it serves.
    ///
    /// # Errors
    /// If it ends instead.
    ///
    /// # Panics
    /// If the disk of this machine cannot be read.
    pub async fn start(&mut self, arguments: &[String]) -> Result<&Process, ProcessError> {
        let command = self.switch_on(arguments).expect("a readable disk");
        let process = Process::spawn(command).await?;
        Ok(self.process.insert(process))
    }

    /// Starts `enlace`, and kills it after `longest` or when it serves. Returns its announcement if it served. Call
    /// [`Machine::cut`] next.
    ///
    /// # Panics
    /// If the disk of this machine cannot be read.
    pub async fn start_for(&mut self, arguments: &[String], longest: Duration) -> Option<Value> {
        let command = self.switch_on(arguments).expect("a readable disk");
        let trace = self.trace.clone();
        let started = move || {
            let mut launch = Process::launch(command);
            let line = launch.wait(longest).flatten();
            let _agreement = lock(&trace);
            launch.kill();
            line.and_then(|line| serde_json::from_str(&line).ok())
        };
        tokio::task::spawn_blocking(started).await.expect("nothing cancels it")
    }

    fn switch_on(&mut self, arguments: &[String]) -> io::Result<Command> {
        File::create(&self.trace)?;
        self.disk = Some(Disk::read(&self.root)?);
        let mut command = Command::new(enlace());
        command.args(arguments).envs(self.variables.iter().cloned());
        self.shim.preload(&mut command, &self.root, &self.trace, &self.boot_id, self.omit);
        Ok(command)
    }

    /// Length of the trace so far, in bytes.
    ///
    /// # Errors
    /// The system's.
    pub fn trace_length(&self) -> io::Result<u64> {
        let _agreement = lock(&self.trace);
        Ok(fs::metadata(&self.trace)?.len())
    }

    /// The records after the first `length` bytes of the trace.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn trace_since(&self, length: u64) -> io::Result<Trace> {
        let bytes = {
            let _agreement = lock(&self.trace);
            fs::read(&self.trace)?
        };
        let since = bytes.get(length as usize..).unwrap_or_default();
        Trace::parse(since).map_err(io::Error::other)
    }

    /// Cuts the power: kills the program and replaces the disk by what survives.
    ///
    /// # Errors
    /// If the trace is incomplete, so that the surviving state is unknown.
    ///
    /// # Panics
    /// If the disk cannot be read or written.
    pub fn cut(&mut self, tear: Tear, chance: &mut Chance) -> Result<(), String> {
        if let Some(mut process) = self.process.take() {
            let _agreement = lock(&self.trace);
            process.kill();
        }
        let Some(mut disk) = self.disk.take() else { return Ok(()) };
        let trace =
            Trace::parse(&fs::read(&self.trace).expect("a readable trace")).map_err(|error| error.to_string())?;
        for record in trace.0 {
            disk.apply(record)?;
        }
        let found = Image::read(&self.root).expect("a readable disk").0;
        let differences = disk.written().differences(&found);
        if !differences.is_empty() {
            return Err(format!("recorded and found changes differ: {}", differences.join("; ")));
        }
        fs::remove_dir_all(&self.root).expect("a directory of ours");
        let image = disk.after_power_cut(tear, chance);
        image.write(&self.root).expect("space for the disk");
        if self.keeps_copies {
            self.copy(&image).expect("space for copies");
        }
        self.boot().expect("space for a boot id");
        Ok(())
    }

    fn copy(&self, image: &Image) -> io::Result<()> {
        fs::copy(&self.trace, self.trace.with_file_name("trace-at-cut"))?;
        let copy = self.root.with_file_name("disk-after-cut");
        if copy.exists() {
            fs::remove_dir_all(&copy)?;
        }
        image.write(&copy)
    }

    /// Boots the machine: changes the boot id.
    fn boot(&mut self) -> io::Result<()> {
        self.boots += 1;
        fs::write(&self.boot_id, format!("00000000-0000-4000-8000-{:012x}\n", self.boots))
    }
}

/// Locks the trace. While the file is open, the program makes no change, so disk and trace agree.
fn lock(trace: &Path) -> File {
    let file = File::open(trace).expect("a trace");
    file.lock().expect("a lock on a file of ours");
    file
}
