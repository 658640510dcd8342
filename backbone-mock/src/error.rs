//! Why a backbone does not start, or stops working.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a backbone could not start or stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process works on the data directory.
    #[error(
        "data directory {} is in use by process {holder}; stop that process or choose another data directory",
        dir.display()
    )]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// Process id of the holder, or `unknown`.
        holder: String,
    },
    /// The address to listen on cannot be had.
    #[error("cannot listen on {address}; choose another address or port 0 for a free port")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The data directory cannot be used.
    #[error("cannot use data directory {}", dir.display())]
    DataDir {
        /// The directory.
        dir: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A newer version wrote the data directory.
    #[error("data directory {} has schema version {found}, this program knows {known}; use a newer program", dir.display())]
    NewerSchema {
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
    /// The database failed.
    #[error("database error")]
    Database(#[from] sled::Error),
    /// The database is damaged.
    #[error("database in {} is damaged; restore a backup or start with an empty data directory", dir.display())]
    Damaged {
        /// Where it is.
        dir: PathBuf,
        /// What the database says.
        source: sled::Error,
    },
    /// A record cannot be read.
    #[error("record of table {table} is damaged")]
    Record {
        /// Which table.
        table: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Reading or writing a blob file failed.
    #[error("blob file error")]
    Blob(#[from] std::io::Error),
    /// An earlier flush failed, so nothing can be acknowledged any more.
    #[error("an earlier write did not reach the disk; free disk space and restart")]
    Broken,
}
