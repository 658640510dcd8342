//! One process per directory.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::{Error, Result, private};

/// Exclusive use of a directory until it is dropped or the process ends, even by a crash.
#[derive(Debug)]
pub struct DirectoryLock {
    directory: PathBuf,
    // The operating system releases the lock when the file is closed.
    _file: File,
}

impl DirectoryLock {
    /// Locks the file `name` in the directory. The file is never removed; only the lock on it matters.
    ///
    /// Does not wait for another process; a caller that wants to wait retries.
    ///
    /// # Errors
    /// [`Error::InUse`] with the id of the process that holds the lock.
    pub fn take(directory: &Path, name: &str) -> Result<Self> {
        let path = directory.join(name);
        let failed = |error: io::Error| Error::io(&path, &error);
        let mut options = private::file_options();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::InUse { directory: directory.to_owned(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        note_holder(&mut file).map_err(failed)?;
        Ok(Self { directory: directory.to_owned(), _file: file })
    }

    /// The locked directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

fn note_holder(file: &mut File) -> io::Result<()> {
    let line = format!("{}\n", std::process::id());
    // Overwrites before truncating: on a full disk, a truncated file could not be written again.
    file.rewind()?;
    file.write_all(line.as_bytes())?;
    file.set_len(line.len() as u64)
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    // A process id has at most ten digits; the limit bounds what is read if the file is something else.
    let _ = file.take(32).read_to_string(&mut text);
    let digits: String = text.trim().chars().take_while(char::is_ascii_digit).collect();
    if digits.is_empty() { "(unknown)".to_owned() } else { digits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_process_is_told_which_process_holds_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let first = DirectoryLock::take(directory.path(), "lock").unwrap();
        let refusal = DirectoryLock::take(directory.path(), "lock").unwrap_err().to_string();
        assert!(refusal.contains(&format!("in use by process {}", std::process::id())), "{refusal}");
        assert!(refusal.contains(&directory.path().display().to_string()), "{refusal}");
        drop(first);
        DirectoryLock::take(directory.path(), "lock").unwrap();
    }

    #[test]
    fn a_longer_line_of_an_earlier_holder_is_replaced_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("lock"), "12345678901\n").unwrap();
        let _first = DirectoryLock::take(directory.path(), "lock").unwrap();
        let line = std::fs::read_to_string(directory.path().join("lock")).unwrap();
        assert_eq!(line, format!("{}\n", std::process::id()));
    }
}
