//! How often, and after which time, a transfer is continued.

use std::time::Duration;

/// Attempts without progress before a transfer is given up. They take 81 seconds of waiting in all: a backbone holds an upload for
/// up to 60 seconds for a connection that only this side knows to be broken.
const MAX_ATTEMPTS: u32 = 10;
/// Attempts before an other side that answers, but with too little, is not asked again.
const MAX_SHORT_ANSWERS: u32 = 4;
/// Attempts before a node that says that it cannot read a file is not asked again. They take 13 seconds: it may be for a moment only.
const MAX_UNREADABLE: u32 = 7;
/// Waited before the second attempt; doubles with each further one.
const FIRST_DELAY: Duration = Duration::from_millis(200);
/// The longest time between two attempts.
const MAX_DELAY: Duration = Duration::from_secs(30);

/// Counts attempts without progress.
#[derive(Debug, Default)]
pub(crate) struct Retries(u32);

impl Retries {
    /// Waits before another attempt; `false`, at once, if there were enough.
    pub(crate) async fn wait(&mut self) -> bool {
        self.wait_up_to(MAX_ATTEMPTS).await
    }

    /// The same after an answer that was complete and yet too short.
    pub(crate) async fn wait_after_short_answer(&mut self) -> bool {
        self.wait_up_to(MAX_SHORT_ANSWERS).await
    }

    /// The same after an answer that the file cannot be read.
    pub(crate) async fn wait_until_readable(&mut self) -> bool {
        self.wait_up_to(MAX_UNREADABLE).await
    }

    /// Whether there may be another attempt at once, with somebody else. It counts as the others do.
    pub(crate) fn go_on(&mut self) -> bool {
        self.0 += 1;
        self.0 < MAX_ATTEMPTS
    }

    async fn wait_up_to(&mut self, most: u32) -> bool {
        self.0 += 1;
        if self.0 >= most {
            return false;
        }
        tokio::time::sleep(FIRST_DELAY.saturating_mul(2_u32.pow(self.0 - 1)).min(MAX_DELAY)).await;
        true
    }

    /// An attempt made progress.
    pub(crate) fn reset(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn attempts_end_and_progress_resets_them() {
        let (mut retries, start) = (Retries::default(), tokio::time::Instant::now());
        for _ in 1..MAX_ATTEMPTS {
            assert!(retries.wait().await);
        }
        assert_eq!(start.elapsed(), Duration::from_secs(81));
        assert!(!retries.wait().await);
        retries.reset();
        for _ in 1..MAX_SHORT_ANSWERS {
            assert!(retries.wait_after_short_answer().await);
        }
        assert!(!retries.wait_after_short_answer().await);
        retries.reset();
        let start = tokio::time::Instant::now();
        for _ in 1..MAX_UNREADABLE {
            assert!(retries.wait_until_readable().await);
        }
        assert!(!retries.wait_until_readable().await);
        assert_eq!(start.elapsed(), Duration::from_millis(12_600));
        retries.reset();
        for _ in 1..MAX_ATTEMPTS {
            assert!(retries.go_on());
        }
        assert!(!retries.go_on() && !retries.wait().await);
    }
}
