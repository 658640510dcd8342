//! A source as bytes, so that it outlives the process. Names and paths are in it: whoever keeps them seals them.
//!
//! ```text
//! length of the manifest (8, 0 if there is none) manifest
//! for each file: length of the path (4) path, state (32), start (8)
//! ```

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use transport::content::manifest::Manifest;

use super::state::FileState;
use super::{Parts, Source, SourceFile};

impl Source {
    /// The bytes; none if a path has no portable form, or if they would be more than `limit`.
    pub(crate) fn to_bytes(&self, limit: usize) -> Option<Vec<u8>> {
        let head = self.parts.head();
        if head.len() > limit {
            return None;
        }
        let mut bytes = (head.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(head);
        for file in &self.parts.files {
            let path = path_bytes(&file.path)?;
            bytes.extend_from_slice(&u32::try_from(path.len()).ok()?.to_le_bytes());
            bytes.extend_from_slice(path);
            bytes.extend_from_slice(&file.state.to_bytes());
            bytes.extend_from_slice(&file.start.to_le_bytes());
            if bytes.len() > limit {
                return None;
            }
        }
        Some(bytes)
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote for a content of `length` bytes. The files are not looked at.
    pub(crate) fn from_bytes(mut bytes: &[u8], length: u64) -> Option<Self> {
        let head_length = u64::from_le_bytes(*taken(&mut bytes)?);
        let head = bytes.split_off(..usize::try_from(head_length).ok()?)?;
        let manifest = match head.is_empty() {
            true => None,
            false => Some((Manifest::decode(head, length).ok()?, head.to_vec())),
        };
        let mut files = Vec::new();
        while !bytes.is_empty() {
            let path_length = u32::from_le_bytes(*taken(&mut bytes)?);
            let path = path_of(bytes.split_off(..path_length as usize)?)?;
            let state = FileState::from_bytes(taken(&mut bytes)?);
            files.push(SourceFile { path, state, start: u64::from_le_bytes(*taken(&mut bytes)?) });
        }
        Some(Self::of(Parts { manifest, files, length, failure: Mutex::default() }))
    }
}

fn taken<'a, const N: usize>(bytes: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(first)
}

/// Paths are bytes on Unix; elsewhere those that are no Unicode cannot be kept.
fn path_bytes(path: &Path) -> Option<&[u8]> {
    #[cfg(unix)]
    {
        Some(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()))
    }
    #[cfg(not(unix))]
    {
        path.to_str().map(str::as_bytes)
    }
}

fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    #[cfg(unix)]
    {
        let path: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(bytes);
        Some(path.into())
    }
    #[cfg(not(unix))]
    {
        std::str::from_utf8(bytes).ok().map(PathBuf::from)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::source::SourceEntry;

    #[test]
    fn a_source_is_the_same_after_it_was_stored() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, b"some bytes").unwrap();
        let one = Source::file(&path).unwrap();
        let entries = [("x/a", &path), ("x/b", &path)].map(|(name, local)| SourceEntry {
            path: crate::source::RelativePath::new(name).unwrap(),
            local: local.clone(),
        });
        for source in [one, Source::tree(entries.to_vec()).unwrap()] {
            let bytes = source.to_bytes(usize::MAX).unwrap();
            let again = Source::from_bytes(&bytes, source.length()).unwrap();
            assert_eq!((again.identity(), again.length()), (source.identity(), source.length()));
            let (mut before, mut after) = (Vec::new(), Vec::new());
            source.read_at(0..u64::MAX, &mut before).unwrap();
            again.read_at(0..u64::MAX, &mut after).unwrap();
            assert_eq!(before, after);
            assert!(source.to_bytes(bytes.len()).is_some() && source.to_bytes(bytes.len() - 1).is_none());
            for cut in [1, 7, 9, bytes.len() - 1] {
                assert!(Source::from_bytes(&bytes[..cut], source.length()).is_none(), "{cut}");
            }
        }
    }
}
