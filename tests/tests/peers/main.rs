//! Nodes that reach each other without the backbone.
#![allow(clippy::unwrap_used)]

mod devices;
mod paths;
mod relay;
#[cfg(unix)]
mod running;
mod terms;
