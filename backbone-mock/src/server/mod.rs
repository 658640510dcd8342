//! The HTTP server: connections, and what happens around every request.

mod connections;
mod cors;
mod pipeline;

pub(crate) use connections::serve;
