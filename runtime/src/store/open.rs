//! Opening the database, and getting over what is known to go wrong there.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::migration;
use super::sealing::Sealing;
use super::{Result, StoreError, key};

/// Bytes of pages kept in memory. The database's own default is a gigabyte.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;

/// What the database says when its file is locked; there is no error kind for it.
const HELD: &str = "could not acquire lock";
const LETTING_GO_ATTEMPTS: u32 = 40;
const LETTING_GO_PAUSE: Duration = Duration::from_millis(50);

/// Sealed under [`key::CANARY`].
const CANARY_TEXT: &[u8] = b"enlace store";

/// Opens the database. A snapshot that was half-written when the process died is moved aside once: the log it was
/// made from is still there.
pub(super) fn open_database(path: &Path) -> Result<sled::Db> {
    match open_when_let_go(path) {
        Err(sled::Error::Corruption { .. } | sled::Error::Io(_)) if move_half_snapshots_aside(path) => {
            tracing::warn!("a half-written snapshot of the store was moved aside");
            try_open(path).map_err(|error| unreadable(path, &error))
        }
        other => other.map_err(|error| unreadable(path, &error)),
    }
}

/// The data directory is ours, so whoever still holds the database is a flush that this process began before it closed the
/// store: it ends by itself.
fn open_when_let_go(path: &Path) -> sled::Result<sled::Db> {
    for _ in 0..LETTING_GO_ATTEMPTS {
        match try_open(path) {
            Err(sled::Error::Io(error)) if error.to_string().contains(HELD) => std::thread::sleep(LETTING_GO_PAUSE),
            outcome => return outcome,
        }
    }
    try_open(path)
}

fn try_open(path: &Path) -> sled::Result<sled::Db> {
    // Everything that is acknowledged is flushed explicitly; the periodic flush would only add disk traffic.
    sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None).open()
}

/// Returns whether there was one to move.
fn move_half_snapshots_aside(path: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(path) else { return false };
    let half: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|file| is_half_snapshot(file)).collect();
    half.iter().filter(|file| std::fs::rename(file, aside(file)).is_ok()).count() > 0
}

/// The database reads whatever begins with `snap.`, so the beginning has to change.
fn aside(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.with_file_name(format!("aside.{name}"))
}

fn is_half_snapshot(file: &Path) -> bool {
    let name = file.file_name().and_then(OsStr::to_str).unwrap_or_default();
    name.starts_with("snap.") && name.ends_with(".generating")
}

fn unreadable(path: &Path, error: &sled::Error) -> StoreError {
    match error {
        sled::Error::Io(source) => {
            StoreError::Io { path: path.to_owned(), source: std::io::Error::new(source.kind(), source.to_string()) }
        }
        other => StoreError::Corrupt { path: path.to_owned(), detail: other.to_string() },
    }
}

/// Checks that the store is one this program can read and that the secret is its secret; writes both into a new store.
pub(super) fn check_header(tree: &sled::Tree, sealing: &Sealing) -> Result<()> {
    match tree.get(key::FORMAT)? {
        None if tree.is_empty() => write_header(tree, sealing),
        None => Err(StoreError::Damaged),
        Some(format) => {
            let found = format.as_ref().try_into().map(u32::from_be_bytes).map_err(|_| StoreError::Damaged)?;
            let canary = tree.get(key::CANARY)?.ok_or(StoreError::Damaged)?;
            migration::check_supported(found)?;
            sealing.open(key::CANARY, &canary).map_err(|_| StoreError::WrongKey)?;
            migration::migrate(tree, sealing, found)
        }
    }
}

fn write_header(tree: &sled::Tree, sealing: &Sealing) -> Result<()> {
    let mut batch = sled::Batch::default();
    batch.insert(key::FORMAT, &migration::CURRENT.to_be_bytes());
    batch.insert(key::CANARY, sealing.seal(key::CANARY, CANARY_TEXT));
    tree.apply_batch(batch)?;
    tree.flush()?;
    Ok(())
}
