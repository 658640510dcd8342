//! Networks in one process: connections, streams, limits, ends.

#![allow(clippy::unwrap_used, reason = "a test")]

mod connections;
mod discovery;
mod ends;
mod hostile;
mod later;
mod limits;
mod relays;
mod rendezvous;
mod security;
mod streams;
mod support;
