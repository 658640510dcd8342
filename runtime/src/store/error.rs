//! Errors of the store. Every text names the next step.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// The store failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// Another process holds the directory.
    Held { directory: PathBuf, holder: String },
    /// Reading or writing the disk failed.
    Disk(durable::Error),
    /// The key is not 32 bytes of base64url.
    UnreadableKey { place: String },
    /// The environment variable with the key is missing.
    NoKeyInEnvironment(String),
    /// There is a store but no key for it.
    KeyLost { key: PathBuf, store: PathBuf },
    /// There is neither a store nor its key, although there were both.
    StoreAndKeyLost { store: PathBuf, key: PathBuf, evidence: PathBuf },
    /// The key does not open the store.
    WrongKey,
    /// The store was written by a newer program.
    Newer { found: u32, supported: u32 },
    /// The database of an earlier version cannot be read.
    Corrupt { path: PathBuf, detail: String },
    /// A record was altered or cut off.
    Damaged,
    /// A record could not be written as CBOR.
    Encoding(String),
    /// Something exists at the backbone, but not in the store that should remember it.
    NotRemembered { id: String, cause: Failure },
    /// The disk with the temporary files has no room.
    TemporaryFull,
    /// A temporary file failed. Holds what the system said, without the random name that nobody can find afterwards.
    Temporary(String),
    /// A name is longer than the datawallet allows.
    NameTooLong,
}

impl StoreError {
    fn what(&self) -> String {
        match self {
            Self::Held { directory, holder } => {
                format!("the data directory {} is in use by process {holder}", directory.display())
            }
            Self::Disk(error) => error.what(),
            Self::UnreadableKey { place } => format!("{place} does not hold a store key (32 bytes as base64url)"),
            Self::NoKeyInEnvironment(name) => {
                format!("the environment variable {name} with the store key is not set")
            }
            Self::KeyLost { key, store } => format!("{} is missing but {} exists", key.display(), store.display()),
            Self::StoreAndKeyLost { store, key, evidence } => format!(
                "{} and {} are missing although this directory has been in use ({} is there)",
                store.display(),
                key.display(),
                evidence.display()
            ),
            Self::WrongKey => "the store key does not open this store".to_owned(),
            Self::Newer { found, supported } => {
                format!("the store has format version {found} but this program knows up to {supported}")
            }
            Self::Corrupt { path, detail } => {
                format!("the store {} of an earlier version is damaged ({detail})", path.display())
            }
            Self::Damaged => "a record of the store is damaged".to_owned(),
            Self::Encoding(reason) => format!("a record cannot be stored: {reason}"),
            Self::NotRemembered { id, cause } => {
                format!("{id} exists at the backbone but could not be remembered: {}", cause.what())
            }
            Self::TemporaryFull => "the disk with the temporary files of the data directory is full".to_owned(),
            Self::Temporary(reason) => format!("a temporary file in the data directory cannot be used: {reason}"),
            Self::NameTooLong => "the name of a collection, object or value is too long to be stored".to_owned(),
        }
    }

    fn next_step(&self) -> Option<Cow<'static, str>> {
        Some(Cow::Borrowed(match self {
            Self::Held { .. } => "stop that process or choose another directory",
            Self::Disk(error) => return error.next_step().map(Cow::Owned),
            Self::UnreadableKey { .. } => "restore it from a backup",
            Self::NoKeyInEnvironment(_) => "set it to 32 bytes as base64url",
            Self::KeyLost { .. } => "restore the key file from a backup, or move the store away to start anew",
            Self::StoreAndKeyLost { .. } => "restore both from a backup, or choose an empty directory to start anew",
            Self::WrongKey => "use the key with which it was created",
            Self::Newer { .. } => "use the newer program that wrote it",
            Self::Corrupt { .. } => "restore it from a backup, or choose an empty directory to start anew",
            Self::Damaged => "restore the store from a backup",
            Self::Encoding(_) | Self::NameTooLong => return None,
            Self::NotRemembered { cause, .. } => return cause.0.next_step(),
            Self::TemporaryFull => "free some space and try again",
            Self::Temporary(_) => "check the disk and the permissions",
        }))
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what())?;
        self.next_step().map_or(Ok(()), |next_step| write!(f, "; {next_step}"))
    }
}

impl From<durable::Error> for StoreError {
    fn from(error: durable::Error) -> Self {
        match error {
            durable::Error::InUse { directory, holder } => Self::Held { directory, holder },
            other => Self::Disk(other),
        }
    }
}

impl StoreError {
    /// Whether there is no room on the disk. Then nothing was changed.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Disk(error) => error.is_full(),
            Self::NotRemembered { cause, .. } => cause.0.is_full(),
            Self::TemporaryFull => true,
            _ => false,
        }
    }

    /// Whether what was read is damaged: by what its seal says, or by the checksum of the disk. Other records may be whole.
    pub(crate) fn is_damaged(&self) -> bool {
        matches!(self, Self::Damaged | Self::Disk(durable::Error::Damaged { .. }))
    }
}

/// Why the local store failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error(transparent)]
pub struct Failure(Arc<StoreError>);

impl Failure {
    /// What happened.
    #[must_use]
    pub fn what(&self) -> String {
        self.0.what()
    }

    /// Whether what was read is damaged.
    pub(crate) fn is_damaged(&self) -> bool {
        self.0.is_damaged()
    }

    /// The next step, if there is one.
    #[must_use]
    pub fn next_step(&self) -> Option<String> {
        self.0.next_step().map(Cow::into_owned)
    }
}

impl From<StoreError> for crate::Error {
    fn from(error: StoreError) -> Self {
        match error.is_full() {
            true => Self::StorageFull(Failure(Arc::new(error))),
            false => Self::Store(Failure(Arc::new(error))),
        }
    }
}
