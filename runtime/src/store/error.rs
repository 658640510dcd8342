//! Errors of the store. Every text names the next step.

use std::path::PathBuf;

/// The store failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Another process holds the directory.
    #[error(
        "the data directory {directory} is in use by process {holder}; stop that process or choose another directory with \
         --data-dir"
    )]
    Held { directory: PathBuf, holder: String },
    /// Reading or writing the disk failed.
    #[error(transparent)]
    Disk(durable::Error),
    /// The key is not 32 bytes of base64url.
    #[error("{place} does not hold a store key (32 bytes as base64url); restore it from a backup")]
    UnreadableKey { place: String },
    /// The environment variable with the key is missing.
    #[error("the environment variable {0} with the store key is not set; set it to 32 bytes as base64url")]
    NoKeyInEnvironment(String),
    /// There is a store but no key for it.
    #[error(
        "{key} is missing but {store} exists; restore the key file from a backup, or move the store away to start anew"
    )]
    KeyLost { key: PathBuf, store: PathBuf },
    /// There is neither a store nor its key, although there were both.
    #[error(
        "{store} and {key} are missing although this directory has been in use ({evidence} is there); restore both from a \
         backup, or choose an empty directory to start anew"
    )]
    StoreAndKeyLost { store: PathBuf, key: PathBuf, evidence: PathBuf },
    /// The key does not open the store.
    #[error("the store key does not open this store; use the key with which it was created")]
    WrongKey,
    /// The store was written by a newer program.
    #[error(
        "the store has format version {found} but this program knows up to {supported}; use the newer program that wrote it"
    )]
    Newer { found: u32, supported: u32 },
    /// The database of an earlier version cannot be read.
    #[error(
        "the store {path} of an earlier version is damaged ({detail}); restore it from a backup, or choose an empty directory to start anew"
    )]
    Corrupt { path: PathBuf, detail: String },
    /// A record was altered or cut off.
    #[error("a record of the store is damaged; restore the store from a backup")]
    Damaged,
    /// A record could not be written as CBOR.
    #[error("a record cannot be stored: {0}")]
    Encoding(String),
    /// A name is longer than the datawallet allows.
    #[error("the name of a collection, object or value is too long to be stored")]
    NameTooLong,
}

impl From<durable::Error> for StoreError {
    fn from(error: durable::Error) -> Self {
        match error {
            durable::Error::InUse { directory, holder } => Self::Held { directory, holder },
            other => Self::Disk(other),
        }
    }
}

impl From<StoreError> for crate::Error {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Disk(disk) if disk.is_full() => Self::StorageFull(error.to_string()),
            _ => Self::Store(error.to_string()),
        }
    }
}
