//! Nodes that reach each other through real sockets on loopback.

mod abuse;
mod claims;
mod codes;
mod reading;
mod refused;
mod world;
