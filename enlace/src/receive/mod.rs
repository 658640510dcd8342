//! Receiving: what a reference says, what the file may be called, and how it is written safely.

mod acted_on;
mod attempts;
mod checksum;
pub(crate) mod code;
mod destination;
mod fetch;
pub(crate) mod follow;
mod kept;
mod name;
mod partial;
pub(crate) mod place;
mod reading;
mod reference;
mod storing;
mod tree;
mod tree_content;
mod writing;

pub(crate) use attempts::with_attempts;
pub(crate) use destination::{Destination, Saved, announce, hex, stopped};
pub(crate) use fetch::{Listed, Saving, fetch, list};
pub(crate) use kept::Kept;
pub(crate) use reference::Incoming;
