//! The node through its facades, against a backbone in the same process.
#![allow(clippy::unwrap_used, reason = "tests")]

mod chunked;
mod chunked_faults;
mod files;
mod following;
mod hostile;
mod limits;
mod metadata;
mod privacy;
mod store;
mod tokens;
mod world;
