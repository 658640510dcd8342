//! The HTTP server: connections, and what happens around every request.

mod connections;
mod pipeline;

pub(crate) use connections::{limits, start};
pub(crate) use pipeline::Served;
