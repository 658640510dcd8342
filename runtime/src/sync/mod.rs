//! Synchronizes the devices of an identity, and handles external events about its tokens and files.
//!
//! [`Synchronizer`] is the handle to one background task ([`worker`]), which runs one synchronization ([`run`]) at a time,
//! so no lock is held across a network call. [`plan`] has the decisions, without I/O. Changes that were not pushed yet are
//! in the store's journal ([`state`]).
//!
//! Until a payload opens, the log is only a claim of the backbone: it never advances the position of this device, never changes
//! immutable properties, and is read again from the start when it contradicts what this device has read before.
//!
//! A crash at any point neither loses nor duplicates a change: a push is stored before it is sent, sealed as it will be
//! sent, so that the next start recognizes it in the log if the backbone accepted it.

mod apply;
mod certificates;
mod digest;
mod events;
mod log;
mod plan;
mod run;
mod state;
#[cfg(test)]
mod tests;
mod unreadable;
mod worker;

pub(crate) use certificates::received_certificate;
pub(crate) use state::{SyncTimes, expect_datawallet};
pub(crate) use worker::Synchronizer;
