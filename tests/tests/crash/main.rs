//! `kill -9` at random instants under load: everything acknowledged is there afterwards, nothing half-written is visible
//! (T17).
//!
//! `ENLACE_CRASH_ROUNDS` says how many rounds, half of them for the backbone and half for the node, which is once killed while
//! others use it, as often while it uploads, and as often while it receives; as often the backbone while uses are counted;
//! `ENLACE_CRASH_SEED` repeats a run's instants as far as the machine does its part.
#![allow(clippy::unwrap_used, reason = "a test")]

mod backbone_killed;
mod chance;
mod download_killed;
mod node_killed;
mod upload_killed;
mod uses_killed;

/// Rounds of each test.
fn rounds() -> usize {
    let all = std::env::var("ENLACE_CRASH_ROUNDS").ok().map_or(10, |text| text.parse().expect("a number of rounds"));
    all / 2
}

/// The content of item `number`: small ones and some that take more than one write.
fn content(number: u64) -> Vec<u8> {
    let length = if number.is_multiple_of(8) { 200_000 } else { 100 + number as usize % 1000 };
    let start = number.to_le_bytes();
    (0..length).map(|i| start[i % 8] ^ (i / 8) as u8).collect()
}
