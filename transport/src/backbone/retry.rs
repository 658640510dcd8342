//! Retries: safe requests only, a few times, with jitter, within a budget.
//!
//! The budget keeps many callers from multiplying the load on a backbone that is already in trouble: every request earns
//! a tenth of a retry, so retries are at most a tenth of the traffic once the first reserve is spent.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Maximum number of retries of a request.
pub(super) const MAX_RETRIES: u32 = 3;

const BASE_DELAY: Duration = Duration::from_millis(100);
const MAX_DELAY: Duration = Duration::from_secs(2);

/// Cost of a retry in tokens; a request earns one token.
const RETRY_COST: u32 = 10;
const RESERVE: u32 = 100;

/// The retry budget, shared by all clones of a client.
#[derive(Debug)]
pub(super) struct Budget(AtomicU32);

impl Budget {
    pub(super) fn new() -> Self {
        Self(AtomicU32::new(RESERVE))
    }

    /// Adds to the budget. Call it for every request that is not a retry.
    pub(super) fn earn(&self) {
        let _ = self.update(|tokens| Some((tokens + 1).min(RESERVE)));
    }

    /// Takes the cost of a retry from the budget. Returns whether there was enough.
    pub(super) fn spend(&self) -> bool {
        self.update(|tokens| tokens.checked_sub(RETRY_COST)).is_ok()
    }

    fn update(&self, change: impl FnMut(u32) -> Option<u32>) -> Result<u32, u32> {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change)
    }
}

/// Delay before retry number `retry`, from 0: uniform between zero and a bound that doubles (full jitter), so that callers
/// that failed at the same time do not retry at the same time. `random` is uniform.
pub(super) fn delay(retry: u32, random: u32) -> Duration {
    let bound = BASE_DELAY.saturating_mul(1 << retry.min(10)).min(MAX_DELAY);
    bound.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_spent_and_earned_back() {
        let budget = Budget::new();
        assert_eq!((0..20).filter(|_| budget.spend()).count(), 10);
        for _ in 0..RETRY_COST {
            assert!(!budget.spend());
            budget.earn();
        }
        assert!(budget.spend());
        assert!(!budget.spend());
    }

    #[test]
    fn delays_double_up_to_a_bound_and_are_jittered() {
        assert_eq!(delay(0, u32::MAX), Duration::from_millis(100));
        assert_eq!(delay(2, u32::MAX), Duration::from_millis(400));
        assert_eq!(delay(40, u32::MAX), MAX_DELAY);
        assert_eq!(delay(2, 0), Duration::ZERO);
        assert!(delay(2, u32::MAX / 2) < Duration::from_millis(201));
    }
}
