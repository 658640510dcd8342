//! How often, and after which time, a transfer is continued.

use std::time::Duration;

/// Attempts without progress before a transfer is given up: 6 seconds of waiting in all.
const MAX_ATTEMPTS: u32 = 6;
/// Waited before the second attempt; doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_millis(200);

/// Counts attempts that brought nothing.
#[derive(Debug, Default)]
pub(crate) struct Patience(u32);

impl Patience {
    /// Waits before another attempt; `false`, at once, if there were enough.
    pub(crate) async fn another(&mut self) -> bool {
        self.0 += 1;
        if self.0 >= MAX_ATTEMPTS {
            return false;
        }
        tokio::time::sleep(FIRST_DELAY * 2_u32.pow(self.0 - 1)).await;
        true
    }

    /// An attempt brought something.
    pub(crate) fn renew(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn attempts_end_and_progress_renews_them() {
        let (mut patience, start) = (Patience::default(), tokio::time::Instant::now());
        for _ in 1..MAX_ATTEMPTS {
            assert!(patience.another().await);
        }
        assert_eq!(start.elapsed(), Duration::from_millis(200 * 31));
        assert!(!patience.another().await);
        patience.renew();
        assert!(patience.another().await);
    }
}
