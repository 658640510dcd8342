//! Expensive work in turns: a few at one time, and between senders one after the other, so that one who asks for much
//! does not delay the others by more than a turn each.

use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::rotation::Rotation;

/// How much may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnLimits {
    /// Turns at one time.
    pub at_once: usize,
    /// Waiting for a turn, of one sender.
    pub waiting_of_one: usize,
    /// Waiting for a turn, in total.
    pub waiting: usize,
}

/// Why nobody may wait for a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooMany {
    /// The sender waits for as many turns as it may already.
    #[error("too many requests of this sender are waiting already")]
    OfOne,
    /// As many wait in total as may.
    #[error("too many requests are waiting already")]
    InTotal,
}

/// Hands out turns. Clones hand out the same ones.
#[derive(Debug)]
pub struct Turns<K: Copy + Eq + Hash>(Arc<Mutex<State<K>>>);

impl<K: Copy + Eq + Hash> Clone for Turns<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[derive(Debug)]
struct State<K: Copy + Eq + Hash> {
    limits: TurnLimits,
    taken: usize,
    waiting: Rotation<K, oneshot::Sender<Turn<K>>>,
}

/// A turn; over when it is dropped.
#[derive(Debug)]
pub struct Turn<K: Copy + Eq + Hash>(Option<Turns<K>>);

impl<K: Copy + Eq + Hash> Turns<K> {
    /// All turns are free.
    #[must_use]
    pub fn new(limits: TurnLimits) -> Self {
        Self(Arc::new(Mutex::new(State { limits, taken: 0, waiting: Rotation::default() })))
    }

    /// Waits for a turn of a sender. Cancel-safe: whoever stops waiting gives up the place in the queue.
    ///
    /// # Errors
    /// [`TooMany`] if there is no place in the queue.
    pub async fn take(&self, key: K) -> Result<Turn<K>, TooMany> {
        let waiting = {
            let mut state = self.lock();
            if state.taken < state.limits.at_once {
                state.taken += 1;
                return Ok(Turn(Some(self.clone())));
            }
            state.queue(key)?
        };
        // The queue keeps the sender until it hands over a turn, and it lives as long as `self`.
        waiting.await.map_err(|_| TooMany::InTotal)
    }

    /// Hands a turn that is over to whoever is next.
    fn hand_on(&self) {
        let mut state = self.lock();
        while let Some((_, waiting)) = state.waiting.pop_if(|_, _| true) {
            match waiting.send(Turn(Some(self.clone()))) {
                Ok(()) => return,
                // Nobody waits any more. Dropped with a value, the turn would come here again, under the lock.
                Err(mut turn) => turn.0 = None,
            }
        }
        state.taken -= 1;
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Eq + Hash> State<K> {
    fn queue(&mut self, key: K) -> Result<oneshot::Receiver<Turn<K>>, TooMany> {
        if self.excess(key).is_some() {
            self.waiting.retain(|waiting| !waiting.is_closed());
        }
        if let Some(excess) = self.excess(key) {
            return Err(excess);
        }
        let (sender, receiver) = oneshot::channel();
        self.waiting.push(key, sender);
        Ok(receiver)
    }

    fn excess(&self, key: K) -> Option<TooMany> {
        if self.waiting.len_of(key) >= self.limits.waiting_of_one {
            Some(TooMany::OfOne)
        } else if self.waiting.len() >= self.limits.waiting {
            Some(TooMany::InTotal)
        } else {
            None
        }
    }
}

impl<K: Copy + Eq + Hash> Drop for Turn<K> {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.hand_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinHandle;

    use super::*;

    const LIMITS: TurnLimits = TurnLimits { at_once: 1, waiting_of_one: 3, waiting: 5 };

    /// Waits for a turn and notes when it came.
    fn wait(turns: &Turns<char>, key: char, log: &Arc<Mutex<Vec<char>>>) -> JoinHandle<Result<(), TooMany>> {
        let (turns, log) = (turns.clone(), log.clone());
        tokio::spawn(async move {
            let _turn = turns.take(key).await?;
            log.lock().unwrap().push(key);
            Ok(())
        })
    }

    #[tokio::test]
    async fn one_who_asks_for_much_delays_another_by_one_turn() {
        let (turns, log) = (Turns::new(LIMITS), Arc::default());
        let running = turns.take('x').await.unwrap();
        let waiting: Vec<_> = "aaab".chars().map(|key| wait(&turns, key, &log)).collect();
        tokio::task::yield_now().await;
        drop(running);
        for waiting in waiting {
            waiting.await.unwrap().unwrap();
        }
        assert_eq!(log.lock().unwrap().iter().collect::<String>(), "abaa");
    }

    #[tokio::test]
    async fn queues_are_bounded_per_sender_and_in_total() {
        let (turns, log) = (Turns::new(LIMITS), Arc::default());
        let running = turns.take('x').await.unwrap();
        let mut waiting: Vec<_> = "aaa".chars().map(|key| wait(&turns, key, &log)).collect();
        tokio::task::yield_now().await;
        assert_eq!(turns.take('a').await.unwrap_err(), TooMany::OfOne);
        waiting.extend("bc".chars().map(|key| wait(&turns, key, &log)));
        tokio::task::yield_now().await;
        assert_eq!(turns.take('d').await.unwrap_err(), TooMany::InTotal);
        drop(running);
        for waiting in waiting {
            waiting.await.unwrap().unwrap();
        }
        turns.take('d').await.unwrap();
    }

    #[tokio::test]
    async fn who_stops_waiting_leaves_place_and_turn_to_others() {
        let (turns, log) = (Turns::new(LIMITS), Arc::default());
        let running = turns.take('x').await.unwrap();
        let gone: Vec<_> = "aaa".chars().map(|key| wait(&turns, key, &log)).collect();
        tokio::task::yield_now().await;
        for gone in gone {
            gone.abort();
            assert!(gone.await.unwrap_err().is_cancelled());
        }
        let next = wait(&turns, 'a', &log);
        tokio::task::yield_now().await;
        drop(running);
        next.await.unwrap().unwrap();
        assert_eq!(turns.lock().taken, 0);
    }
}
