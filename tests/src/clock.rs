//! The clock of all nodes and backbones in a world.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use transport::wire::Timestamp;

/// A clock that stands still until a test advances it. Clones advance together.
///
/// It starts at the system time, because the expiry of logins follows the system's monotonic clock.
#[derive(Debug, Clone)]
pub struct WorldClock {
    milliseconds: Arc<AtomicI64>,
    /// Milliseconds by which this clone is ahead of the others; negative if behind.
    ahead: i64,
}

impl WorldClock {
    /// A clock that is set to the system time.
    #[must_use]
    pub fn starting_now() -> Self {
        let now = Timestamp::from(SystemTime::now()).as_unix_milliseconds();
        Self { milliseconds: Arc::new(AtomicI64::new(now)), ahead: 0 }
    }

    /// Its current time.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        Timestamp::from_unix_milliseconds(self.milliseconds.load(Ordering::SeqCst) + self.ahead)
    }

    /// Advances all clones.
    pub fn advance(&self, duration: Duration) {
        self.milliseconds.fetch_add(milliseconds(duration), Ordering::SeqCst);
    }

    /// A clone that is ahead by a duration.
    #[must_use]
    pub fn ahead_by(&self, duration: Duration) -> Self {
        Self { milliseconds: self.milliseconds.clone(), ahead: self.ahead + milliseconds(duration) }
    }

    /// A clone that is behind by a duration.
    #[must_use]
    pub fn behind_by(&self, duration: Duration) -> Self {
        Self { milliseconds: self.milliseconds.clone(), ahead: self.ahead - milliseconds(duration) }
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).expect("tests do not advance the clock by 292 million years")
}

impl runtime::Clock for WorldClock {
    fn now(&self) -> Timestamp {
        self.time()
    }
}

impl backbone_mock::Clock for WorldClock {
    fn now(&self) -> Timestamp {
        self.time()
    }
}
