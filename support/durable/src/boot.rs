//! Whether the machine was restarted since a file was written: what a process wrote without synchronising it survives the
//! process, but not the machine.

use std::path::Path;

use crate::{Result, private};

/// Where Linux says which start of the machine this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// Stands in the file after an orderly end.
const SYNCHRONISED: &str = "synchronised";
const MAX_BYTES: u64 = 128;

/// Whether what was written before without being synchronised can be relied on: the machine is still the one that it was
/// written on, or it was synchronised in the end.
///
/// # Errors
/// [`crate::Error::Io`] if the note cannot be read.
pub(crate) fn is_reliable(note: &Path) -> Result<bool> {
    let Some(noted) = private::read_file(note, MAX_BYTES)? else { return Ok(false) };
    let noted = String::from_utf8_lossy(&noted);
    Ok(noted.trim() == SYNCHRONISED || current().is_some_and(|current| noted.trim() == current))
}

/// Notes, durably, that from now on something is written without being synchronised.
///
/// # Errors
/// What the operating system says.
pub(crate) fn note_in_use(note: &Path) -> std::io::Result<()> {
    let current = current().unwrap_or_else(|| "unknown".to_owned());
    // A full disk must not keep a store from being opened, to free it.
    match std::fs::read(note) {
        // Its writer may have been killed before the name was durable.
        Ok(noted) if noted == current.as_bytes() => private::sync_directory(private::parent_of(note)),
        _ => private::replace_file(note, current.as_bytes()),
    }
}

/// Notes, durably, that everything was synchronised.
///
/// # Errors
/// What the operating system says.
pub(crate) fn note_synchronised(note: &Path) -> std::io::Result<()> {
    private::replace_file(note, SYNCHRONISED.as_bytes())
}

/// Names this start of the machine, where the system tells.
fn current() -> Option<String> {
    std::fs::read_to_string(BOOT_ID).ok().map(|id| id.trim().to_owned()).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_in_another_life_of_the_machine_is_not_relied_on() {
        let directory = tempfile::tempdir().unwrap();
        let note = directory.path().join("index.state");
        assert!(!is_reliable(&note).unwrap(), "nothing was noted");
        note_in_use(&note).unwrap();
        assert_eq!(is_reliable(&note).unwrap(), current().is_some());
        private::replace_file(&note, b"4c1f7e0a-another-start").unwrap();
        assert!(!is_reliable(&note).unwrap());
        note_synchronised(&note).unwrap();
        assert!(is_reliable(&note).unwrap());
    }
}
