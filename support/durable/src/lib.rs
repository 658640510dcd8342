//! Acknowledged means durable: storage that survives the loss of power, not only the end of its process.
//!
//! A [`Store`] keeps ordered keys with values. Changes are made by [`Commit`]s, each of which takes effect as a whole or not
//! at all. [`Store::commit`] returns when the commit is on disk: appended to a journal and synchronised (`fdatasync`),
//! together with all others that came at the same time. Values stay in the journal; an index (sled) says where, can be
//! rebuilt from it, and is never synchronised on the way of a commit.
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
//! | What happens | What is there afterwards |
//! |---|---|
//! | the process is killed | everything that was acknowledged; of the rest, whole commits only, in order |
//! | power is lost | the same; the index is rebuilt from the journal, which takes about ten seconds for a million keys |
//! | a write or a synchronisation fails | nothing is acknowledged any more until the store is opened anew; reads go on |
//! | the disk is full | the commit is refused and has no effect; the store goes on when there is room |
//! | a bit of the journal flips | reading the value, or opening the store, is an error that names the file; only in the very last group it cannot be told from an interrupted write |
//!
//! Beside the store: [`private`] files and directories, and a [`DirectoryLock`].
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod blocking;
mod boot;
mod cleaner;
mod commit;
mod disk;
mod error;
mod group;
mod index;
mod journal;
mod location;
mod lock;
mod overlay;
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
pub use room::check_room;
pub use store::{Admission, Latest, MAX_PENDING_COMMITS, Pair, Snapshot, Store, Submitted};
pub use working_copy::WorkingCopy;
