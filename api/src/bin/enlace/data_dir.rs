//! The data directory: private to its owner, held by one process at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use crate::failure::{Failure, with_sources};
use crate::running::Running;

/// A data directory, not necessarily held.
#[derive(Debug, Clone)]
pub(crate) struct DataDir {
    path: PathBuf,
}

/// Proof that this process holds a data directory; released on drop.
#[derive(Debug)]
pub(crate) struct Held {
    dir: DataDir,
    _lock: File,
}

impl DataDir {
    /// Opens a directory, creating it with mode 0700.
    ///
    /// # Errors
    /// A failure that names the directory.
    pub(crate) fn open(path: PathBuf) -> Result<Self, Failure> {
        let unusable = |error: std::io::Error| {
            Failure::local(format!("cannot use the data directory {}: {error}", path.display()))
                .hint("choose another one with --data-dir DIR")
        };
        if !path.exists() {
            create_private(&path).map_err(unusable)?;
        }
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

    /// Holds the directory until the result is dropped, or says that another process does.
    ///
    /// # Errors
    /// A failure if the lock file cannot be made.
    pub(crate) fn try_hold(&self) -> Result<Option<Held>, Failure> {
        let path = self.join("lock");
        let unusable = |error: &dyn std::error::Error| {
            Failure::local(format!("cannot lock {}: {}", path.display(), with_sources(error)))
        };
        let file = private_options().create(true).truncate(false).open(&path).map_err(|error| unusable(&error))?;
        match file.try_lock() {
            Ok(()) => {
                // A killed holder's note would lead others, and their key, to whoever has its port now.
                Running::forget(self);
                Ok(Some(Held { dir: self.clone(), _lock: file }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(unusable(&error)),
        }
    }

    /// Holds the directory until the result is dropped.
    ///
    /// # Errors
    /// A failure that says which process holds it already.
    pub(crate) fn hold(&self) -> Result<Held, Failure> {
        self.try_hold()?.ok_or_else(|| self.held_by_another())
    }

    /// The failure that says who holds the directory.
    pub(crate) fn held_by_another(&self) -> Failure {
        let holder =
            Running::read(self).map_or_else(|| "another process".to_owned(), |it| format!("process {}", it.pid));
        Failure::local(format!("the data directory {} is in use by {holder}", self.path.display()))
            .hint("stop that process, use its REST API, or choose another directory with --data-dir DIR")
    }
}

impl Held {
    /// The directory.
    pub(crate) fn dir(&self) -> &DataDir {
        &self.dir
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        Running::forget(&self.dir);
    }
}

/// Reads a small private file as text.
///
/// # Errors
/// A failure that names the file, also if others may read it.
pub(crate) fn read_private(path: &Path, limit: usize) -> Result<String, Failure> {
    let unreadable = |error: std::io::Error| Failure::local(format!("cannot read {}: {error}", path.display()));
    let file = File::open(path).map_err(unreadable)?;
    check_private(path, &file.metadata().map_err(unreadable)?)?;
    let mut text = String::new();
    file.take(limit as u64 + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() > limit {
        return Err(Failure::local(format!("{} is longer than {limit} bytes", path.display())));
    }
    Ok(text)
}

/// Writes a file with mode 0600 so that a crash leaves the old one or the new one.
///
/// # Errors
/// A failure that names the file.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        // Temporary files of this crate have mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(parent)?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        sync_dir(parent)
    };
    write().map_err(|error| Failure::local(format!("cannot write {}: {error}", path.display())))
}

/// Makes a rename in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

#[cfg(unix)]
fn create_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> std::io::Result<()> {
    fs::create_dir_all(path)
}

#[cfg(unix)]
fn private_options() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

#[cfg(not(unix))]
fn private_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options
}

#[cfg(unix)]
fn check_private(path: &Path, metadata: &fs::Metadata) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;
    if metadata.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    let failure = Failure::local(format!("{} holds a secret and other users may read it", path.display()));
    Err(failure.hint(format!("chmod 600 {}", path.display())))
}

#[cfg(not(unix))]
fn check_private(_: &Path, _: &fs::Metadata) -> Result<(), Failure> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_until_the_first_lets_go() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path().join("a")).unwrap();
        let held = dir.hold().unwrap();
        let failure = dir.hold().unwrap_err();
        assert!(failure.message.contains("is in use by"), "{failure}");
        drop(held);
        assert!(dir.hold().is_ok());
    }

    #[test]
    fn a_killed_holders_note_is_gone_once_the_directory_is_held_again() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path().join("a")).unwrap();
        Running::this_process().note(&dir).unwrap();
        let _held = dir.hold().unwrap();
        assert!(Running::read(&dir).is_none());
    }

    #[cfg(unix)]
    #[test]
    fn directory_and_files_are_private_and_open_ones_are_refused() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path().join("a").join("b")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(dir.path()), 0o700);
        let file = dir.join("secret");
        write_private(&file, b"x").unwrap();
        assert_eq!(mode(&file), 0o600);
        assert_eq!(read_private(&file, 10).unwrap(), "x");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let failure = read_private(&file, 10).unwrap_err();
        assert!(failure.hint.unwrap().starts_with("chmod 600"));
    }
}
