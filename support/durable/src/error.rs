//! The errors of this crate. Every message names the next step, if there is one.

use std::path::{Path, PathBuf};
use std::{fmt, io};

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A store or a file could not be used.
///
/// Implements `Clone` because one failed write fails every commit that waits for it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process uses the directory.
    InUse {
        /// The directory.
        directory: PathBuf,
        /// Process id of the holder, or `(unknown)`.
        holder: String,
    },
    /// A file or directory cannot be used.
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's message.
        reason: String,
        /// The operating system's kind of error.
        kind: io::ErrorKind,
    },
    /// Other users can access a private file or directory.
    TooOpen {
        /// The file or directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// The permissions that it needs.
        wanted: u32,
    },
    /// A file or directory belongs to another user, who can read and change it.
    Foreign {
        /// The file or directory.
        path: PathBuf,
        /// Id of the user who owns it.
        owner: u32,
        /// Id of the user who runs the program.
        me: u32,
    },
    /// A parent directory belongs to another user, who can replace the directory.
    ForeignParent {
        /// The directory.
        path: PathBuf,
        /// The parent directory.
        parent: PathBuf,
        /// Id of the parent directory's owner.
        owner: u32,
    },
    /// A parent directory is writable by other users, who can replace the directory.
    Replaceable {
        /// The directory.
        path: PathBuf,
        /// The parent directory.
        parent: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The store is missing, but the directory has been in use.
    StoreLost {
        /// Where the store should be.
        store: PathBuf,
        /// The file that shows that the directory has been in use.
        evidence: PathBuf,
    },
    /// The journal is damaged.
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where reading stopped.
        offset: u64,
        /// What is wrong with it.
        detail: String,
    },
    /// The store has a newer format than this program supports.
    Newer {
        /// The store.
        store: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that this program reads.
        supported: u32,
    },
    /// A key or commit exceeds its size limit.
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The disk is full. Nothing was changed; commits succeed again once there is space.
    Full {
        /// The store.
        path: PathBuf,
    },
    /// The store was closed.
    Closed,
    /// A commit depended on one that was refused. Nothing was changed; try again.
    Superseded,
    /// An earlier write failed, so no commit is acknowledged until a restart. Reads continue.
    Failed {
        /// The error of that write.
        reason: String,
    },
    /// The index cannot be read or written.
    Index {
        /// Where it is.
        path: PathBuf,
        /// sled's message.
        reason: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what())?;
        self.next_step().map_or(Ok(()), |next_step| write!(f, "; {next_step}"))
    }
}

impl Error {
    /// What happened.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::InUse { directory, holder } => {
                format!("the directory {} is in use by process {holder}", directory.display())
            }
            Self::Io { path, reason, .. } => format!("{}: {reason}", path.display()),
            Self::TooOpen { path, mode, .. } => format!("{} is open to other users (mode {mode:04o})", path.display()),
            Self::Foreign { path, owner, me } => {
                format!("{} belongs to user {owner}, and this program runs as user {me}", path.display())
            }
            Self::ForeignParent { path, parent, owner } => {
                format!("{} can be replaced by user {owner}, who owns {}", path.display(), parent.display())
            }
            Self::Replaceable { path, parent, mode } => format!(
                "{} can be replaced by other users, who may write in {} (mode {mode:04o})",
                path.display(),
                parent.display()
            ),
            Self::StoreLost { store, evidence } => format!(
                "{} is missing or empty although this directory has been in use ({} is there)",
                store.display(),
                evidence.display()
            ),
            Self::Damaged { file, offset, detail } => {
                format!("the journal file {} is damaged at byte {offset} ({detail})", file.display())
            }
            Self::Newer { store, found, supported } => format!(
                "the store {} has format version {found}, this program reads up to {supported}",
                store.display()
            ),
            Self::TooLarge { bytes, limit } => format!("a change of {bytes} bytes is larger than the limit of {limit}"),
            Self::Full { path } => format!("the disk with {} is full", path.display()),
            Self::Closed => "the store is closed and accepts no more changes".to_owned(),
            Self::Superseded => "an earlier change that this one may depend on was refused".to_owned(),
            Self::Failed { reason } => format!("an earlier write did not reach the disk ({reason})"),
            Self::Index { path, reason } => {
                format!("the index {} cannot be read or written: {reason}", path.display())
            }
        }
    }

    /// The next step, if there is one.
    #[must_use]
    pub fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::InUse { .. } => "stop that process or choose another directory".to_owned(),
            Self::Io { .. } => "check that it exists, has free space and belongs to you".to_owned(),
            Self::TooOpen { path, wanted, .. } => format!("run: chmod {wanted:04o} {}", path.display()),
            Self::Foreign { path, me, .. } => {
                format!("choose another directory, or run: chown {me} {}", path.display())
            }
            Self::ForeignParent { .. } => "choose a directory below your own".to_owned(),
            Self::Replaceable { parent, .. } => format!(
                "choose a directory below one in which only you may write, or let the owner of that directory run: \
                 chmod go-w {}",
                parent.display()
            ),
            Self::StoreLost { .. } => "restore it from a backup, or choose an empty directory to start anew".to_owned(),
            Self::Damaged { .. } => "restore the store from a backup".to_owned(),
            Self::Newer { .. } => "use the newer program that wrote it".to_owned(),
            Self::TooLarge { .. } | Self::Closed => return None,
            Self::Full { .. } => "free some space and try again".to_owned(),
            Self::Superseded => "try again".to_owned(),
            Self::Failed { .. } => "check the disk, then restart".to_owned(),
            Self::Index { .. } => {
                "stop the program, remove that directory and start again: it is rebuilt from the journal".to_owned()
            }
        })
    }

    /// Converts an I/O error at a path; a full disk or an exceeded quota becomes [`Error::Full`].
    #[must_use]
    pub fn io(path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path: path.to_owned() },
            kind => Self::Io { path: path.to_owned(), reason: error.to_string(), kind },
        }
    }

    /// Whether the change was refused for lack of disk space, its own or that of an earlier change it was built on.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Superseded)
    }
}
