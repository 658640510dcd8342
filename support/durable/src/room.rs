//! Room on a disk. The index of a store cannot refuse a write and go on, so some space must never be used by anything else.

use std::io;
use std::path::Path;

/// Space that commits leave free for the index.
pub(crate) const RESERVED_BYTES: u64 = 1024 * 1024;
/// Space that other files leave free, so that commits still find some.
const RESERVED_FROM_FILES: u64 = 2 * RESERVED_BYTES;

/// Bytes that are free for new files; nothing if that cannot be told.
pub(crate) fn free_bytes(directory: &Path) -> Option<u64> {
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

/// Checks before bytes are written to a file on the disk of a store that they leave enough room for the store.
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
    fn more_than_there_is_finds_no_room_and_little_does() {
        let directory = tempfile::tempdir().unwrap();
        check_room(directory.path(), 1).unwrap();
        #[cfg(unix)]
        assert_eq!(check_room(directory.path(), usize::MAX).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
