//! Between a request that changes something and its answer, the change is written to the right file and that file is
//! synchronized.
//!
//! The real programs run as `enlace_tests::power` describes, and their traces are compared before and after each request.
//! Files of indexes do not count: what is acknowledged must not depend on them.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(target_os = "linux")]

mod backbone;
mod node;
mod observer;
mod person;
