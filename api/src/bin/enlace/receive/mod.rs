//! Receiving: what a reference says, what the file may be called, and how it is written without harm.

mod acted_on;
mod destination;
mod name;
pub(crate) mod place;
mod reference;

pub(crate) use destination::{Destination, Saved, announce};
pub(crate) use reference::Incoming;
