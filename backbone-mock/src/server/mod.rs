//! The HTTP server: connections, and what happens around every request.

mod connections;
mod pipeline;

pub(crate) use connections::start;
#[cfg(feature = "testing")]
pub(crate) use pipeline::BrokenOff;
pub(crate) use pipeline::Served;
