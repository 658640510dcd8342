//! A private copy of a directory, for readers that modify the files they open.

use std::fs;
use std::path::{Path, PathBuf};

use crate::private::{create_directory, file_options};
use crate::{Error, Result};

/// A copy of a directory, next to it, accessible to this user only. Removed on drop, or, if the process was killed, when the
/// next copy is made.
///
/// Some databases write to their files as soon as they are opened, and cannot be reopened if the process is killed at that
/// moment. To read from one safely, open a copy.
#[derive(Debug)]
pub struct WorkingCopy(PathBuf);

impl WorkingCopy {
    /// Copies files and directories; skips everything else.
    ///
    /// # Errors
    /// [`Error::Io`] if something cannot be read or written.
    pub fn of(directory: &Path) -> Result<Self> {
        let copy = Self(directory.with_extension("copy"));
        copy.remove();
        copy_directory(directory, &copy.0)?;
        Ok(copy)
    }

    /// The path of the copy.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    fn remove(&self) {
        // If this fails, creating the next copy fails and reports it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Drop for WorkingCopy {
    fn drop(&mut self) {
        self.remove();
    }
}

fn copy_directory(from: &Path, to: &Path) -> Result<()> {
    create_directory(to).map_err(|error| Error::io(to, &error))?;
    for entry in fs::read_dir(from).map_err(|error| Error::io(from, &error))? {
        let entry = entry.map_err(|error| Error::io(from, &error))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(|error| Error::io(&source, &error))?;
        if kind.is_dir() {
            copy_directory(&source, &target)?;
        } else if kind.is_file() {
            copy_file(&source, &target)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    let mut source = fs::File::open(from).map_err(|error| Error::io(from, &error))?;
    let target = file_options().write(true).create_new(true).open(to);
    let mut target = target.map_err(|error| Error::io(to, &error))?;
    std::io::copy(&mut source, &mut target).map_err(|error| Error::io(to, &error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_the_same_files_and_is_removed_on_drop() {
        let directory = tempfile::tempdir().unwrap();
        let original = directory.path().join("store");
        fs::create_dir_all(original.join("blobs")).unwrap();
        fs::write(original.join("db"), b"records").unwrap();
        fs::write(original.join("blobs/1"), b"blob").unwrap();
        // Left by a killed process.
        fs::create_dir(original.with_extension("copy")).unwrap();
        fs::write(original.with_extension("copy").join("db"), b"part").unwrap();
        let copy = WorkingCopy::of(&original).unwrap();
        assert_eq!(fs::read(copy.path().join("db")).unwrap(), b"records");
        assert_eq!(fs::read(copy.path().join("blobs/1")).unwrap(), b"blob");
        fs::write(copy.path().join("db"), b"changed").unwrap();
        let path = copy.path().to_owned();
        drop(copy);
        assert!(!path.exists());
        assert_eq!(fs::read(original.join("db")).unwrap(), b"records");
    }
}
