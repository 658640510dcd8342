//! A snapshot of a directory: names, modes and bytes.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// A file or directory.
#[derive(Clone, PartialEq, Eq)]
pub enum Entry {
    /// A directory with its mode.
    Directory(u32),
    /// A file with its mode and bytes.
    File(u32, Vec<u8>),
}

/// A directory with everything below it. Paths are relative; the empty path is the directory itself.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Image(pub BTreeMap<PathBuf, Entry>);

impl Image {
    /// Reads a directory, and returns the inode number of each entry.
    ///
    /// # Errors
    /// The system's.
    pub fn read(root: &Path) -> io::Result<(Self, BTreeMap<PathBuf, u64>)> {
        let (mut image, mut inodes) = (Self::default(), BTreeMap::new());
        let mut left = vec![PathBuf::new()];
        while let Some(path) = left.pop() {
            // Joining an empty path would append a slash.
            let place = if path.as_os_str().is_empty() { root.to_owned() } else { root.join(&path) };
            let status = fs::symlink_metadata(&place)?;
            inodes.insert(path.clone(), status.ino());
            let mode = status.mode() & 0o7777;
            if status.is_dir() {
                for entry in fs::read_dir(&place)? {
                    left.push(path.join(entry?.file_name()));
                }
                image.0.insert(path, Entry::Directory(mode));
            } else {
                image.0.insert(path, Entry::File(mode, fs::read(&place)?));
            }
        }
        Ok((image, inodes))
    }

    /// Writes it to a new directory.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, root: &Path) -> io::Result<()> {
        // Sorted: a directory comes before its entries.
        for (path, entry) in &self.0 {
            let place = if path.as_os_str().is_empty() { root.to_owned() } else { root.join(path) };
            let mode = match entry {
                Entry::Directory(mode) => {
                    fs::create_dir(&place)?;
                    mode
                }
                Entry::File(mode, bytes) => {
                    fs::write(&place, bytes)?;
                    mode
                }
            };
            fs::set_permissions(&place, Permissions::from_mode(*mode))?;
        }
        Ok(())
    }

    /// The first few differences from another image, one line each; empty if there are none.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let paths: std::collections::BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        let differing = paths.into_iter().filter(|path| self.0.get(*path) != other.0.get(*path));
        let line = |path: &PathBuf| {
            let [one, another] = [self, other].map(|image| describe(image.0.get(path)));
            format!("{}: {one}, {another}", path.display())
        };
        differing.take(10).map(line).collect()
    }
}

fn describe(entry: Option<&Entry>) -> String {
    match entry {
        None => "nothing".to_owned(),
        Some(Entry::Directory(mode)) => format!("a directory with mode {mode:o}"),
        Some(Entry::File(mode, bytes)) => format!("a file of {} bytes with mode {mode:o}", bytes.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_round_trips() {
        let place = tempfile::tempdir().unwrap();
        let file = |mode, bytes: &[u8]| Entry::File(mode, bytes.to_vec());
        let entries = [
            ("", Entry::Directory(0o755)),
            ("a", Entry::Directory(0o700)),
            ("a/b", file(0o600, b"bytes")),
            ("c", file(0o640, b"")),
        ];
        let image = Image(entries.into_iter().map(|(path, entry)| (path.into(), entry)).collect());
        let root = place.path().join("root");
        image.write(&root).unwrap();
        let (read, inodes) = Image::read(&root).unwrap();
        assert_eq!(read.differences(&image), [""; 0]);
        assert_eq!(inodes.len(), 4);
        fs::write(root.join("a/b"), b"other").unwrap();
        let changed = Image::read(&root).unwrap().0;
        assert_eq!(
            image.differences(&changed),
            ["a/b: a file of 5 bytes with mode 600, a file of 5 bytes with mode 600"]
        );
    }
}
