//! The node through its facades, against a backbone in the same process.
#![allow(clippy::unwrap_used, reason = "tests")]

mod backbone_services;
mod chunked;
mod chunked_faults;
mod content_store;
mod files;
mod following;
mod hostile;
mod limits;
mod metadata;
mod parts;
mod peers;
mod privacy;
mod resumed;
mod resumed_early;
mod storage;
mod store;
mod tokens;
mod world;
mod writer;
