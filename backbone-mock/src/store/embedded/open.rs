//! Opening the records: the first start, every later one, and the first one of this version.
//!
//! A directory that has had records never gets new ones by itself: they are created only where there is neither a file of
//! earlier ones nor the server's key. The first start completes the records beside their final path, writes the key, and then moves
//! the records. After a loss of power at any instant, the next start repeats or finishes it.

use std::path::{Path, PathBuf};

use durable::{Commit, Condition, Location, WorkingCopy, private};

use crate::error::{Error, StoreError};
use crate::secrets::{ServerKey, random_bytes};
use crate::store::schema;

/// Name of the records in the data directory.
const RECORDS: &str = "records";
const KEY_FILE: &str = "server.key";
const KEY_BYTES: u64 = 32;
/// Bytes that are converted in one commit, about.
const CONVERTED_BYTES: usize = 1024 * 1024;

/// Records that are open.
pub(super) struct Opened {
    pub(super) records: durable::Store,
    pub(super) key: ServerKey,
}

/// Opens the records and reads the server's key.
pub(super) fn open(data_dir: &Path) -> Result<Opened, Error> {
    let location = Location::new(&data_dir.join(RECORDS));
    let key_file = data_dir.join(KEY_FILE);
    let key = read_key(&key_file)?;
    let store = match (location.inspect()?, &key) {
        (Condition::Ready, Some(_)) => durable::Store::open(location.path())?,
        (Condition::Older, Some(_)) => {
            let staged = location.begin()?;
            convert(location.path(), data_dir, staged.store())?;
            staged.publish()?
        }
        // The key was written after the records were complete.
        (Condition::Unpublished, Some(_)) => location.finish()?,
        (Condition::Absent, Some(_)) => {
            return Err(durable::Error::StoreLost { store: location.path().to_owned(), evidence: key_file }.into());
        }
        (Condition::Ready | Condition::Older, None) => {
            return Err(Error::KeyLost { key: key_file, records: location.path().to_owned() });
        }
        (Condition::Absent | Condition::Unpublished, None) => return create(&location, &key_file),
    };
    check_schema(&store, data_dir)?;
    let key = ServerKey::from_bytes(key.expect("without a key nothing was opened"));
    Ok(Opened { records: store, key })
}

/// The key is a file beside the records, so that a copy of the records alone does not reveal what was hashed with it.
fn read_key(path: &Path) -> Result<Option<[u8; KEY_BYTES as usize]>, Error> {
    let Some(bytes) = private::read_file(path, KEY_BYTES)? else { return Ok(None) };
    let unreadable = |_| Error::UnreadableKey { key: path.to_owned() };
    bytes.as_slice().try_into().map(Some).map_err(unreadable)
}

fn create(location: &Location, key_file: &Path) -> Result<Opened, Error> {
    let staged = location.begin()?;
    let mut first = Commit::new();
    first.put(schema::KEY, &schema::VERSION.to_be_bytes())?;
    staged.store().commit_blocking(first)?;
    let location = staged.complete()?;
    let key = random_bytes();
    private::create_file(key_file, &key).map_err(|error| durable::Error::io(key_file, &error))?;
    Ok(Opened { records: location.finish()?, key: ServerKey::from_bytes(key) })
}

/// Refuses records of a newer program.
fn check_schema(records: &durable::Store, dir: &Path) -> Result<(), Error> {
    match schema::version(records.get(schema::KEY)?.as_deref()) {
        schema::UNCOUNTED | schema::VERSION => Ok(()),
        found => Err(Error::Schema { dir: dir.to_owned(), found, known: schema::VERSION }),
    }
}

/// The database of the first version cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the database {} of an earlier version cannot be read; restore it from a backup", dir.display())]
struct UnreadableDatabase {
    dir: PathBuf,
    source: sled::Error,
}

/// Copies everything from the sled database of the first version, as CBOR. Both formats have the same members.
fn convert(older: &Path, data_dir: &Path, records: &durable::Store) -> Result<(), Error> {
    let unreadable =
        |source: sled::Error| StoreError::Damaged(UnreadableDatabase { dir: older.to_owned(), source }.into());
    // sled writes when it opens, and is not certain to open again if this process is killed then.
    let copy = WorkingCopy::of(older)?;
    // sled panics on some damage.
    let open = || sled::Config::new().path(copy.path()).flush_every_ms(None).open();
    let panicked = |_| sled::Error::Corruption { at: None, bt: () };
    let database = std::panic::catch_unwind(open).unwrap_or_else(|panic| Err(panicked(panic))).map_err(unreadable)?;
    let tree = database.open_tree(RECORDS).map_err(unreadable)?;
    let found = schema::version(tree.get(schema::KEY).map_err(unreadable)?.as_deref());
    if found != schema::JSON {
        return Err(Error::Schema { dir: data_dir.to_owned(), found, known: schema::VERSION });
    }
    let mut commit = Commit::new();
    for entry in tree.iter() {
        let (key, value) = entry.map_err(unreadable)?;
        if key.as_ref() != schema::KEY {
            commit.put(&key, &to_cbor(&value)?)?;
        }
        if commit.size() > CONVERTED_BYTES {
            records.commit_blocking(std::mem::take(&mut commit))?;
        }
    }
    commit.put(schema::KEY, &schema::UNCOUNTED.to_be_bytes())?;
    records.commit_blocking(commit)?;
    tracing::info!(records = %older.display(), "converted the records of an earlier version");
    Ok(())
}

fn to_cbor(json: &[u8]) -> Result<Vec<u8>, StoreError> {
    let value: serde_json::Value = serde_json::from_slice(json).map_err(|error| StoreError::Damaged(error.into()))?;
    let mut bytes = Vec::new();
    ciborium::into_writer(&value, &mut bytes).map_err(|error| StoreError::Failed(error.into()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn records_of_a_newer_program_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let Opened { records: store, .. } = open(dir.path()).unwrap();
        let mut commit = Commit::new();
        commit.put(schema::KEY, &9_u32.to_be_bytes()).unwrap();
        store.commit_blocking(commit).unwrap();
        drop(store);
        assert!(matches!(open(dir.path()), Err(Error::Schema { found: 9, .. })));
    }

    #[test]
    fn records_that_are_gone_are_not_begun_anew_and_the_way_back_is_named() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()).unwrap());
        let records = dir.path().join(RECORDS);
        fs::rename(&records, dir.path().join("gone")).unwrap();
        let refusal = open(dir.path()).err().unwrap().to_string();
        assert!(
            refusal.contains(records.to_str().unwrap()) && refusal.contains("restore it from a backup"),
            "{refusal}"
        );
        fs::rename(dir.path().join("gone"), &records).unwrap();
        fs::remove_file(dir.path().join(KEY_FILE)).unwrap();
        assert!(matches!(open(dir.path()), Err(Error::KeyLost { .. })));
    }

    #[test]
    fn a_first_start_that_was_interrupted_is_repeated_or_finished() {
        let dir = tempfile::tempdir().unwrap();
        let (records, new) = (dir.path().join(RECORDS), dir.path().join("records.new"));
        drop(open(dir.path()).unwrap());
        // Between the key and the move of the records to their place.
        fs::rename(&records, &new).unwrap();
        drop(open(dir.path()).unwrap());
        // Between the completion of the records and the key.
        fs::rename(&records, &new).unwrap();
        fs::remove_file(dir.path().join(KEY_FILE)).unwrap();
        drop(open(dir.path()).unwrap());
    }
}
