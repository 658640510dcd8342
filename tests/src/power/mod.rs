//! Power cuts: what a disk still holds when the power fails, for real programs.
//!
//! Killing a process loses nothing that it handed to the kernel, synchronised or not. Here the program runs with a small
//! library preloaded (`shim.c`) that records each change below one directory and each completed `fsync` and `fdatasync`
//! in a [`Trace`]. From that a [`Disk`] computes what may be left after a power cut, and a [`Machine`] starts the program
//! again on it.
//!
//! # What survives
//!
//! | Change | Is durable after |
//! |---|---|
//! | bytes, length and mode of a file | a synchronisation of this file that began after the change and succeeded |
//! | a name: created, linked, removed | a synchronisation of its directory that did so; that of the file does not cover it |
//! | a name: renamed | the same for the directory of the new name; both names change in one step |
//!
//! `fdatasync` counts as `fsync`. `sync_file_range` counts as nothing. Everything else is lost in the [strict](Tear::Strict)
//! image; in the [random](Tear::Random) one, parts of it survive: any sector of 512 bytes may hold any of its states since
//! the last synchronisation, lengths are as independent, and names follow up to a random change. Sectors are atomic.

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
