//! Nodes that reach each other without the backbone.
#![allow(clippy::unwrap_used)]

mod paths;
mod relay;
#[cfg(unix)]
mod running;
