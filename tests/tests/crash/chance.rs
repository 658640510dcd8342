//! Repeatable chance.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Semaphore;

/// Items that are acknowledged before a kill, at most.
const MOST_PROGRESS: u64 = 30;
/// If there is no progress at all, the kill comes anyway.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A xorshift generator that says its seed when a test fails.
pub(crate) struct Chance {
    seed: u64,
    state: u64,
}

impl Chance {
    pub(crate) fn new() -> Self {
        let seed = std::env::var("ENLACE_CRASH_SEED").ok().map_or_else(
            || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64,
            |text| text.parse().expect("a seed is a number"),
        );
        Self { seed, state: seed | 1 }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// A number below a bound.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Waits for a random amount of progress and then a random moment longer, so that the kill hits anything that
    /// happens, on slow machines too.
    pub(crate) async fn right_moment(&mut self, progress: &Semaphore) {
        progress.forget_permits(usize::MAX);
        let enough = (self.next() % MOST_PROGRESS) as u32;
        if let Ok(Ok(permits)) = tokio::time::timeout(LONGEST_WAIT, progress.acquire_many(enough)).await {
            permits.forget();
        }
        let moment = Duration::from_micros(self.next() % 20_000);
        tokio::time::sleep(moment).await;
    }

    /// A few of many.
    pub(crate) fn some<'a, T>(&mut self, of: &'a [T], count: usize) -> Vec<&'a T> {
        let count = if of.is_empty() { 0 } else { count };
        (0..count).map(|_| &of[(self.next() % of.len() as u64) as usize]).collect()
    }
}

impl Drop for Chance {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("repeat with ENLACE_CRASH_SEED={}", self.seed);
        }
    }
}
