//! Nodes that reach each other through real sockets on loopback.

mod abuse;
mod codes;
mod reading;
mod world;
