//! The HTTP server: connections, and what happens around every request.

mod connections;
mod cors;
mod impatient;
mod leftover;
mod listener;
mod pipeline;

pub(crate) use connections::serve;
pub use impatient::{Busy, BusyGuard, Impatient};
pub use leftover::Leftover;
pub(crate) use listener::is_localhost;
pub use listener::{ListenError, Listener};
