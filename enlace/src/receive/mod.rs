//! Receiving: what a reference says, what the file may be called, and how it is written safely.

mod acted_on;
mod attempts;
mod destination;
pub(crate) mod follow;
mod name;
pub(crate) mod place;
mod reference;

pub(crate) use attempts::with_attempts;
pub(crate) use destination::{Destination, Saved, announce, hex, stopped};
pub(crate) use reference::Incoming;
