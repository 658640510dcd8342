//! How much of large bodies may be in memory at the same time.
//!
//! A large body has room in two budgets from its first byte to the end of its request: for its bytes, and for its values once
//! it is known how many there are. Both are asked for at once, so nobody holds room for a part of a body, and bytes come
//! first: so whoever has room for values waits for nobody, and everybody gets a turn. Whoever waits too long is told to
//! come again.

use std::sync::LazyLock;
use std::time::Duration;

use listener::budget::{BodyBudget, BudgetLimits, Held};

use super::bounds::{BodyBounds, UNCOUNTED_BYTES, UNCOUNTED_VALUES};
use crate::problem::Problem;

/// Most bytes of larger bodies at the same time, of all interfaces of the process.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Most values of bodies with more of them at the same time. A value takes some 100 bytes, and is there three times while
/// it is stored.
const MAX_VALUES: usize = 128 * 1024;
/// Longest time to wait for a share.
const TIMEOUT: Duration = Duration::from_secs(30);

static BYTES: LazyLock<Budget> = LazyLock::new(|| Budget::new(limits(MAX_BYTES, BodyBounds::FREE.bytes())));
static VALUES: LazyLock<Budget> = LazyLock::new(|| Budget::new(limits(MAX_VALUES, BodyBounds::FREE.values())));

/// Holders of keys trust each other, so all of them are one sender.
type Budget = BodyBudget<()>;

/// The room of a request. Given back when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    bytes: Option<Held<()>>,
    values: Option<Held<()>>,
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
            self.bytes = Some(room(&BYTES, bytes).await?);
        }
        Ok(())
    }

    /// Waits until that many values may be in memory beside those of others. Only the first call counts.
    ///
    /// # Errors
    /// 503 if it takes too long.
    pub(crate) async fn admit_values(&mut self, values: usize) -> Result<(), Problem> {
        if self.values.is_none() && values > UNCOUNTED_VALUES {
            self.values = Some(room(&VALUES, values).await?);
        }
        Ok(())
    }
}

/// `most` in total, of which the reserve goes to the body that has waited longest.
fn limits(most: usize, reserve: usize) -> BudgetLimits {
    let pool = most - reserve;
    // What is asked for at once is never incomplete, so nobody has to give up anything.
    BudgetLimits { pool, of_one: pool, reserve, hold: Duration::MAX, wait: TIMEOUT }
}

async fn room(budget: &Budget, amount: usize) -> Result<Held<()>, Problem> {
    let held = budget.open(());
    held.add(amount).await.map_err(|_exhausted| Problem::busy())?;
    held.complete();
    Ok(held)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_told_to_come_again() {
        let budget = Budget::new(limits(10, 4));
        let first = room(&budget, 6).await.unwrap();
        let second = room(&budget, 4).now_or_never().expect("exactly what is left, the reserve").unwrap();
        let began = tokio::time::Instant::now();
        let refusal = room(&budget, 1).await.unwrap_err();
        assert_eq!((refusal.status().as_u16(), began.elapsed()), (503, TIMEOUT));
        assert!(refusal.headers().contains_key(http::header::RETRY_AFTER));
        drop((first, second));
        assert!(room(&budget, 6).now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_is_never_more_than_there_may_be() {
        let budget = Budget::new(limits(MAX_BYTES, BodyBounds::FREE.bytes()));
        let mut held = Vec::new();
        while let Some(Ok(more)) = room(&budget, BodyBounds::FREE.bytes()).now_or_never() {
            held.push(more);
        }
        assert_eq!((held.len(), budget.used()), (8, MAX_BYTES));
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
