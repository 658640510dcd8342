//! Networks in one process: connections, streams, limits, ends.

mod connections;
mod ends;
mod limits;
mod streams;
mod support;
