//! How many of something per time.

use std::time::Duration;

use tokio::time::Instant;

/// A token bucket.
#[derive(Debug)]
pub(crate) struct Rate {
    most: f64,
    per_second: f64,
    tokens: f64,
    at: Instant,
}

impl Rate {
    /// `most` at once, and as many again each `period`.
    pub(crate) fn new(most: u32, period: Duration, now: Instant) -> Self {
        Self { most: most.into(), per_second: f64::from(most) / period.as_secs_f64(), tokens: most.into(), at: now }
    }

    /// Takes one token, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + earned).min(self.most);
        self.at = now;
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grants_the_bound_at_once_and_then_at_its_rate() {
        let start = Instant::now();
        let mut rate = Rate::new(64, Duration::from_secs(1), start);
        assert!((0..64).all(|_| rate.take(start)));
        assert!(!rate.take(start));
        let half = start + Duration::from_millis(500);
        assert!((0..32).all(|_| rate.take(half)));
        assert!(!rate.take(half));
        let later = start + Duration::from_secs(3600);
        assert!((0..64).all(|_| rate.take(later)));
        assert!(!rate.take(later));
    }

    #[test]
    fn a_rate_of_zero_grants_nothing() {
        let start = Instant::now();
        let mut rate = Rate::new(0, Duration::from_secs(1), start);
        assert!(!rate.take(start + Duration::from_secs(3600)));
    }
}
