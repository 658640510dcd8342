//! A backbone that lies (T2, T3, T20). What cannot be authenticated is refused, the error says what happened, and nothing
//! half-accepted is kept.
#![allow(clippy::unwrap_used, reason = "a test")]

mod every_answer;
mod forgery;
mod mutation;
mod owner;
mod unlabelled;
