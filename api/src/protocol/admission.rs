//! How much of large bodies may be in memory at the same time.
//!
//! A large body holds shares from its first byte to the end of its request: of bytes, and of values once it is known how
//! many there are. Shares of bytes are taken first, each kind once, and none is larger than all there are: so whoever holds
//! shares of values waits for nobody, and everybody gets a turn. Whoever waits too long is told to come again.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::problem::Problem;

/// Bodies of so many bytes are not counted: there are no more of them than connections.
pub(crate) const UNCOUNTED_BYTES: usize = 64 * 1024;
/// Bodies of so many values are not counted: more than any body of a known shape has, and some 100 KiB when decoded.
pub(crate) const UNCOUNTED_VALUES: usize = 1024;
/// Most bytes of larger bodies at the same time, of all interfaces of the process.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Most values of bodies with more of them at the same time. A value takes some 100 bytes, and is there three times while
/// it is stored.
const MAX_VALUES: usize = 128 * 1024;
/// What a permit for bytes stands for.
const PERMIT: usize = 1024;
/// Longest time to wait for a share.
const PATIENCE: Duration = Duration::from_secs(30);

static BYTES: Semaphore = Semaphore::const_new(MAX_BYTES / PERMIT);
static VALUES: Semaphore = Semaphore::const_new(MAX_VALUES);

/// The shares of a request. Given back when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    bytes: Option<SemaphorePermit<'static>>,
    values: Option<SemaphorePermit<'static>>,
}

impl Admission {
    #[cfg(test)]
    pub(super) fn counts_bytes(&self) -> bool {
        self.bytes.is_some()
    }

    /// Waits until that many bytes may be in memory beside those of others. Only the first call counts.
    ///
    /// # Errors
    /// 503 if it takes too long.
    pub(crate) async fn admit_bytes(&mut self, bytes: usize) -> Result<(), Problem> {
        if self.bytes.is_none() && bytes > UNCOUNTED_BYTES {
            self.bytes = Some(share(&BYTES, bytes.div_ceil(PERMIT).min(MAX_BYTES / PERMIT)).await?);
        }
        Ok(())
    }

    /// Waits until that many values may be in memory beside those of others. Only the first call counts.
    ///
    /// # Errors
    /// 503 if it takes too long.
    pub(crate) async fn admit_values(&mut self, values: usize) -> Result<(), Problem> {
        if self.values.is_none() && values > UNCOUNTED_VALUES {
            self.values = Some(share(&VALUES, values.min(MAX_VALUES)).await?);
        }
        Ok(())
    }
}

async fn share(budget: &Semaphore, permits: usize) -> Result<SemaphorePermit<'_>, Problem> {
    let permits = u32::try_from(permits).map_err(|_| Problem::unexpected())?;
    match tokio::time::timeout(PATIENCE, budget.acquire_many(permits)).await {
        Ok(permit) => permit.map_err(|_| Problem::unexpected()),
        Err(_) => Err(Problem::busy()),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_told_to_come_again() {
        let budget = Semaphore::new(10);
        let first = share(&budget, 6).await.unwrap();
        assert!(share(&budget, 4).now_or_never().is_some(), "exactly what is left");
        let began = tokio::time::Instant::now();
        let refusal = share(&budget, 5).await.unwrap_err();
        assert_eq!((refusal.status().as_u16(), began.elapsed()), (503, PATIENCE));
        assert_eq!(refusal.header().unwrap().0, http::header::RETRY_AFTER);
        drop(first);
        assert!(share(&budget, 10).now_or_never().is_some());
    }

    #[tokio::test]
    async fn small_bodies_take_no_share() {
        let mut admission = Admission::default();
        admission.admit_bytes(UNCOUNTED_BYTES).await.unwrap();
        admission.admit_values(UNCOUNTED_VALUES).await.unwrap();
        assert!(admission.bytes.is_none() && admission.values.is_none());
        admission.admit_bytes(UNCOUNTED_BYTES + 1).await.unwrap();
        admission.admit_values(UNCOUNTED_VALUES + 1).await.unwrap();
        assert!(admission.bytes.is_some() && admission.values.is_some());
    }
}
