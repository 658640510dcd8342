//! Limits how fast one source can try keys.
//!
//! Only wrong keys cost anything. To a source that tried too many, wrong keys and keys that can be guessed look the same
//! until its allowance has grown again. Strong keys go on working there: many programs share a source (this machine, a
//! proxy), and one of them must not lock the others out.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use listener::Source;
use tokio::time::Instant;

/// Wrong keys that one source may present at once.
const BURST: u32 = 50;
/// How long until one more is allowed, in milliseconds.
const REFILL_MILLISECONDS: u64 = 100;
/// Sources that are remembered. When there are more, all allowances start anew: memory stays bounded.
const MAX_SOURCES: usize = 4096;

/// Remembers wrong keys by source.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<HashMap<Source, Failures>>);

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    since: Instant,
}

impl Throttle {
    /// Whether this source may try keys now.
    pub(crate) fn admits(&self, source: Source, now: Instant) -> bool {
        let sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sources.get(&source).is_none_or(|failures| failures.decayed(now).count < BURST)
    }

    /// Remembers a wrong key.
    pub(crate) fn record_failure(&self, source: Source, now: Instant) {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.len() >= MAX_SOURCES && !sources.contains_key(&source) {
            sources.clear();
        }
        let failures = sources.entry(source).or_insert(Failures { count: 0, since: now });
        *failures = failures.decayed(now);
        failures.count = failures.count.saturating_add(1);
    }
}

impl Failures {
    fn decayed(self, now: Instant) -> Self {
        let elapsed = u64::try_from(now.saturating_duration_since(self.since).as_millis()).unwrap_or(u64::MAX);
        match u32::try_from(elapsed / REFILL_MILLISECONDS).unwrap_or(u32::MAX) {
            0 => self,
            forgiven => Self { count: self.count.saturating_sub(forgiven), since: now },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    const SOURCE: Source = Source::Loopback;

    #[test]
    fn a_burst_is_refused_until_the_allowance_has_grown_again() {
        let throttle = Throttle::default();
        let start = Instant::now();
        for _ in 0..BURST {
            assert!(throttle.admits(SOURCE, start));
            throttle.record_failure(SOURCE, start);
        }
        assert!(!throttle.admits(SOURCE, start));
        assert!(throttle.admits(Source::V4(Ipv4Addr::new(192, 0, 2, 1)), start), "another source is not affected");
        assert!(throttle.admits(SOURCE, start + Duration::from_millis(REFILL_MILLISECONDS)));
    }

    #[test]
    fn a_wrong_key_every_second_is_never_refused() {
        let throttle = Throttle::default();
        let mut now = Instant::now();
        for _ in 0..1000 {
            assert!(throttle.admits(SOURCE, now));
            throttle.record_failure(SOURCE, now);
            now += Duration::from_secs(1);
        }
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for number in 0..=u32::try_from(MAX_SOURCES).unwrap() {
            throttle.record_failure(Source::V4(Ipv4Addr::from_bits(number)), now);
        }
        assert!(throttle.0.lock().unwrap().len() <= MAX_SOURCES);
    }
}
