//! Free disk space. The index cannot recover from a write that fails for lack of space, so some space is reserved for it.

use std::io;
use std::path::Path;

/// Space that commits leave free for the index.
pub(crate) const RESERVED_BYTES: u64 = 1024 * 1024;
/// Space that other files leave free, so that commits still succeed.
const RESERVED_FROM_FILES: u64 = 2 * RESERVED_BYTES;

/// Space in bytes that this user can still fill on the disk of a directory; `None` if unknown.
#[must_use]
pub fn free_bytes(directory: &Path) -> Option<u64> {
    #[cfg(unix)]
    {
        let statistics = rustix::fs::statvfs(directory).ok()?;
        Some(statistics.f_bavail.saturating_mul(statistics.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = directory;
        None
    }
}

/// Checks that a file of `bytes` bytes on the disk of a store would leave enough space for the store.
///
/// # Errors
/// [`io::ErrorKind::StorageFull`] if they do not.
pub fn check_room(directory: &Path, bytes: usize) -> io::Result<()> {
    let needed = RESERVED_FROM_FILES.saturating_add(bytes as u64);
    if free_bytes(directory).is_none_or(|free| free >= needed) {
        Ok(())
    } else {
        Err(io::ErrorKind::StorageFull.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_larger_than_the_free_space_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        check_room(directory.path(), 1).unwrap();
        #[cfg(unix)]
        assert_eq!(check_room(directory.path(), usize::MAX).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
