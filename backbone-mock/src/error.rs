//! The errors of this crate.

use std::fmt;
use std::io;
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
    #[error("{} does not hold a key (32 bytes); restore it from a backup", key.display())]
    UnreadableKey {
        /// The file.
        key: PathBuf,
    },
    /// The address to listen on is not available.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The address of the metrics is not available.
    #[error("the metrics cannot be served")]
    MetricsListen(#[source] ListenError),
    /// The address to listen on for peers is not available.
    #[error("cannot listen on {address} for peers: {reason}")]
    PeerListen {
        /// The multiaddr.
        address: String,
        /// What the system says.
        reason: String,
    },
    /// The relay and the rendezvous server cannot start.
    #[error("the peer services cannot start")]
    Peers(#[source] Cause),
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
    /// A setting is invalid.
    #[error("invalid setting {setting}: {problem}")]
    Config {
        /// Its name.
        setting: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the store failed, by what a caller can do about it. The operation took no effect, or its effect was not acknowledged.
///
/// Implementations of the store sort their own errors into these kinds; the original error is the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no room for the change. Nothing was changed; changes succeed again once there is room.
    #[error("the change was refused")]
    Full(#[source] Cause),
    /// An earlier write failed, or the store is closed. No change is acknowledged until a restart; reads go on.
    #[error("no more changes are accepted")]
    Stopped(#[source] Cause),
    /// What is stored cannot be read. The rest of the store can.
    #[error("stored data is damaged")]
    Damaged(#[source] Cause),
    /// This operation failed. Others may succeed.
    #[error("reading or writing stored data failed")]
    Failed(#[source] Cause),
    /// A quota is used up. Nothing was changed.
    #[error("the quota for {0} is used up; delete some, or ask the operator for more")]
    Quota(Metric),
}

/// The error of an implementation, or of the operating system.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full(error.into()),
            _ => Self::Failed(error.into()),
        }
    }
}

/// Remembers the first error; all of them are in the log.
#[derive(Default)]
pub(crate) struct FirstError(Option<StoreError>);

impl FirstError {
    /// The value of a success.
    pub(crate) fn note<T>(&mut self, result: Result<T, StoreError>, what: impl std::fmt::Display) -> Option<T> {
        let error = match result {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        tracing::error!(error = %WithCauses(&error), "{what} cannot be removed");
        self.0.get_or_insert(error);
        None
    }

    /// The first error, or the value if there was none.
    pub(crate) fn or<T>(self, value: T) -> Result<T, StoreError> {
        self.0.map_or(Ok(value), Err)
    }
}

/// An error with its causes, as log lines show it.
pub(crate) struct WithCauses<'e>(pub(crate) &'e dyn std::error::Error);

impl fmt::Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Why a connection ends without an answer: a test asked for it, which only builds for tests let it do.
#[derive(Debug, thiserror::Error)]
#[error("the connection is broken off as injected")]
pub(crate) struct BrokenOff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_line_has_the_error_and_its_causes() {
        let error = StoreError::from(io::Error::from(io::ErrorKind::StorageFull));
        assert!(matches!(error, StoreError::Full(_)));
        assert_eq!(WithCauses(&error).to_string(), "the change was refused: no storage space");
        assert!(matches!(io::Error::from(io::ErrorKind::NotFound).into(), StoreError::Failed(_)));
    }
}
