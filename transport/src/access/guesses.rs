//! Wrong passwords by sender: how many one sender may try for a token, before it has to wait.
//!
//! The number that locks a token for everybody is in its [`Ledger`](super::Ledger). This one keeps a single sender from reaching it.
//! Nothing of it is stored.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::wire::TokenId;

/// Wrong passwords that one sender may try for a token in [`GUESSING_WINDOW`].
pub const WRONG_PASSWORDS: u32 = 10;
/// How long wrong passwords of a sender are remembered.
pub const GUESSING_WINDOW: Duration = Duration::from_secs(15 * 60);
/// Tokens for which the wrong passwords of one sender are counted.
const MAX_GUESSED_TOKENS: usize = 100;
/// Senders whose wrong passwords are counted, but for what they share. With the tokens of each this limits the memory to some 40 MB.
const MAX_GUESSERS: usize = 4_096;
/// Interval of removing what is not needed any more.
const FORGETTING_INTERVAL: Duration = Duration::from_secs(1);

/// Who tries passwords.
#[derive(Debug, Clone, Copy)]
pub struct Guesser<S> {
    /// What tells it from others.
    pub share: S,
    /// What it has in common with some of them, used instead when there are too many. There are few of these.
    pub common: S,
}

/// A sender has tried too many wrong passwords for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyGuesses {
    /// Time until it may try another one.
    pub wait: Duration,
}

/// Wrong passwords, by sender and token.
///
/// An allowance that is used up by each request does not fit: a right password must not use one up, and a sender who has none left
/// must not learn whether a password is right.
pub struct Guesses<S> {
    allowed: u32,
    state: Mutex<State<S>>,
}

struct State<S> {
    shares: HashMap<S, Guessed>,
    forgot_at: Option<Instant>,
}

impl<S: Copy + Eq + Hash> Guesses<S> {
    /// Counts up to `allowed` for each sender and token; zero allows any number.
    #[must_use]
    pub fn new(allowed: u32) -> Self {
        Self { allowed, state: Mutex::new(State { shares: HashMap::new(), forgot_at: None }) }
    }

    /// Checks that a sender may try a password for a token.
    ///
    /// # Errors
    /// [`TooManyGuesses`] after too many wrong ones.
    pub fn check(&self, guesser: Guesser<S>, token: &TokenId, now: Instant) -> Result<(), TooManyGuesses> {
        if self.allowed == 0 {
            return Ok(());
        }
        let state = self.lock();
        let counts = [guesser.share, guesser.common].map(|share| state.shares.get(&share)?.of(token, now));
        let most = counts.into_iter().flatten().find(|count| count.wrong >= self.allowed);
        match most.and_then(|count| count.left(now)) {
            Some(wait) => Err(TooManyGuesses { wait }),
            None => Ok(()),
        }
    }

    /// Counts a wrong password.
    pub fn note_wrong(&self, guesser: Guesser<S>, token: &TokenId, now: Instant) {
        let mut state = self.lock();
        let share = if state.has_room_for(&guesser.share, now) { guesser.share } else { guesser.common };
        state.shares.entry(share).or_default().add(token, now);
    }

    /// Resets the counts of a token that its creator unlocked.
    pub fn forget(&self, token: &TokenId) {
        self.lock().shares.values_mut().for_each(|guessed| _ = guessed.0.remove(token));
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Copy + Eq + Hash> State<S> {
    fn has_room_for(&mut self, share: &S, now: Instant) -> bool {
        if self.shares.len() < MAX_GUESSERS || self.shares.contains_key(share) {
            return true;
        }
        if self.forgot_at.is_none_or(|at| now.saturating_duration_since(at) >= FORGETTING_INTERVAL) {
            self.forgot_at = Some(now);
            self.shares.retain(|_, guessed| guessed.is_used(now));
        }
        self.shares.len() < MAX_GUESSERS
    }
}

/// The wrong passwords of one share, by token.
///
/// At most [`MAX_GUESSED_TOKENS`] are counted. A further token replaces the one with the lowest count and inherits *its count*:
/// so a count is never too low, and wrong passwords for other tokens do not reset one (the space-saving algorithm of Metwally,
/// Agrawal and El Abbadi, 2005).
#[derive(Default)]
struct Guessed(HashMap<TokenId, Count>);

#[derive(Clone, Copy)]
struct Count {
    wrong: u32,
    since: Instant,
}

impl Count {
    fn left(self, now: Instant) -> Option<Duration> {
        GUESSING_WINDOW.checked_sub(now.saturating_duration_since(self.since)).filter(|left| !left.is_zero())
    }
}

impl Guessed {
    fn of(&self, token: &TokenId, now: Instant) -> Option<Count> {
        self.0.get(token).copied().or_else(|| self.least(now).map(|(_, count)| count))
    }

    fn add(&mut self, token: &TokenId, now: Instant) {
        self.0.retain(|_, count| count.left(now).is_some());
        let known = self.0.get(token).copied();
        let taken = known.is_none().then(|| self.least(now)).flatten();
        if let Some((least, _)) = &taken {
            self.0.remove(least);
        }
        let before = known.unwrap_or(Count { wrong: taken.map_or(0, |(_, count)| count.wrong), since: now });
        self.0.insert(token.clone(), Count { wrong: before.wrong.saturating_add(1), ..before });
    }

    /// The token with the lowest count, if no further token can be counted.
    fn least(&self, now: Instant) -> Option<(TokenId, Count)> {
        let current = self.0.iter().filter(|(_, count)| count.left(now).is_some());
        if current.clone().count() < MAX_GUESSED_TOKENS {
            return None;
        }
        current.min_by_key(|(_, count)| (count.wrong, count.since)).map(|(token, count)| (token.clone(), *count))
    }

    fn is_used(&self, now: Instant) -> bool {
        self.0.values().any(|count| count.left(now).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(number: usize) -> TokenId {
        format!("TOK{number:017}").parse().unwrap()
    }

    /// Sixteen neighbours have something in common.
    fn guesser(number: usize) -> Guesser<usize> {
        Guesser { share: number, common: 1_000_000_000 + number / 16 }
    }

    #[test]
    fn wrong_passwords_for_other_tokens_do_not_reset_a_count() {
        let (guesses, now, who) = (Guesses::new(2), Instant::now(), guesser(1));
        guesses.note_wrong(who, &token(0), now);
        for number in 1..=MAX_GUESSED_TOKENS {
            guesses.note_wrong(who, &token(number), now);
        }
        assert_eq!(guesses.lock().shares[&1].0.len(), MAX_GUESSED_TOKENS);
        guesses.check(who, &token(0), now).unwrap();
        guesses.note_wrong(who, &token(0), now);
        let refused = guesses.check(who, &token(0), now);
        assert_eq!(refused, Err(TooManyGuesses { wait: GUESSING_WINDOW }), "two wrong ones in a window are two");
        guesses.check(who, &token(500), now).unwrap();
        for number in 500..500 + MAX_GUESSED_TOKENS {
            guesses.note_wrong(who, &token(number), now);
        }
        assert!(guesses.check(who, &token(900), now).is_err(), "too many to tell them apart");
        guesses.check(who, &token(0), now + GUESSING_WINDOW).unwrap();
    }

    #[test]
    fn guessers_are_remembered_up_to_a_bound_and_the_others_count_together() {
        let (guesses, now, token) = (Guesses::new(1), Instant::now(), token(0));
        for number in 0..MAX_GUESSERS {
            guesses.note_wrong(guesser(number), &token, now);
        }
        let [first, neighbour, other] = [16_000, 16_001, 32_000].map(guesser);
        guesses.note_wrong(first, &token, now);
        assert!(guesses.check(neighbour, &token, now).is_err());
        assert_eq!(guesses.lock().shares.len(), MAX_GUESSERS + 1);
        guesses.check(other, &token, now).unwrap();
        let later = now + GUESSING_WINDOW;
        guesses.note_wrong(first, &token, later);
        guesses.check(neighbour, &token, later).unwrap();
        assert!(guesses.lock().shares.contains_key(&first.share), "there is room again");
    }

    #[test]
    fn zero_allows_any_number_and_a_token_that_is_unlocked_counts_from_zero() {
        for (allowed, is_refused) in [(0, false), (1, true)] {
            let (guesses, now) = (Guesses::new(allowed), Instant::now());
            guesses.note_wrong(guesser(1), &token(0), now);
            assert_eq!(guesses.check(guesser(1), &token(0), now).is_err(), is_refused);
            guesses.forget(&token(0));
            guesses.check(guesser(1), &token(0), now).unwrap();
        }
    }
}
