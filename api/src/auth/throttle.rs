//! Limits how fast one place can try keys.
//!
//! Only wrong keys cost anything. To a place that tried too many, wrong keys and keys that can be guessed look the same
//! until its allowance has grown again. Strong keys go on working there: many programs share a place (this machine, a
//! proxy), and one of them must not lock the others out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// Wrong keys that one place may present at once.
const BURST: u32 = 50;
/// How long until one more is allowed, in milliseconds.
const REFILL_MILLISECONDS: u64 = 100;
/// Places that are remembered. When there are more, all allowances start anew: memory stays bounded.
const MAX_PLACES: usize = 4096;

/// Remembers wrong keys by place.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<HashMap<IpAddr, Failures>>);

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    since: Instant,
}

impl Throttle {
    /// Whether this place may try keys now.
    pub(crate) fn admits(&self, place: IpAddr, now: Instant) -> bool {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.get(&place).is_none_or(|failures| failures.decayed(now).count < BURST)
    }

    /// Remembers a wrong key.
    pub(crate) fn record_failure(&self, place: IpAddr, now: Instant) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= MAX_PLACES && !places.contains_key(&place) {
            places.clear();
        }
        let failures = places.entry(place).or_insert(Failures { count: 0, since: now });
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

    const PLACE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_burst_is_refused_until_the_allowance_has_grown_again() {
        let throttle = Throttle::default();
        let start = Instant::now();
        for _ in 0..BURST {
            assert!(throttle.admits(PLACE, start));
            throttle.record_failure(PLACE, start);
        }
        assert!(!throttle.admits(PLACE, start));
        assert!(throttle.admits(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), start), "another place is not affected");
        assert!(throttle.admits(PLACE, start + Duration::from_millis(REFILL_MILLISECONDS)));
    }

    #[test]
    fn a_wrong_key_every_second_is_never_refused() {
        let throttle = Throttle::default();
        let mut now = Instant::now();
        for _ in 0..1000 {
            assert!(throttle.admits(PLACE, now));
            throttle.record_failure(PLACE, now);
            now += Duration::from_secs(1);
        }
    }

    #[test]
    fn memory_is_bounded() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for place in 0..=u32::try_from(MAX_PLACES).unwrap() {
            throttle.record_failure(IpAddr::V4(Ipv4Addr::from_bits(place)), now);
        }
        assert!(throttle.0.lock().unwrap().len() <= MAX_PLACES);
    }
}
