//! Builds and preloads the shim, which records the changes of a program.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Flushes that report success without effect; for a negative control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Omit {
    /// All flushes.
    All,
    /// Flushes of files.
    Files,
    /// Flushes of directories.
    Directories,
}

/// The compiled shim.
#[derive(Debug, Clone)]
pub struct Shim(PathBuf);

impl Shim {
    /// Compiles it, once in this process, into the target directory.
    ///
    /// # Errors
    /// The compiler's output, or that there is no compiler.
    pub fn build() -> Result<Self, String> {
        static BUILD: OnceLock<Result<Shim, String>> = OnceLock::new();
        BUILD.get_or_init(compile).clone()
    }

    /// Compiles it, or prints why a test is skipped.
    ///
    /// # Panics
    /// If it cannot be compiled and the variable `CI` is set.
    #[must_use]
    pub fn or_skip() -> Option<Self> {
        match Self::build() {
            Ok(shim) => Some(shim),
            Err(reason) => {
                assert!(std::env::var_os("CI").is_none(), "the power-cut shim cannot be compiled: {reason}");
                // Past the capture of test output: a skipped test must be seen.
                let line = format!("skipped: the power-cut shim cannot be compiled: {reason}\n");
                std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes()).expect("somebody reads test output");
                None
            }
        }
    }

    /// Makes a program record its changes below `root` in `trace`.
    pub fn preload(&self, command: &mut Command, root: &Path, trace: &Path, boot_id: &Path, omit: Option<Omit>) {
        command.env("LD_PRELOAD", &self.0);
        command.env("POWER_CUT_ROOT", root).env("POWER_CUT_TRACE", trace).env("POWER_CUT_BOOT_ID", boot_id);
        if let Some(omit) = omit {
            let word = match omit {
                Omit::All => "all",
                Omit::Files => "files",
                Omit::Directories => "directories",
            };
            command.env("POWER_CUT_OMIT", word);
        }
    }
}

fn compile() -> Result<Shim, String> {
    let test = std::env::current_exe().map_err(|error| error.to_string())?;
    let folder = test.parent().ok_or("a test without a directory")?.join("power-cut-shim");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let library = folder.join("shim.so");
    // Several tests may compile at the same time.
    let own = folder.join(format!("shim-{}.so", std::process::id()));
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden", "-pthread", "-o"])
        .arg(&own)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/power/shim.c"))
        .arg("-ldl")
        .output()
        .map_err(|error| format!("cc: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    std::fs::rename(&own, &library).map_err(|error| error.to_string())?;
    Ok(Shim(library))
}
