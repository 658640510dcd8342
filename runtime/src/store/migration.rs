//! Migrates stores that an older program wrote.
//!
//! Up to version 0.1 of the program the store was a sled database. Its records have the same format as now, in another
//! place.

use std::path::Path;

use durable::{Commit, WorkingCopy};

use super::sealing::Sealing;
use super::{Result, StoreError, index, key};

/// One step: from the format before it to `to`.
struct Migration {
    /// The format the store has afterwards.
    to: u32,
    /// Changes the store in commits of bounded size; the new format number follows. Until then the store has the old
    /// format: after a crash the step is done again from the beginning, and an older program may have written in between.
    run: fn(&durable::Store, &Sealing) -> Result<()>,
}

/// All steps in order. A released step never changes.
const MIGRATIONS: &[Migration] = &[Migration { to: 2, run: index::build }];

/// The first format.
const FIRST: u32 = 1;

/// The format this program writes.
pub(super) const CURRENT: u32 = FIRST + MIGRATIONS.len() as u32;

/// # Errors
/// [`StoreError::Newer`] names both versions.
pub(super) fn check_supported(found: u32) -> Result<()> {
    if (FIRST..=CURRENT).contains(&found) { Ok(()) } else { Err(StoreError::Newer { found, supported: CURRENT }) }
}

/// Runs the steps after the format of the store.
pub(super) fn migrate(store: &durable::Store, sealing: &Sealing, found: u32) -> Result<()> {
    run(MIGRATIONS, store, sealing, found)
}

fn run(migrations: &[Migration], store: &durable::Store, sealing: &Sealing, found: u32) -> Result<()> {
    for migration in migrations.iter().filter(|migration| migration.to > found) {
        (migration.run)(store, sealing)?;
        let mut commit = Commit::new();
        commit.put(key::FORMAT, &migration.to.to_be_bytes())?;
        store.commit_blocking(commit)?;
        tracing::info!(format = migration.to, "migrated the store");
    }
    Ok(())
}

/// Copies everything from a sled database of version 0.1 into a new store and migrates it, unless the key is the wrong one.
pub(super) fn convert(older: &Path, sealing: &Sealing, store: &durable::Store) -> Result<()> {
    let unreadable = |error: sled::Error| StoreError::Corrupt { path: older.to_owned(), detail: error.to_string() };
    // sled writes when it opens, and may be unable to open the database again if this process is killed meanwhile.
    let copy = WorkingCopy::of(older)?;
    // sled panics on some damage.
    let open = || sled::Config::new().path(copy.path()).flush_every_ms(None).open();
    let damaged = |_| StoreError::Corrupt { path: older.to_owned(), detail: "it cannot be opened".to_owned() };
    let database = std::panic::catch_unwind(open).map_err(damaged)?.map_err(unreadable)?;
    let format = database.get(key::FORMAT).map_err(unreadable)?;
    let canary = database.get(key::CANARY).map_err(unreadable)?;
    let (Some(format), Some(canary)) = (format, canary) else {
        return Err(StoreError::Corrupt { path: older.to_owned(), detail: "it is empty or incomplete".to_owned() });
    };
    let found = format.as_ref().try_into().map(u32::from_be_bytes).map_err(|_| StoreError::Damaged)?;
    check_supported(found)?;
    sealing.open(key::CANARY, &canary).map_err(|_| StoreError::WrongKey)?;
    let mut commit = Commit::new();
    for entry in database.iter() {
        let (key, value) = entry.map_err(unreadable)?;
        commit.put(&key, &value)?;
        if commit.size() > index::COMMIT_BYTES {
            store.commit_blocking(std::mem::take(&mut commit))?;
        }
    }
    store.commit_blocking(commit)?;
    migrate(store, sealing, found)?;
    tracing::info!(store = %older.display(), "converted the store");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sealing::StoreSecret;

    fn rename(store: &durable::Store, sealing: &Sealing) -> Result<()> {
        let (from, to) = (key::value("old")?, key::value("new")?);
        let Some(sealed) = store.get(&from)? else { return Ok(()) };
        let mut commit = Commit::new();
        commit.put(&to, &sealing.seal(&to, &sealing.open(&from, &sealed)?))?;
        commit.remove(&from)?;
        Ok(store.commit_blocking(commit)?)
    }

    #[test]
    fn steps_run_once_and_in_order_and_leave_the_new_format_number() {
        let directory = tempfile::tempdir().unwrap();
        let location = durable::Location::new(&directory.path().join("store"));
        let store = location.begin().unwrap().publish().unwrap();
        let sealing = Sealing::new(StoreSecret::new([7; 32]));
        let (old, new) = (key::value("old").unwrap(), key::value("new").unwrap());
        let mut commit = Commit::new();
        commit.put(&old, &sealing.seal(&old, b"kept")).unwrap();
        store.commit_blocking(commit).unwrap();
        let steps = [Migration { to: 2, run: rename }, Migration { to: 3, run: |_, _| Ok(()) }];
        run(&steps, &store, &sealing, 1).unwrap();
        assert_eq!(*sealing.open(&new, &store.get(&new).unwrap().unwrap()).unwrap(), b"kept");
        assert!(store.get(&old).unwrap().is_none());
        assert_eq!(store.get(key::FORMAT).unwrap().unwrap(), 3u32.to_be_bytes());
        run(&steps, &store, &sealing, 3).unwrap();
    }

    #[test]
    fn a_newer_store_is_refused_with_both_versions() {
        let refusal = check_supported(CURRENT + 6).unwrap_err().to_string();
        assert!(refusal.contains(&format!("format version {}", CURRENT + 6)), "{refusal}");
        assert!(refusal.contains(&format!("up to {CURRENT}")), "{refusal}");
    }
}
