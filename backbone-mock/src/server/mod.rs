//! The HTTP server: connections, and what happens around every request.

mod connections;
mod cors;
mod head_timeout;
mod leftover;
mod pipeline;

pub(crate) use connections::serve;
