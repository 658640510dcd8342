//! Counting wrong passwords and remembering readers: what has to be stored before an attempt is answered.

use super::{Attempt, MAX_FAILED_ATTEMPTS, Verdict};

/// Stores what attempts to read one token leave behind. A value of it is used for one attempt.
///
/// # Contract
///
/// - **Who counts.** The side that holds the token counts, and it alone: a backbone, or a node that serves its own tokens. A
///   token has one ledger. If two sides served the same token with a ledger each, a guesser would have twice the attempts.
/// - **Atomically.** Whoever has a ledger holds the lock of the token, from before the members of its [`Attempt`] were read
///   until the call has returned. So no two attempts are judged by the same count.
/// - **What a refusal commits.** A wrong password is durable before its answer leaves: [`count`](Self::count) returns after the
///   commit. If it fails, the attempt is answered with the error, never with what the password would have led to. All other
///   refusals commit nothing.
/// - **Locking.** The commit that stores the number [`MAX_FAILED_ATTEMPTS`] also stores what tells the creator that the token is
///   locked, once. Only the creator resets the number, under the same lock.
/// - **Readers.** [`allocate`](Self::allocate) stores one allocation per token and identity. An implementation that has no room
///   for it may show the token without one: that identity needs the password again. Any other failure is an error.
/// - **Cancellation.** A future that is dropped has answered nobody. Its commit may take effect, so an attempt may count although
///   nobody heard of it; it is never answered without counting.
pub trait Ledger: Sized + Send {
    /// Why nothing was stored.
    type Error;

    /// Stores that the identity of the caller has read the token.
    fn allocate(self) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Stores a wrong password.
    fn count(self, failed: FailedAttempt) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// A wrong password that is to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedAttempt {
    /// How many wrong passwords there are with it: what is stored from now on.
    pub number: u32,
}

impl FailedAttempt {
    /// Whether this one locks the token.
    #[must_use]
    pub fn locks(self) -> bool {
        self.number == MAX_FAILED_ATTEMPTS
    }
}

/// The answer to an attempt, once everything that it leaves behind is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// The token is shown, or its content may be set.
    Granted,
    /// For this caller the token does not exist.
    NotFound,
    /// There were too many wrong passwords; this one may have been the last of them.
    Locked,
}

impl Verdict {
    /// Stores what follows from the verdict on an attempt, and says how to answer.
    ///
    /// # Errors
    /// The ledger's. Then nothing is shown.
    pub async fn settle<L: Ledger>(self, attempt: &Attempt<'_>, ledger: L) -> Result<Outcome, L::Error> {
        match self {
            Self::Show => Ok(Outcome::Granted),
            Self::Hide => Ok(Outcome::NotFound),
            Self::Locked => Ok(Outcome::Locked),
            Self::ShowAndAllocate => {
                ledger.allocate().await?;
                Ok(Outcome::Granted)
            }
            Self::WrongPassword => {
                let failed = FailedAttempt { number: attempt.failed_attempts.saturating_add(1) };
                ledger.count(failed).await?;
                Ok(if failed.locks() { Outcome::Locked } else { Outcome::NotFound })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, MutexGuard};

    use super::*;
    use crate::wire::{Address, Timestamp};

    /// What is stored of a token.
    #[derive(Default)]
    struct Stored {
        failed_attempts: u32,
        allocations: u32,
        told_of_lock: u32,
    }

    /// A ledger in memory, whose disk may fail.
    struct Memory<'a> {
        stored: &'a mut Stored,
        fails: bool,
    }

    #[derive(Debug, PartialEq)]
    struct DiskFailed;

    impl Memory<'_> {
        fn write(self, change: impl FnOnce(&mut Stored)) -> Result<(), DiskFailed> {
            if self.fails {
                return Err(DiskFailed);
            }
            change(self.stored);
            Ok(())
        }
    }

    impl Ledger for Memory<'_> {
        type Error = DiskFailed;

        async fn allocate(self) -> Result<(), DiskFailed> {
            self.write(|stored| stored.allocations += 1)
        }

        async fn count(self, failed: FailedAttempt) -> Result<(), DiskFailed> {
            self.write(|stored| {
                stored.failed_attempts = failed.number;
                stored.told_of_lock += u32::from(failed.locks());
            })
        }
    }

    fn now<T>(future: impl Future<Output = T>) -> T {
        futures_util::FutureExt::now_or_never(future).expect("memory is there at once")
    }

    fn attempt<'a>(caller: &'a Address, stored: &Stored, password_fits: bool) -> Attempt<'a> {
        let (now, expires_at) = (Timestamp::from_unix_milliseconds(0), Timestamp::NEVER);
        let failed_attempts = stored.failed_attempts;
        let caller = Some(caller);
        Attempt {
            caller,
            creator: None,
            is_allocated: false,
            for_identity: None,
            password_fits,
            failed_attempts,
            not_before: None,
            expires_at,
            is_revoked: false,
            now,
        }
    }

    fn try_password(mut stored: MutexGuard<'_, Stored>, password_fits: bool) -> Outcome {
        let caller = format!("did:e:localhost:dids:{}", "a".repeat(22)).parse().unwrap();
        let attempt = attempt(&caller, &stored, password_fits);
        now(attempt.judge().settle(&attempt, Memory { stored: &mut stored, fails: false })).unwrap()
    }

    #[test]
    fn of_400_parallel_guesses_100_are_counted_and_the_creator_is_told_once() {
        let stored = Arc::new(Mutex::new(Stored::default()));
        let guesses: Vec<_> = (0..4)
            .map(|_| {
                let stored = stored.clone();
                std::thread::spawn(move || (0..100).map(|_| try_password(stored.lock().unwrap(), false)).collect())
            })
            .collect();
        let outcomes: Vec<Outcome> =
            guesses.into_iter().flat_map(|guess| guess.join().map(|outcomes: Vec<_>| outcomes).unwrap()).collect();
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::NotFound).count(), 99);
        assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Locked).count(), 301);
        assert_eq!(try_password(stored.lock().unwrap(), true), Outcome::Locked, "the right password comes too late");
        let stored = stored.lock().unwrap();
        assert_eq!((stored.failed_attempts, stored.told_of_lock, stored.allocations), (MAX_FAILED_ATTEMPTS, 1, 0));
    }

    #[test]
    fn the_right_password_leaves_an_allocation_and_no_count() {
        let stored = Mutex::new(Stored { failed_attempts: MAX_FAILED_ATTEMPTS - 1, ..Stored::default() });
        assert_eq!(try_password(stored.lock().unwrap(), true), Outcome::Granted);
        let stored = stored.into_inner().unwrap();
        assert_eq!((stored.failed_attempts, stored.allocations), (MAX_FAILED_ATTEMPTS - 1, 1));
    }

    #[test]
    fn what_cannot_be_stored_is_answered_by_the_failure() {
        let caller = format!("did:e:localhost:dids:{}", "a".repeat(22)).parse().unwrap();
        for password_fits in [true, false] {
            let mut stored = Stored::default();
            let attempt = attempt(&caller, &stored, password_fits);
            let ledger = Memory { stored: &mut stored, fails: true };
            assert_eq!(now(attempt.judge().settle(&attempt, ledger)), Err(DiskFailed));
        }
    }
}
