//! Creating and migrating a store atomically: a new store, or the migrated form of an older one, is built next to its final
//! path and renamed when complete. A power cut leaves the old state or the new one.
//!
//! Next to `store` there can be `store.new`, incomplete or complete, and `store.old`, which is being replaced.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::store::Store;
use crate::{Error, Result, private};

/// The path of a store, which may not exist yet.
#[derive(Debug, Clone)]
pub struct Location {
    path: PathBuf,
}

/// The state of a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// A store.
    Ready,
    /// Files in an older format.
    Older,
    /// No store, but a complete one next to it that [`Location::finish`] moves there.
    Unpublished,
    /// No store.
    Absent,
}

impl Location {
    /// The location at this path.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Completes a migration that was interrupted, and returns the state of the location.
    ///
    /// # Errors
    /// The operating system's error.
    pub fn inspect(&self) -> Result<Condition> {
        let (new, old) = (self.beside("new"), self.beside("old"));
        if Store::is_in(&self.path) {
            self.remove(&new)?;
            self.remove(&old)?;
            return Ok(Condition::Ready);
        }
        if has_entries(&self.path) {
            return Ok(Condition::Older);
        }
        if has_entries(&old) {
            // Interrupted between the two renames of `finish`.
            if Store::is_in(&new) {
                self.rename(&new, &self.path)?;
                self.remove(&old)?;
                return Ok(Condition::Ready);
            }
            self.rename(&old, &self.path)?;
            return Ok(Condition::Older);
        }
        Ok(if Store::is_in(&new) { Condition::Unpublished } else { Condition::Absent })
    }

    /// Creates a store next to the final path, to be filled.
    ///
    /// # Errors
    /// The operating system's error.
    pub fn begin(&self) -> Result<Staged> {
        let path = self.beside("new");
        self.remove(&path)?;
        let store = Store::begin(&path)?;
        Ok(Staged { location: self.clone(), store: Some(store) })
    }

    /// Moves the complete store to its final path and opens it.
    ///
    /// # Errors
    /// The operating system's error, and the errors of [`Store::open`].
    pub fn finish(&self) -> Result<Store> {
        let (new, old) = (self.beside("new"), self.beside("old"));
        if has_entries(&self.path) {
            self.rename(&self.path, &old)?;
        }
        self.rename(&new, &self.path)?;
        self.remove(&old)?;
        Store::open(&self.path)
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".");
        name.push(suffix);
        self.path.with_file_name(name)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        // An empty directory at the target is left over from one whose contents were never flushed.
        let renamed = match fs::remove_dir(to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::rename(from, to),
        };
        renamed
            .and_then(|()| private::sync_directory(private::parent_of(&self.path)))
            .map_err(|error| Error::io(to, &error))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(path, &error)),
            _ => Ok(()),
        }
    }
}

fn has_entries(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some())
}

/// A store under construction. If it is dropped before [`complete`](Self::complete), it is ignored and later overwritten.
pub struct Staged {
    location: Location,
    store: Option<Store>,
}

impl Staged {
    /// The store, to be filled.
    #[must_use]
    pub fn store(&self) -> &Store {
        self.store.as_ref().expect("it is there until it is complete")
    }

    /// Durably marks it as complete. It stays next to its final path until [`Location::finish`].
    ///
    /// # Errors
    /// The operating system's error.
    pub fn complete(mut self) -> Result<Location> {
        let store = self.store.take().expect("it is completed once");
        store.close()?;
        let directory = store.directory().to_owned();
        drop(store);
        Store::complete(&directory)?;
        Ok(self.location)
    }

    /// Completes it, moves it to its final path and opens it.
    ///
    /// # Errors
    /// The operating system's error, and the errors of [`Store::open`].
    pub fn publish(self) -> Result<Store> {
        self.complete()?.finish()
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;

    fn fixture() -> (tempfile::TempDir, Location) {
        let directory = tempfile::tempdir().unwrap();
        let location = Location::new(&directory.path().join("store"));
        (directory, location)
    }

    #[test]
    fn an_incomplete_store_is_ignored() {
        let (_directory, location) = fixture();
        assert_eq!(location.inspect().unwrap(), Condition::Absent);
        drop(location.begin().unwrap());
        assert_eq!(location.inspect().unwrap(), Condition::Absent);
        location.begin().unwrap().complete().unwrap();
        assert_eq!(location.inspect().unwrap(), Condition::Unpublished);
        drop(location.finish().unwrap());
        assert_eq!(location.inspect().unwrap(), Condition::Ready);
        drop(Store::open(location.path()).unwrap());
    }

    #[test]
    fn an_older_store_stays_until_the_new_one_replaces_it() {
        let (directory, location) = fixture();
        fs::create_dir(location.path()).unwrap();
        fs::write(location.path().join("db"), "older").unwrap();
        assert_eq!(location.inspect().unwrap(), Condition::Older);
        location.begin().unwrap().complete().unwrap();
        assert_eq!(location.inspect().unwrap(), Condition::Older, "until it is moved");
        // Interrupted between the two renames.
        fs::rename(location.path(), directory.path().join("store.old")).unwrap();
        assert_eq!(location.inspect().unwrap(), Condition::Ready);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_older_store_is_restored_if_the_new_one_is_incomplete() {
        let (directory, location) = fixture();
        fs::create_dir(directory.path().join("store.old")).unwrap();
        fs::write(directory.path().join("store.old/db"), "older").unwrap();
        drop(location.begin().unwrap());
        assert_eq!(location.inspect().unwrap(), Condition::Older);
        assert!(location.path().join("db").exists());
    }
}
