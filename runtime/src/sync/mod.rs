//! Keeping the devices of an identity in step, and learning what others did to its tokens and files.
//!
//! [`Synchronizer`] is the handle: facades tell it that something changed, users ask it to synchronize. One background
//! task ([`worker`]) does the work, one thing at a time, so nothing here needs a lock across a network call. It drives
//! [`run`], which does what [`plan`] decides. What was not pushed yet is the store's journal ([`journal`]).
//!
//! The log is the backbone's word until a payload in it opens: what it says beyond that never moves the position of this device,
//! never changes what is immutable, and is read again from the start when it contradicts what this device knows.
//!
//! A crash at any point loses and doubles nothing: what is about to be pushed is stored first, sealed as it will be sent,
//! so that the next start recognises it in the log if it arrived.

mod apply;
mod events;
mod journal;
mod log;
mod plan;
mod run;
mod state;
#[cfg(test)]
mod tests;
mod unreadable;
mod worker;

pub(crate) use state::{SyncTimes, expect_datawallet};
pub(crate) use worker::Synchronizer;
