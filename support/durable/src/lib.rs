//! Durable storage: acknowledged commits survive a power cut, not only the end of the process.
//!
//! A [`Store`] is an ordered key-value store. It is changed by atomic [`Commit`]s. [`Store::commit`] returns when the commit
//! is on disk: appended to a journal and flushed (`fdatasync`) together with all commits that arrived at the same time.
//! Values stay in the journal. An index (sled) maps keys to journal locations; it can be rebuilt from the journal, so no
//! commit waits for it to be flushed.
//!
//! ```
//! # async fn example() -> durable::Result<()> {
//! # let directory = tempfile::tempdir().unwrap();
//! let place = durable::Location::new(&directory.path().join("store"));
//! let store = match place.inspect()? {
//!     durable::Condition::Ready => durable::Store::open(place.path())?,
//!     _ => place.begin()?.publish()?,
//! };
//! let mut commit = durable::Commit::new();
//! commit.put(b"key", b"value")?;
//! store.commit(commit).await?;
//! assert_eq!(store.get(b"key")?.as_deref(), Some(b"value".as_slice()));
//! # store.close()
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
//! ```
//!
//! # What survives
//!
//! | Event | State afterwards |
//! |---|---|
//! | the process is killed | all acknowledged commits, then possibly a prefix of the pending ones, each complete |
//! | power cut | the same; the index is rebuilt from the journal, which takes about ten seconds for a million keys |
//! | a write or a flush fails | no commit is acknowledged until the store is reopened; reads continue |
//! | the disk is full | the commit is refused and has no effect; commits succeed again once there is space |
//! | a bit of the journal flips | reading the value or opening the store fails with an error that names the file; in the last group, it cannot be distinguished from an interrupted write |
//!
//! Beside the store: [`private`] files and directories, [`partial`] ones, files reached with [`no_links`], the operations of a [`disk`] that tests can replace, and a
//! [`DirectoryLock`].
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod blocking;
mod boot;
mod cleaner;
mod commit;
pub mod disk;
mod error;
mod group;
mod index;
mod journal;
mod location;
mod lock;
pub mod no_links;
mod overlay;
pub mod partial;
pub mod private;
mod queue;
mod room;
#[cfg(feature = "simulation")]
pub mod simulation;
mod store;
mod sync;
mod working_copy;
mod writer;

pub use commit::{Commit, MAX_COMMIT_BYTES, MAX_KEY_BYTES};
pub use error::{Error, Result};
pub use location::{Condition, Location, Staged};
pub use lock::DirectoryLock;
pub use room::{check_room, free_bytes};
pub use store::{Admission, Basis, Latest, MAX_PENDING_COMMITS, Pair, Snapshot, Store, Submitted};
pub use working_copy::WorkingCopy;
