//! Faces of a node: the REST interface.
#![cfg_attr(test, allow(clippy::unwrap_used))]
