//! Identity, synchronization and challenges of nodes on a real backbone.

#![allow(clippy::unwrap_used, reason = "tests")]

mod challenges;
mod identity;
mod ownership;
mod stranger;
mod world;
