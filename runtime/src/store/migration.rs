//! Bringing a store that an older program wrote up to date.

use super::sealing::Sealing;
use super::{Result, StoreError, key};

/// One step: from the format before it to `to`.
struct Migration {
    /// The format the store has afterwards.
    to: u32,
    /// Collects the changes; they are applied together with the new format number.
    collect: fn(&sled::Tree, &Sealing, &mut sled::Batch) -> Result<()>,
}

/// All steps in order. A step is never changed once a program with it was released.
const MIGRATIONS: &[Migration] = &[];

/// The first format there was.
const FIRST: u32 = 1;

/// The format this program writes.
pub(super) const CURRENT: u32 = FIRST + MIGRATIONS.len() as u32;

/// # Errors
/// [`StoreError::Newer`] names both versions.
pub(super) fn check_supported(found: u32) -> Result<()> {
    if (FIRST..=CURRENT).contains(&found) { Ok(()) } else { Err(StoreError::Newer { found, supported: CURRENT }) }
}

/// Runs the steps that the store has not seen. Each is one batch, so that a crash leaves the store between two steps.
pub(super) fn migrate(tree: &sled::Tree, sealing: &Sealing, found: u32) -> Result<()> {
    run(MIGRATIONS, tree, sealing, found)
}

fn run(migrations: &[Migration], tree: &sled::Tree, sealing: &Sealing, found: u32) -> Result<()> {
    for migration in migrations.iter().filter(|migration| migration.to > found) {
        let mut batch = sled::Batch::default();
        (migration.collect)(tree, sealing, &mut batch)?;
        batch.insert(key::FORMAT, &migration.to.to_be_bytes());
        tree.apply_batch(batch)?;
        tree.flush()?;
        tracing::info!(format = migration.to, "the store was brought up to date");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sealing::StoreSecret;

    fn rename(tree: &sled::Tree, sealing: &Sealing, batch: &mut sled::Batch) -> Result<()> {
        let (from, to) = (key::value("old")?, key::value("new")?);
        let Some(sealed) = tree.get(&from)? else { return Ok(()) };
        batch.insert(to.as_slice(), sealing.seal(&to, &sealing.open(&from, &sealed)?));
        batch.remove(from);
        Ok(())
    }

    #[test]
    fn steps_run_once_and_in_order_and_leave_the_new_format_number() {
        let database = sled::Config::new().temporary(true).open().unwrap();
        let sealing = Sealing::new(StoreSecret::new([7; 32]));
        let (old, new) = (key::value("old").unwrap(), key::value("new").unwrap());
        database.insert(&old, sealing.seal(&old, b"kept")).unwrap();
        let steps = [Migration { to: 2, collect: rename }, Migration { to: 3, collect: |_, _, _| Ok(()) }];
        run(&steps, &database, &sealing, 1).unwrap();
        assert_eq!(sealing.open(&new, &database.get(&new).unwrap().unwrap()).unwrap(), b"kept");
        assert!(database.get(&old).unwrap().is_none());
        assert_eq!(database.get(key::FORMAT).unwrap().unwrap().as_ref(), 3u32.to_be_bytes());
        run(&steps, &database, &sealing, 3).unwrap();
    }

    #[test]
    fn a_newer_store_is_refused_with_both_versions() {
        let refusal = check_supported(CURRENT + 6).unwrap_err().to_string();
        assert!(refusal.contains(&format!("format version {}", CURRENT + 6)), "{refusal}");
        assert!(refusal.contains(&format!("up to {CURRENT}")), "{refusal}");
    }
}
