//! Rates of requests without a login, and of wrong token passwords, for each source.
//!
//! The memory is bounded: when there are too many sources, further ones share allowances with others of their large network,
//! so that many sources of one network do not affect the rest of the world.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, Quota, RateLimiter};
use listener::Source;
use tokio::time::Instant;
use transport::access;
use transport::wire::TokenId;

use crate::caller::{Caller, Sender};
use crate::config::{Rate, Rates};

/// Sources with an allowance of their own, for each operation. An entry has about 60 bytes.
const MAX_SOURCES: usize = 16_384;
/// Allowances that further sources share.
const SHARED_ALLOWANCES: u16 = 1_024;
/// Interval of removing entries that are not needed any more.
const FORGETTING_INTERVAL: Duration = Duration::from_secs(1);

/// Whose allowance it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Share {
    /// One source.
    Of(Source),
    /// One identity on this machine, by a digest.
    Identity(u64),
    /// What several large networks, or several identities, share when there are too many sources.
    Network(u16),
}

impl Share {
    /// The allowance that an identity shares with others.
    fn of_many(identity: u64) -> Self {
        Self::Network((identity % u64::from(SHARED_ALLOWANCES)) as u16)
    }

    /// The allowance that sources of a large network share: 16 bits of an IPv4 address, 32 of an IPv6 address.
    fn of_network(source: Source) -> Self {
        let network = match source {
            Source::V4(address) => u32::from(address) >> 16,
            Source::V6Network(network) => u32::try_from(network >> 32).expect("32 of 64 bits"),
            Source::Loopback => return Self::Of(source),
        };
        // Multiplicative hashing spreads adjacent networks (Knuth, TAOCP 6.4).
        let spread = network.wrapping_mul(2_654_435_761) >> 16;
        Self::Network(
            u16::try_from(spread % u32::from(SHARED_ALLOWANCES)).expect("below the number of shared allowances"),
        )
    }
}

/// A source sent too many requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests from this address, try again in {} s", wait.as_secs() + 1)]
pub(crate) struct TooOften {
    /// Time until another one is allowed.
    pub(crate) wait: Duration,
}

/// A request that needs no login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Challenge,
    GuestIdentity,
    AnonymousToken,
    AnonymousRead,
}

/// The allowances of all sources.
pub(crate) struct Allowances {
    challenges: Limiter,
    guest_identities: Limiter,
    anonymous_tokens: Limiter,
    anonymous_reads: Limiter,
    claims: Limiter,
}

impl Allowances {
    pub(crate) fn new(rates: &Rates) -> Self {
        let limiter = |rate| Limiter::new(rate, rates.loopback_factor);
        Self {
            challenges: limiter(rates.challenges),
            guest_identities: limiter(rates.guest_identities),
            anonymous_tokens: limiter(rates.anonymous_tokens),
            anonymous_reads: limiter(rates.anonymous_reads),
            claims: limiter(rates.anonymous_reads),
        }
    }

    /// Uses one request of a source's allowance.
    ///
    /// # Errors
    /// [`TooOften`] if it has none left.
    pub(crate) fn take(&self, operation: Operation, source: Source) -> Result<(), TooOften> {
        let limiter = match operation {
            Operation::Challenge => &self.challenges,
            Operation::GuestIdentity => &self.guest_identities,
            Operation::AnonymousToken => &self.anonymous_tokens,
            Operation::AnonymousRead => &self.anonymous_reads,
        };
        limiter.take(source).map_err(|wait| TooOften { wait })
    }

    /// Uses one claim of a token of somebody else, of the allowance of a sender that logged in.
    ///
    /// # Errors
    /// [`TooOften`] if it has none left.
    pub(crate) fn take_claim(&self, sender: Sender) -> Result<(), TooOften> {
        let taken = match sender {
            Sender::Identity(identity) => self.claims.take_identity(identity),
            Sender::Source(source) => self.claims.take(source),
        };
        taken.map_err(|wait| TooOften { wait })
    }
}

type Middleware = NoOpMiddleware<Duration>;

struct Limiter {
    shares: RateLimiter<Share, HashMapStateStore<Share>, Monotonic, Middleware>,
    loopback: RateLimiter<NotKeyed, InMemoryState, Monotonic, Middleware>,
    clock: Monotonic,
    forgot_at: Mutex<Instant>,
}

impl Limiter {
    fn new(rate: Rate, loopback_factor: u32) -> Self {
        let clock = Monotonic(Instant::now());
        let factor = loopback_factor.max(1);
        Self {
            shares: RateLimiter::hashmap_with_clock(quota(rate.burst, rate.interval), clock),
            loopback: RateLimiter::direct_with_clock(
                quota(rate.burst.saturating_mul(factor), rate.interval / factor),
                clock,
            ),
            clock,
            forgot_at: Mutex::new(Instant::now()),
        }
    }

    fn take(&self, source: Source) -> Result<(), Duration> {
        if source == Source::Loopback {
            return self.loopback.check().map_err(|refused| self.wait(&refused));
        }
        self.take_share(Share::Of(source), Share::of_network(source))
    }

    fn take_identity(&self, identity: u64) -> Result<(), Duration> {
        self.take_share(Share::Identity(identity), Share::of_many(identity))
    }

    fn take_share(&self, own: Share, common: Share) -> Result<(), Duration> {
        let share = if self.has_room() { own } else { common };
        self.shares.check_key(&share).map_err(|refused| self.wait(&refused))
    }

    fn wait(&self, refused: &NotUntil<Duration>) -> Duration {
        refused.wait_time_from(self.clock.now())
    }

    fn has_room(&self) -> bool {
        if self.shares.len() < MAX_SOURCES {
            return true;
        }
        let mut forgot_at = self.forgot_at.lock().unwrap_or_else(PoisonError::into_inner);
        if forgot_at.elapsed() >= FORGETTING_INTERVAL {
            *forgot_at = Instant::now();
            self.shares.retain_recent();
        }
        self.shares.len() < MAX_SOURCES
    }
}

fn quota(burst: u32, interval: Duration) -> Quota {
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::with_period(interval.max(Duration::from_nanos(1))).expect("the period is not zero");
    quota.allow_burst(burst)
}

/// Monotonic time, which tests can pause.
#[derive(Debug, Clone, Copy)]
struct Monotonic(Instant);

impl Clock for Monotonic {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Who tries passwords.
pub(crate) type Guesser = access::Guesser<Share>;

/// A sender who tries passwords.
pub(crate) fn guesser(source: Source, caller: Option<&Caller>) -> Guesser {
    match Sender::of(source, caller) {
        Sender::Identity(identity) => Guesser { share: Share::Identity(identity), common: Share::of_many(identity) },
        Sender::Source(source) => Guesser { share: Share::Of(source), common: Share::of_network(source) },
    }
}

/// Wrong passwords, by sender and token.
pub(crate) struct Guesses(access::Guesses<Share>);

impl Guesses {
    /// Counts up to `allowed` for each source and token; zero allows any number.
    pub(crate) fn new(allowed: u32) -> Self {
        Self(access::Guesses::new(allowed))
    }

    /// Checks that a sender may try a password for a token.
    ///
    /// # Errors
    /// [`TooOften`] after too many wrong ones.
    pub(crate) fn check(&self, guesser: Guesser, token: &TokenId) -> Result<(), TooOften> {
        let checked = self.0.check(guesser, token, Instant::now().into_std());
        checked.map_err(|refused| TooOften { wait: refused.wait })
    }

    /// Counts a wrong password.
    pub(crate) fn note_wrong(&self, guesser: Guesser, token: &TokenId) {
        self.0.note_wrong(guesser, token, Instant::now().into_std());
    }

    /// Resets the counts of a token that its creator unlocked.
    pub(crate) fn forget(&self, token: &TokenId) {
        self.0.forget(token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::new_id;
    use transport::access::GUESSING_WINDOW;

    const RATE: Rate = Rate { burst: 3, interval: Duration::from_secs(10) };

    fn v4(number: u32) -> Source {
        Source::V4(number.into())
    }

    fn at(number: u32) -> Guesser {
        guesser(v4(number), None)
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_allowed_and_then_one_after_each_interval() {
        let limiter = Limiter::new(RATE, 2);
        assert_eq!((0..5).filter(|_| limiter.take(v4(1)).is_ok()).count(), 3);
        assert_eq!((0..9).filter(|_| limiter.take(Source::Loopback).is_ok()).count(), 6, "this machine may do more");
        assert!(limiter.take(v4(2)).is_ok(), "another source is not affected");
        let wait = limiter.take(v4(1)).unwrap_err();
        assert!(wait <= RATE.interval && wait > Duration::from_secs(9), "{wait:?}");
        tokio::time::advance(RATE.interval).await;
        assert_eq!((0..5).filter(|_| limiter.take(v4(1)).is_ok()).count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn sources_are_remembered_up_to_a_bound_and_the_others_share_by_network() {
        let limiter = Limiter::new(RATE, 1);
        let max = u32::try_from(MAX_SOURCES).unwrap();
        for number in 0..max {
            limiter.take(v4(number)).unwrap();
        }
        // Many sources of one network use up the allowance of that network, and nothing else.
        let taken = (0..1000).filter(|number| limiter.take(v4(0xc000_0000 + number)).is_ok()).count();
        assert_eq!(taken, 3);
        limiter.take(v4(0x0808_0808)).unwrap();
        assert!(limiter.shares.len() <= MAX_SOURCES + usize::from(SHARED_ALLOWANCES));
        tokio::time::advance(RATE.interval * 4).await;
        limiter.take(v4(0xc000_0000)).unwrap();
        assert!(limiter.shares.len() <= 2, "those that have not come for a while are forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn logged_in_senders_on_this_machine_claim_from_allowances_of_their_own() {
        let allowances = Allowances::new(&Rates { anonymous_reads: RATE, loopback_factor: 1, ..Rates::default() });
        let claims = |sender| (0..9).filter(|_| allowances.take_claim(sender).is_ok()).count();
        assert_eq!(claims(Sender::Identity(1)), 3);
        assert_eq!(claims(Sender::Identity(2)), 3);
        assert_eq!(claims(Sender::Source(v4(1))), 3);
        assert!(allowances.take(Operation::AnonymousRead, Source::Loopback).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_may_try_a_number_of_passwords_in_a_window() {
        let (guesses, token) = (Guesses::new(2), new_id());
        for _ in 0..2 {
            guesses.check(at(1), &token).unwrap();
            guesses.note_wrong(at(1), &token);
        }
        assert!(guesses.check(at(1), &token).is_err());
        guesses.check(at(2), &token).unwrap();
        guesses.check(at(1), &new_id()).unwrap();
        tokio::time::advance(GUESSING_WINDOW).await;
        guesses.check(at(1), &token).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn logged_in_senders_on_this_machine_are_counted_separately() {
        let (guesses, token) = (Guesses::new(1), new_id());
        let caller = |number: u8| Caller {
            address: format!("did:e:localhost:dids:c5b454f4a8133c3d2cf2e{number}").parse().unwrap(),
            device: new_id(),
        };
        guesses.note_wrong(guesser(Source::Loopback, None), &token);
        guesses.note_wrong(guesser(Source::Loopback, Some(&caller(1))), &token);
        guesses.check(guesser(Source::Loopback, Some(&caller(2))), &token).unwrap();
        assert!(guesses.check(guesser(Source::Loopback, Some(&caller(1))), &token).is_err());
        guesses.note_wrong(at(1), &token);
        assert!(guesses.check(guesser(v4(1), Some(&caller(2))), &token).is_err(), "elsewhere the address counts");
        guesses.forget(&token);
        guesses.check(at(1), &token).unwrap();
        guesses.check(guesser(Source::Loopback, None), &token).unwrap();
    }
}
