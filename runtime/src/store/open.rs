//! Opens the store: at the first start, at every later one, and at the first one after an upgrade from version 0.1.
//!
//! A directory that has had an identity never gets another one by itself. So a store is created only where nothing is left
//! of an earlier one: neither its files, nor its key, nor the files that the app writes after a start. At the first start
//! the store is complete before its key is written, and is moved to its place after that. So after a power cut at any moment
//! the first start is either repeated or done.

use std::path::{Path, PathBuf};

use durable::{Commit, Condition, Location, private};

use super::migration;
use super::sealing::{Sealing, StoreSecret};
use super::vault::{FoundKey, StoreKeySource};
use super::{Result, StoreError, key};

/// Name of the store in the data directory.
pub(crate) const STORE: &str = "store";
/// Marks that there has been a store whose key is kept elsewhere.
const MARKER: &str = "store.marker";
const MARKER_TEXT: &[u8] = b"There is a store in this directory. If it is missing, restore it from a backup.\n";

/// Sealed under [`key::CANARY`].
const CANARY_TEXT: &[u8] = b"enlace store";

/// What a start finds, and so has to do.
enum Way {
    Open(StoreSecret),
    /// The store is one of an earlier version.
    Convert(StoreSecret),
    /// A first start wrote the key, but did not move the store to its place.
    Finish(StoreSecret),
    /// Nothing: this is the first start.
    Create(FoundKey),
}

/// Opens the store, creates it at the first start, or converts one of an earlier version.
pub(super) fn open(
    data_dir: &Path,
    source: &StoreKeySource,
    evidence: Option<&Path>,
) -> Result<(durable::Store, Sealing)> {
    let location = Location::new(&data_dir.join(STORE));
    let marker = data_dir.join(MARKER);
    let (store, sealing) = match way(data_dir, source, evidence)? {
        Way::Create(found) => return create(&location, &marker, source, found),
        Way::Open(secret) => (durable::Store::open(location.path())?, Sealing::new(secret)),
        Way::Finish(secret) => {
            mark(&marker, source)?;
            (location.finish()?, Sealing::new(secret))
        }
        Way::Convert(secret) => {
            let sealing = Sealing::new(secret);
            let staged = location.begin()?;
            migration::convert(location.path(), &sealing, staged.store())?;
            mark(&marker, source)?;
            return Ok((staged.publish()?, sealing));
        }
    };
    check_header(&store, &sealing)?;
    Ok((store, sealing))
}

/// Whether [`open`] would create a store. Returns those errors of it that can be detected without opening one.
pub(super) fn is_first_start(data_dir: &Path, source: &StoreKeySource, evidence: Option<&Path>) -> Result<bool> {
    way(data_dir, source, evidence).map(|way| matches!(way, Way::Create(_)))
}

fn way(data_dir: &Path, source: &StoreKeySource, evidence: Option<&Path>) -> Result<Way> {
    let location = Location::new(&data_dir.join(STORE));
    let store = location.path();
    let marker = Some(data_dir.join(MARKER)).filter(|marker| marker.exists());
    match (location.inspect()?, source.find()?) {
        (Condition::Ready, FoundKey::Is(secret)) => Ok(Way::Open(secret)),
        (Condition::Older, FoundKey::Is(secret)) => Ok(Way::Convert(secret)),
        // The key was written after the store was complete.
        (Condition::Unpublished, FoundKey::Is(secret)) => Ok(Way::Finish(secret)),
        (Condition::Ready | Condition::Older, FoundKey::None(key)) => {
            Err(StoreError::KeyLost { key, store: store.to_owned() })
        }
        // The marker was written after the key.
        (Condition::Unpublished, FoundKey::None(key)) if marker.is_some() => {
            Err(StoreError::KeyLost { key, store: store.to_owned() })
        }
        // A complete store without a key holds no identity yet: the first start was interrupted between the two.
        (Condition::Absent | Condition::Unpublished, found) => {
            match trace(data_dir, source, &found).or(marker).or(evidence.map(Path::to_owned)) {
                Some(evidence) => Err(lost(store, found, evidence)),
                None => Ok(Way::Create(found)),
            }
        }
    }
}

/// A key that was created in this directory was created for a store in it.
fn trace(data_dir: &Path, source: &StoreKeySource, found: &FoundKey) -> Option<PathBuf> {
    matches!(found, FoundKey::Is(_)).then(|| source.file_in(data_dir)).flatten()
}

fn lost(store: &Path, found: FoundKey, evidence: PathBuf) -> StoreError {
    let store = store.to_owned();
    match found {
        FoundKey::Is(_) => durable::Error::StoreLost { store, evidence }.into(),
        FoundKey::None(key) => StoreError::StoreAndKeyLost { store, key, evidence },
    }
}

fn create(
    location: &Location,
    marker: &Path,
    source: &StoreKeySource,
    found: FoundKey,
) -> Result<(durable::Store, Sealing)> {
    let (secret, is_new) = match found {
        FoundKey::Is(secret) => (secret, false),
        FoundKey::None(_) => (StoreSecret::generate(), true),
    };
    let sealing = Sealing::new(secret.clone());
    let staged = location.begin()?;
    let mut header = Commit::new();
    header.put(key::FORMAT, &migration::CURRENT.to_be_bytes())?;
    header.put(key::CANARY, &sealing.seal(key::CANARY, CANARY_TEXT))?;
    staged.store().commit_blocking(header)?;
    let location = staged.complete()?;
    if is_new {
        source.create(&secret)?;
    }
    mark(marker, source)?;
    Ok((location.finish()?, sealing))
}

/// Writes the marker that there is a store, unless its key in the same directory shows it.
fn mark(marker: &Path, source: &StoreKeySource) -> Result<()> {
    if marker.exists() || source.file_in(private::parent_of(marker)).is_some() {
        return Ok(());
    }
    private::replace_file(marker, MARKER_TEXT).map_err(|error| durable::Error::io(marker, &error).into())
}

/// Checks that the store is one this program can read and that the key is its key.
fn check_header(store: &durable::Store, sealing: &Sealing) -> Result<()> {
    let format = store.get(key::FORMAT)?.ok_or(StoreError::Damaged)?;
    let found = format.as_slice().try_into().map(u32::from_be_bytes).map_err(|_| StoreError::Damaged)?;
    let canary = store.get(key::CANARY)?.ok_or(StoreError::Damaged)?;
    // The version comes first: a newer program may seal in another way, and its key would look like a wrong one.
    migration::check_supported(found)?;
    sealing.open(key::CANARY, &canary).map_err(|_| StoreError::WrongKey)?;
    migration::migrate(store, sealing, found)
}

/// The first sequence number that neither an object nor a change has.
///
/// The numbers of removed objects can be used again after a restart: no walk outlives one.
pub(super) fn next_sequence(store: &durable::Store) -> Result<u64> {
    let mut next = after_last(store, key::journal())?;
    let (mut from, until) = key::range(key::OBJECTS);
    // One step for each collection, not for each object.
    while let Some(first) = store.keys(&from, Some(&until)).next().transpose()? {
        let collection = key::collection_of(&first).ok_or(StoreError::Damaged)?;
        next = next.max(after_last(store, collection)?);
        from = key::range(collection).1;
    }
    Ok(next)
}

fn after_last(store: &durable::Store, prefix: &[u8]) -> Result<u64> {
    let (from, until) = key::range(prefix);
    let last = store.keys(&from, Some(&until)).next_back().transpose()?;
    Ok(last.map(|key| key::sequence_of(&key)).transpose()?.map_or(1, |sequence| sequence.saturating_add(1)))
}
