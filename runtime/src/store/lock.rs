//! One process per data directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::{Result, StoreError};

/// Name of the lock file in the data directory. It stays behind; what counts is whether it is locked.
const FILE_NAME: &str = "node.lock";

/// Holds the directory until it is dropped, also when the process is killed.
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// # Errors
    /// [`StoreError::Held`] names the process that has the directory.
    pub(super) fn take(data_dir: &Path) -> Result<Self> {
        let path = data_dir.join(FILE_NAME);
        let mut file = open(&path).map_err(|source| io_error(&path, source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Held { directory: data_dir.to_owned(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(io_error(&path, source)),
        }
        write_holder(&mut file).map_err(|source| io_error(&path, source))?;
        Ok(Self { _file: file })
    }
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn write_holder(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    // A process id has at most ten digits; the limit keeps a foreign file from being read whole.
    let _ = file.take(32).read_to_string(&mut text);
    let digits: String = text.trim().chars().take_while(char::is_ascii_digit).collect();
    if digits.is_empty() { "(unknown)".to_owned() } else { digits }
}

fn io_error(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io { path: PathBuf::from(path), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_and_told_who_the_first_is() {
        let directory = tempfile::tempdir().unwrap();
        let first = DirectoryLock::take(directory.path()).unwrap();
        let refusal = DirectoryLock::take(directory.path()).err().unwrap().to_string();
        assert!(refusal.contains(&format!("in use by process {}", std::process::id())), "{refusal}");
        drop(first);
        assert!(DirectoryLock::take(directory.path()).is_ok());
    }
}
