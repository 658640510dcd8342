//! Where a store lies, and how it gets there: a new one, or one that takes over from an older format, is built beside its
//! place and moved there when it is complete. A loss of power leaves the old state or the new one.
//!
//! Beside `store` there can be `store.new`, under construction or complete, and `store.old`, which a new one replaced.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::store::Store;
use crate::{Error, Result, private};

/// The place of a store.
#[derive(Debug, Clone)]
pub struct Location {
    path: PathBuf,
}

/// What is at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// A store.
    Ready,
    /// Files of something else: an older format.
    Older,
    /// Nothing, but a complete store waits beside it to be [moved there](Location::finish).
    Unpublished,
    /// Nothing.
    Absent,
}

impl Location {
    /// The place with this path.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Finishes what a loss of power interrupted, and says what is there.
    ///
    /// # Errors
    /// What the operating system says.
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
            // The new one was about to take its place.
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

    /// Begins a store beside the place.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn begin(&self) -> Result<Staged> {
        let path = self.beside("new");
        self.remove(&path)?;
        let store = Store::begin(&path)?;
        Ok(Staged { location: self.clone(), store: Some(store) })
    }

    /// Moves the complete store beside the place there and opens it.
    ///
    /// # Errors
    /// What the operating system says, and what [`Store::open`] returns.
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
        // An empty directory in the way is what is left of one that was never synchronised.
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

/// A store under construction. Dropped before [`complete`](Self::complete), it counts for nothing.
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

    /// Says that everything is in it. It still lies beside its place.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn complete(mut self) -> Result<Location> {
        let store = self.store.take().expect("it is completed once");
        store.close()?;
        let directory = store.directory().to_owned();
        drop(store);
        Store::complete(&directory)?;
        Ok(self.location)
    }

    /// Completes it, moves it to its place and opens it there.
    ///
    /// # Errors
    /// What the operating system says, and what [`Store::open`] returns.
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
    fn a_store_that_was_not_completed_counts_for_nothing() {
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
    fn an_older_format_is_there_until_the_new_one_is() {
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
    fn an_older_format_comes_back_if_the_new_one_is_not_complete() {
        let (directory, location) = fixture();
        fs::create_dir(directory.path().join("store.old")).unwrap();
        fs::write(directory.path().join("store.old/db"), "older").unwrap();
        drop(location.begin().unwrap());
        assert_eq!(location.inspect().unwrap(), Condition::Older);
        assert!(location.path().join("db").exists());
    }
}
