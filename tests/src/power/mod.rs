//! Power cuts for real programs: computes the possible contents of a disk after one.
//!
//! Killing a process loses nothing that it handed to the kernel, flushed or not. So the program runs with a preloaded library
//! (`shim.c`) that records each change below a directory and each completed `fsync` and `fdatasync` in a [`Trace`]. From
//! that, a [`Disk`] computes what may be left after a power cut, and a [`Machine`] starts the program again with it.
//!
//! # What survives
//!
//! | Change | Is durable after |
//! |---|---|
//! | bytes, length and mode of a file | a successful flush of this file that began after the change |
//! | a name: created, linked, removed | the same for its directory; a flush of the file does not cover its name |
//! | a name: renamed | the same for the directory of the new name; both names change atomically |
//!
//! `fdatasync` counts as `fsync`, and `sync_file_range` does not count as a flush. Everything else is lost in the
//! [strict](Tear::Strict) image. In the [random](Tear::Random) one, parts of it survive: each sector of 512 bytes, and the length,
//! independently has any of its states since the last flush, and names have all changes up to a random one. Sectors are atomic.

mod chance;
mod disk;
mod image;
mod machine;
mod shim;
mod trace;

pub use chance::Chance;
pub use disk::{Disk, Tear};
pub use image::{Entry, Image};
pub use machine::Machine;
pub use shim::{Omit, Shim};
pub use trace::{Record, Trace, TraceError};
