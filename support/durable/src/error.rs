//! The errors of this crate. Every message names the next step.

use std::io;
use std::path::{Path, PathBuf};

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A store or a file could not be used.
///
/// Implements `Clone` because one failed write fails every commit that waits for it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process uses the directory.
    #[error(
        "the directory {} is in use by process {holder}; stop that process or choose another directory",
        directory.display()
    )]
    InUse {
        /// The directory.
        directory: PathBuf,
        /// Process id of the holder, or `(unknown)`.
        holder: String,
    },
    /// A file or directory cannot be used.
    #[error("{}: {reason}; check that it exists, has free space and belongs to you", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's message.
        reason: String,
        /// The operating system's kind of error.
        kind: io::ErrorKind,
    },
    /// Other users can access a private file or directory.
    #[error("{} is open to other users (mode {mode:04o}); run: chmod {wanted:04o} {}", path.display(), path.display())]
    TooOpen {
        /// The file or directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// The permissions that it needs.
        wanted: u32,
    },
    /// A file or directory belongs to another user, who can read and change it.
    #[error(
        "{} belongs to user {owner}, and this program runs as user {me}; choose another directory, or run: chown {me} {}",
        path.display(), path.display()
    )]
    Foreign {
        /// The file or directory.
        path: PathBuf,
        /// Id of the user who owns it.
        owner: u32,
        /// Id of the user who runs the program.
        me: u32,
    },
    /// A parent directory belongs to another user, who can replace the directory.
    #[error(
        "{} can be replaced by user {owner}, who owns {}; choose a directory below your own",
        path.display(), parent.display()
    )]
    ForeignParent {
        /// The directory.
        path: PathBuf,
        /// The parent directory.
        parent: PathBuf,
        /// Id of the parent directory's owner.
        owner: u32,
    },
    /// A parent directory is writable by other users, who can replace the directory.
    #[error(
        "{} can be replaced by other users, who may write in {} (mode {mode:04o}); choose a directory below one in which only \
         you may write, or let the owner of that directory run: chmod go-w {}",
        path.display(), parent.display(), parent.display()
    )]
    Replaceable {
        /// The directory.
        path: PathBuf,
        /// The parent directory.
        parent: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The store is missing, but the directory has been in use.
    #[error(
        "{} is missing or empty although this directory has been in use ({} is there); restore it from a backup, or choose \
         an empty directory to start anew",
        store.display(), evidence.display()
    )]
    StoreLost {
        /// Where the store should be.
        store: PathBuf,
        /// The file that shows that the directory has been in use.
        evidence: PathBuf,
    },
    /// The journal is damaged.
    #[error("the journal file {} is damaged at byte {offset} ({detail}); restore the store from a backup", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where reading stopped.
        offset: u64,
        /// What is wrong with it.
        detail: String,
    },
    /// The store has a newer format than this program supports.
    #[error(
        "the store {} has format version {found}, this program reads up to {supported}; use the newer program that wrote it",
        store.display()
    )]
    Newer {
        /// The store.
        store: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that this program reads.
        supported: u32,
    },
    /// A key or commit exceeds its size limit.
    #[error("a change of {bytes} bytes is larger than the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The disk is full. Nothing was changed; commits succeed again once there is space.
    #[error("the disk with {} is full; free some space and try again", path.display())]
    Full {
        /// The store.
        path: PathBuf,
    },
    /// The store was closed.
    #[error("the store is closed and accepts no more changes")]
    Closed,
    /// A commit depended on one that was refused. Nothing was changed; try again.
    #[error("an earlier change that this one may depend on was refused; try again")]
    Superseded,
    /// An earlier write failed, so no commit is acknowledged until a restart. Reads continue.
    #[error("an earlier write did not reach the disk ({reason}); check the disk, then restart")]
    Failed {
        /// The error of that write.
        reason: String,
    },
    /// The index cannot be read or written.
    #[error("the index {} cannot be read or written: {reason}; stop the program, remove that directory and start again: it is rebuilt from the journal", path.display())]
    Index {
        /// Where it is.
        path: PathBuf,
        /// sled's message.
        reason: String,
    },
}

impl Error {
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
