//! How many new streams per second.

use tokio::time::Instant;

/// A token bucket: `per_second` at once, and as many again each second.
#[derive(Debug)]
pub(crate) struct Rate {
    per_second: f64,
    tokens: f64,
    at: Instant,
}

impl Rate {
    pub(crate) fn new(per_second: u32, now: Instant) -> Self {
        Self { per_second: per_second.into(), tokens: per_second.into(), at: now }
    }

    /// Takes one token, if there is one.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + earned).min(self.per_second);
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
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_grants_the_bound_at_once_and_then_at_its_rate() {
        let start = Instant::now();
        let mut rate = Rate::new(64, start);
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
        let mut rate = Rate::new(0, start);
        assert!(!rate.take(start + Duration::from_secs(3600)));
    }
}
