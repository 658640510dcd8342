//! Nodes that reach each other without the backbone.
#![allow(clippy::unwrap_used)]

mod relay;
