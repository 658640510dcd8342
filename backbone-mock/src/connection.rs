//! What any HTTP server needs against peers that dawdle, send what nobody reads, or do not read what they asked for, and
//! against other users of the machine. The node's own interface uses it as well.

pub use crate::server::{Busy, BusyGuard, Impatient, Leftover, ListenError, Listener};
