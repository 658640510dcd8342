//! Opening the database, also after a process was killed at a bad moment.

use std::fs;
use std::path::Path;

use crate::error::{Error, StoreError};

const SCHEMA_KEY: &[u8] = b"meta\0schema";
/// Version of the record formats this program writes.
const SCHEMA_VERSION: u32 = 1;
/// Bytes of pages the database may keep in memory.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// Opens the database. A half-written snapshot, which a killed process can leave behind, is moved aside once: the
/// database builds a new one from its log.
pub(super) fn database(dir: &Path) -> Result<sled::Db, StoreError> {
    match open(dir) {
        Err(first) if is_damage(&first) && set_unfinished_snapshots_aside(dir) => {
            tracing::warn!(error = %first, "moved an unfinished snapshot aside and try again");
            open(dir)
        }
        other => other,
    }
    .map_err(
        |source| {
            if is_damage(&source) { StoreError::Damaged { dir: dir.to_owned(), source } } else { source.into() }
        },
    )
}

fn open(dir: &Path) -> sled::Result<sled::Db> {
    // No timer: whoever needs durability asks for a flush.
    sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(None).open()
}

fn is_damage(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Corruption { .. } | sled::Error::ReportableBug(_) | sled::Error::Unsupported(_))
}

fn set_unfinished_snapshots_aside(dir: &Path) -> bool {
    let mut moved = false;
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            moved |= fs::rename(entry.path(), dir.join(format!("unfinished.{name}"))).is_ok();
        }
    }
    moved
}

/// Refuses records of a newer program.
pub(super) fn check_schema(records: &sled::Tree, dir: &Path) -> Result<(), Error> {
    let Some(stored) = records.get(SCHEMA_KEY).map_err(StoreError::from)? else {
        records.insert(SCHEMA_KEY, &SCHEMA_VERSION.to_be_bytes()).map_err(StoreError::from)?;
        records.flush().map_err(StoreError::from)?;
        return Ok(());
    };
    let found = <[u8; 4]>::try_from(stored.as_ref()).map_or(u32::MAX, u32::from_be_bytes);
    if found > SCHEMA_VERSION {
        return Err(Error::NewerSchema { dir: dir.to_owned(), found, known: SCHEMA_VERSION });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_snapshot_is_moved_aside() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("snap.00.generating"), b"x").unwrap();
        assert!(set_unfinished_snapshots_aside(dir.path()));
        assert!(dir.path().join("unfinished.snap.00.generating").exists());
        assert!(!set_unfinished_snapshots_aside(dir.path()));
    }

    #[test]
    fn records_of_a_newer_program_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let database = database(dir.path()).unwrap();
        database.insert(SCHEMA_KEY, &9_u32.to_be_bytes()).unwrap();
        assert!(matches!(check_schema(&database, dir.path()), Err(Error::NewerSchema { found: 9, .. })));
    }
}
