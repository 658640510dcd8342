//! Why a backbone does not start, or stops working.

use std::path::PathBuf;

use listener::ListenError;

use crate::quota::Metric;

/// Why a backbone could not start or stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data directory, or what is in it, cannot be used. [`durable::Error::InUse`] if another process works on it.
    #[error(transparent)]
    DataDir(#[from] durable::Error),
    /// There are records but not the key that belongs to them.
    #[error("{} is missing but {} exists; restore the key file from a backup", key.display(), records.display())]
    KeyLost {
        /// Where the key should be.
        key: PathBuf,
        /// Where the records are.
        records: PathBuf,
    },
    /// The key file does not hold a key.
    #[error("{} does not hold a server key (32 bytes); restore it from a backup", key.display())]
    UnreadableKey {
        /// The file.
        key: PathBuf,
    },
    /// The address to listen on cannot be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The records are of another version.
    #[error(
        "the records in {} have schema version {found}, this program reads {known}; use the program that wrote them",
        dir.display()
    )]
    Schema {
        /// The directory.
        dir: PathBuf,
        /// What the directory has.
        found: u32,
        /// What this program can read.
        known: u32,
    },
    /// A setting makes no sense.
    #[error("invalid setting {setting}: {problem}")]
    Config {
        /// Its name.
        setting: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Reading or writing records failed.
    #[error("the record store failed")]
    Store(#[from] StoreError),
}

/// Why the store failed. The operation took no effect, or its effect was not acknowledged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk, or what is on it.
    #[error(transparent)]
    Disk(#[from] durable::Error),
    /// The database of the first version is damaged.
    #[error("the database {} of an earlier version is damaged; restore it from a backup", dir.display())]
    Damaged {
        /// Where it is.
        dir: PathBuf,
        /// What the database says.
        source: sled::Error,
    },
    /// A record cannot be read.
    #[error("a record of table {table} is damaged: {reason}")]
    Record {
        /// Which table.
        table: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Reading or writing a blob file failed.
    #[error("blob file error")]
    Blob(#[from] std::io::Error),
    /// A quota is used up. Nothing was changed.
    #[error("the quota for {0} is used up; delete some, or ask the operator for more")]
    Quota(Metric),
}

impl StoreError {
    /// Whether there is no room on the disk. Then nothing was changed.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Disk(error) => error.is_full(),
            Self::Blob(error) => {
                matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
            }
            Self::Damaged { .. } | Self::Record { .. } | Self::Quota(_) => false,
        }
    }
}
