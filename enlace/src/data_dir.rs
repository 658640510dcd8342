//! The data directory: private to its owner, held by one process at a time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::{DirectoryLock, private};
use zeroize::Zeroizing;

use crate::failure::{Failure, reason};
use crate::text_file;

/// Name of the note in which a process that serves a data directory says how it can be reached; see `running`.
pub(crate) const HOLDERS_NOTE: &str = "running.json";

/// A data directory, not necessarily held.
#[derive(Debug, Clone)]
pub(crate) struct DataDir {
    path: PathBuf,
}

/// Proof that this process holds a data directory; released on drop, once the node has dropped its part of the lock.
#[derive(Debug)]
pub(crate) struct Held {
    dir: DataDir,
    lock: Arc<DirectoryLock>,
}

/// Another process, which holds a data directory.
#[derive(Debug)]
pub(crate) struct Holder {
    dir: PathBuf,
    /// Its process id, unless the system does not let us read it.
    pid: Option<u32>,
}

impl DataDir {
    /// Opens a directory, creating it with mode 0700.
    ///
    /// # Errors
    /// A failure that names the directory.
    pub(crate) fn open(path: PathBuf) -> Result<Self, Failure> {
        let unusable = |error: std::io::Error| {
            Failure::local(format!("cannot use the data directory {}: {}", path.display(), reason(&error)))
                .hint("choose another one with --data-dir DIR")
        };
        private::create_directory(&path).map_err(unusable)?;
        // Absolute, because other processes read the paths that we note down.
        Ok(Self { path: path.canonicalize().map_err(unusable)? })
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A file or directory in it.
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Removes the note of the process that holds, or held, the directory.
    pub(crate) fn forget_holder(&self) {
        // Without the lock a left-over note is ignored, so a failure here does no harm.
        let _ = std::fs::remove_file(self.join(HOLDERS_NOTE));
    }

    /// Holds the directory until the result is dropped, or tells who does. Does not wait.
    ///
    /// # Errors
    /// A failure if the directory is not for this user alone, or the lock file cannot be made.
    pub(crate) fn try_hold(&self) -> Result<Result<Held, Holder>, Failure> {
        private::check_directory(&self.path)?;
        match DirectoryLock::take(&self.path, runtime::LOCK_FILE) {
            Ok(lock) => {
                // The note of a holder that was killed would lead others, and their key, to the program that has its port now.
                self.forget_holder();
                Ok(Ok(Held { dir: self.clone(), lock: Arc::new(lock) }))
            }
            Err(durable::Error::InUse { holder, .. }) => {
                Ok(Err(Holder { dir: self.path.clone(), pid: holder.parse().ok() }))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Holds the directory until the result is dropped.
    ///
    /// # Errors
    /// A failure that says which process holds it already.
    pub(crate) fn hold(&self) -> Result<Held, Failure> {
        self.try_hold()?.map_err(|holder| holder.refusal())
    }
}

impl Held {
    /// The directory.
    pub(crate) fn dir(&self) -> &DataDir {
        &self.dir
    }

    /// The lock, for the node.
    pub(crate) fn lock(&self) -> Arc<DirectoryLock> {
        self.lock.clone()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.dir.forget_holder();
    }
}

impl Holder {
    /// Whether it can be the process with this id.
    pub(crate) fn can_be(&self, pid: u32) -> bool {
        self.pid.is_none_or(|own| own == pid)
    }

    /// The message while a command waits for it.
    pub(crate) fn notice(&self) -> String {
        format!("waiting for {self}, which uses {}", self.dir.display())
    }

    /// The failure of a command that does not wait for it, or not any longer.
    pub(crate) fn refusal(&self) -> Failure {
        Failure::local(format!("the data directory {} is in use by {self}", self.dir.display()))
            .hint("stop that process, use its REST API, or choose another directory with --data-dir DIR")
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("another process"),
        }
    }
}

/// Reads a small private file as text without its byte order mark, which is wiped when it is dropped; nothing if it does not exist.
///
/// # Errors
/// A failure that names the file, also if others may read it.
pub(crate) fn read_private(path: &Path, limit: u64) -> Result<Option<Zeroizing<String>>, Failure> {
    let Some(bytes) = private::read_file(path, limit)? else { return Ok(None) };
    let text = text_file::decode(&path.display().to_string(), &bytes)?;
    Ok(Some(Zeroizing::new(text.to_owned())))
}

/// Writes a file with mode 0600 so that a crash leaves the old one or the new one.
///
/// # Errors
/// A failure that names the file.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), Failure> {
    private::replace_file(path, content).map_err(|error| durable::Error::io(path, &error).into())
}

/// What a data directory is for; each purpose has its own, because one directory holds one identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The identity that shares and serves.
    Node,
    /// The identity that receives.
    Receiver,
    /// A backbone alone.
    Backbone,
}

/// The platform's data directory for a purpose.
///
/// # Errors
/// A failure that names `--data-dir` if the environment does not tell where the home directory is.
pub(crate) fn default_data_dir(purpose: Purpose) -> Result<PathBuf, Failure> {
    let base = platform_data_dir().ok_or_else(|| {
        Failure::local("cannot find your home directory").hint("choose a data directory with --data-dir DIR")
    })?;
    let name = match purpose {
        Purpose::Node => "node",
        Purpose::Receiver => "receiver",
        Purpose::Backbone => "backbone",
    };
    Ok(base.join("enlace").join(name))
}

fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

fn platform_data_dir() -> Option<PathBuf> {
    if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        variable("HOME").map(|home| home.join("Library").join("Application Support"))
    } else {
        variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local").join("share")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::running::Running;

    #[test]
    fn a_second_holder_is_refused_until_the_first_lets_go() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path().join("a")).unwrap();
        let held = dir.hold().unwrap();
        let failure = dir.hold().unwrap_err();
        let holder = format!("is in use by process {}", std::process::id());
        assert!(failure.message.contains(&holder), "{failure}");
        drop(held);
        assert!(dir.hold().is_ok());
    }

    #[test]
    fn a_killed_holders_note_is_gone_once_the_directory_is_held_again() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path().join("a")).unwrap();
        Running::example().note(&dir).unwrap();
        let _held = dir.hold().unwrap();
        assert!(Running::read(&dir).is_none());
    }

    #[cfg(unix)]
    #[test]
    fn directory_and_files_are_private_and_open_ones_are_refused() {
        use std::fs;
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path().join("a").join("b")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(dir.path()), 0o700);
        let file = dir.join("secret");
        assert_eq!(read_private(&file, 10).unwrap(), None);
        write_private(&file, b"x").unwrap();
        assert_eq!(mode(&file), 0o600);
        assert_eq!(*read_private(&file, 10).unwrap().unwrap(), "x");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let failure = read_private(&file, 10).unwrap_err();
        assert_eq!(failure.hint.unwrap(), format!("run: chmod 0600 {}", file.display()));
    }
}
