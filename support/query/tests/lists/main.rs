//! The query language as interfaces and stores use it.

#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod matching;
mod messages;
mod paging;
mod parsing;
mod reference;
mod world;
