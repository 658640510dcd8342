//! What can go wrong with a store on disk. Every text names the next step.

use std::io;
use std::path::{Path, PathBuf};

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A store or a file could not be used.
///
/// Cheap to clone, because one failed write fails every commit that waits for it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process works in the directory.
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
        /// Which one.
        path: PathBuf,
        /// What the operating system says.
        reason: String,
        /// Its kind of error.
        kind: io::ErrorKind,
    },
    /// Other users can read what belongs to this user alone.
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
    /// A directory above belongs to another user, who can put another directory in its place.
    #[error(
        "{} can be replaced by user {owner}, who owns {}; choose a directory below your own",
        path.display(), parent.display()
    )]
    ForeignParent {
        /// The directory.
        path: PathBuf,
        /// The one above it.
        parent: PathBuf,
        /// Id of the user who owns that.
        owner: u32,
    },
    /// Other users may write in a directory above, so they can put another directory in its place.
    #[error(
        "{} can be replaced by other users, who may write in {} (mode {mode:04o}); choose a directory below one in which only \
         you may write, or let the owner of that directory run: chmod go-w {}",
        path.display(), parent.display(), parent.display()
    )]
    Replaceable {
        /// The directory.
        path: PathBuf,
        /// The one above it.
        parent: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// There is no store although there was one.
    #[error(
        "{} is missing or empty although this directory has been in use ({} is there); restore it from a backup, or choose \
         an empty directory to start anew",
        store.display(), evidence.display()
    )]
    StoreLost {
        /// Where the store should be.
        store: PathBuf,
        /// What shows that there was one.
        evidence: PathBuf,
    },
    /// The journal is not what was written.
    #[error("the journal file {} is damaged at byte {offset} ({detail}); restore the store from a backup", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where reading stopped.
        offset: u64,
        /// What is wrong.
        detail: String,
    },
    /// A newer program wrote the store.
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
    /// One commit is larger than a commit may be.
    #[error("a change of {bytes} bytes is larger than the limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// There is no room on the disk. Nothing was changed; the store goes on when there is room again.
    #[error("the disk with {} is full; free some space and try again", path.display())]
    Full {
        /// The store.
        path: PathBuf,
    },
    /// The store was closed.
    #[error("the store is closed; nothing can be changed any more")]
    Closed,
    /// A commit depended on one that was refused. Nothing was changed; try again.
    #[error("an earlier change was refused and took this one with it; try again")]
    Superseded,
    /// An earlier write failed, so nothing is acknowledged any more. Reads go on.
    #[error("an earlier write did not reach the disk ({reason}); check the disk, then restart")]
    Failed {
        /// What happened.
        reason: String,
    },
    /// The index failed.
    #[error("the index {} cannot be read or written: {reason}; stop the program, remove that directory and start again: it is rebuilt from the journal", path.display())]
    Index {
        /// Where it is.
        path: PathBuf,
        /// What the database says.
        reason: String,
    },
}

impl Error {
    /// An error of the operating system at a path.
    #[must_use]
    pub fn io(path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path: path.to_owned() },
            kind => Self::Io { path: path.to_owned(), reason: error.to_string(), kind },
        }
    }

    /// Whether the disk has no room for the change, or had none for one that it was built on: nothing else is refused.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Superseded)
    }
}
