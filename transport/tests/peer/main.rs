//! The protocols between peers (`docs/peer-protocols.md`): frozen vectors, properties of every message, and both sides of each
//! protocol against each other in memory, over streams that are cut and peers that lie.
//!
//! `UPDATE_PEER_VECTORS=1 cargo test -p enlace-transport --test peer` writes the vectors anew.
#![allow(clippy::unwrap_used)] // in a test, a panic is the failure

mod certificate_request;
mod claims;
mod code;
mod identity;
mod inbox;
mod messages;
mod serving;
mod shelf;
mod world;
