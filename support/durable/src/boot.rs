//! Detects a reboot since the index was written: unflushed writes survive the end of the process, but not a reboot.

use std::path::Path;

use crate::{Result, private};

/// Linux's boot id, a new random one at each boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Content of the file after an orderly shutdown.
const FLUSHED: &str = "synchronised";
const MAX_BYTES: u64 = 128;

/// Whether the index on disk is complete: it was flushed at the end, or the machine has not been rebooted since.
///
/// # Errors
/// [`crate::Error::Io`] if the note cannot be read.
pub(crate) fn is_reliable(note: &Path) -> Result<bool> {
    let Some(noted) = private::read_file(note, MAX_BYTES)? else { return Ok(false) };
    let noted = String::from_utf8_lossy(&noted);
    Ok(noted.trim() == FLUSHED || current().is_some_and(|current| noted.trim() == current))
}

/// Durably records the current boot id: from now on the index receives unflushed writes.
///
/// # Errors
/// The operating system's error.
pub(crate) fn note_in_use(note: &Path) -> std::io::Result<()> {
    let current = current().unwrap_or_else(|| "unknown".to_owned());
    // Not rewritten if unchanged: on a full disk the store must still open, so that entries can be removed.
    match std::fs::read(note) {
        // Its writer may have been killed before the directory was flushed.
        Ok(noted) if noted == current.as_bytes() => private::sync_directory(private::parent_of(note)),
        _ => private::replace_file(note, current.as_bytes()),
    }
}

/// Durably records that the index is flushed.
///
/// # Errors
/// The operating system's error.
pub(crate) fn note_flushed(note: &Path) -> std::io::Result<()> {
    private::replace_file(note, FLUSHED.as_bytes())
}

/// The current boot id, if the system has one.
fn current() -> Option<String> {
    std::fs::read_to_string(BOOT_ID).ok().map(|id| id.trim().to_owned()).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_written_under_another_boot_id_is_not_reliable() {
        let directory = tempfile::tempdir().unwrap();
        let note = directory.path().join("index.state");
        assert!(!is_reliable(&note).unwrap(), "no note yet");
        note_in_use(&note).unwrap();
        assert_eq!(is_reliable(&note).unwrap(), current().is_some());
        private::replace_file(&note, b"4c1f7e0a-another-boot").unwrap();
        assert!(!is_reliable(&note).unwrap());
        note_flushed(&note).unwrap();
        assert!(is_reliable(&note).unwrap());
    }
}
