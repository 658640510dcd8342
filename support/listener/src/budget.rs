//! How many bytes of request bodies are in memory at one time.
//!
//! Bytes are counted as they arrive, not as they are announced: an announcement costs its sender nothing. So bodies that
//! are halfway in can use up the pool together. They would wait for each other for ever, were it not for two rules:
//!
//! - When bodies wait, one of them, the *finisher*, goes on from a reserve that is as large as the largest body. When it is
//!   done, or what it holds fits into the pool, the next one finishes. Senders take turns.
//! - While anybody waits, bodies that were not complete after [`BudgetLimits::hold`] give up what they hold, those of the
//!   sender that holds most first.
//!
//! So a body that its sender delivers in that time gets in, unless more senders wait than finish within
//! [`BudgetLimits::wait`].

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::rotation::Rotation;

/// How often whoever waits looks for bodies that have been held for too long.
const RECLAIM_INTERVAL: Duration = Duration::from_secs(1);

/// How much may be in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetLimits {
    /// Bytes of all bodies together.
    pub pool: usize,
    /// Of these, bytes of one sender's bodies.
    pub of_one: usize,
    /// Bytes beyond the pool for the body that finishes: those of the largest body. With 0 nobody waits.
    pub reserve: usize,
    /// How long a body may be incomplete while others wait.
    pub hold: Duration,
    /// How long a body waits.
    pub wait: Duration,
}

/// Why a body cannot be taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Exhausted {
    /// The sender's other bodies use up its share.
    #[error("too many bytes of this sender's requests are being received")]
    OfOne,
    /// Bodies of others use up the pool, or somebody waits for what this body holds.
    #[error("too many bytes of requests are being received")]
    InTotal,
}

/// Counts bytes. Clones count the same ones.
#[derive(Debug)]
pub struct BodyBudget<K: Copy + Eq + Hash>(Arc<Mutex<State<K>>>);

impl<K: Copy + Eq + Hash> Clone for BodyBudget<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[derive(Debug)]
struct State<K> {
    limits: BudgetLimits,
    used: usize,
    used_by: HashMap<K, usize>,
    holders: HashMap<u64, Holder<K>>,
    next: u64,
    finisher: Option<u64>,
    reclaimed_at: Option<Instant>,
    waiting: Rotation<K, Waiting>,
}

#[derive(Debug)]
struct Holder<K> {
    key: K,
    pooled: usize,
    reserved: usize,
    /// When it began to hold something, plus the time it waited after that.
    since: Instant,
    is_complete: bool,
    is_revoked: bool,
    is_waiting: bool,
    revocation: Arc<Notify>,
}

#[derive(Debug)]
struct Waiting {
    holder: u64,
    bytes: usize,
    since: Instant,
    granted: oneshot::Sender<()>,
}

/// The bytes of one body; free again when it is dropped.
#[derive(Debug)]
pub struct Held<K: Copy + Eq + Hash> {
    budget: BodyBudget<K>,
    id: u64,
    revocation: Arc<Notify>,
}

impl<K: Copy + Eq + Hash> BodyBudget<K> {
    /// Nothing is counted yet.
    #[must_use]
    pub fn new(limits: BudgetLimits) -> Self {
        Self(Arc::new(Mutex::new(State {
            limits,
            used: 0,
            used_by: HashMap::new(),
            holders: HashMap::new(),
            next: 0,
            finisher: None,
            reclaimed_at: None,
            waiting: Rotation::default(),
        })))
    }

    /// Begins to count a body of a sender.
    #[must_use]
    pub fn open(&self, key: K) -> Held<K> {
        let revocation = Arc::new(Notify::new());
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        state.holders.insert(id, Holder::new(key, revocation.clone()));
        Held { budget: self.clone(), id, revocation }
    }

    /// Bytes that are counted now.
    #[must_use]
    pub fn used(&self) -> usize {
        let state = self.lock();
        state.used + state.holders.values().map(|holder| holder.reserved).sum::<usize>()
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K> Holder<K> {
    fn new(key: K, revocation: Arc<Notify>) -> Self {
        Self {
            key,
            pooled: 0,
            reserved: 0,
            since: Instant::now(),
            is_complete: false,
            is_revoked: false,
            is_waiting: false,
            revocation,
        }
    }

    fn held(&self) -> usize {
        self.pooled + self.reserved
    }

    /// Whether its sender, and not the wait for room, keeps it incomplete for too long.
    fn is_overdue(&self, now: Instant, hold: Duration) -> bool {
        let is_open = !self.is_complete && !self.is_revoked && !self.is_waiting && self.held() > 0;
        is_open && now.saturating_duration_since(self.since) > hold
    }

    /// Counts further bytes.
    fn count(&mut self, bytes: usize, is_pooled: bool) {
        if self.held() == 0 {
            self.since = Instant::now();
        }
        *(if is_pooled { &mut self.pooled } else { &mut self.reserved }) += bytes;
    }
}

impl<K: Copy + Eq + Hash> Held<K> {
    /// Counts further bytes of the body, and waits until there is room for them.
    ///
    /// # Errors
    /// [`Exhausted`] if there is no room in time.
    pub async fn add(&self, bytes: usize) -> Result<(), Exhausted> {
        let Some(mut granted) = self.budget.lock().add(self.id, bytes)? else { return Ok(()) };
        let deadline = Instant::now() + self.budget.lock().limits.wait;
        loop {
            let next = deadline.min(Instant::now() + RECLAIM_INTERVAL);
            tokio::select! {
                biased;
                answer = &mut granted => return answer.map_err(|_| Exhausted::InTotal),
                () = self.revoked() => return Err(Exhausted::InTotal),
                () = tokio::time::sleep_until(next) => {}
            }
            if Instant::now() >= deadline {
                return Err(Exhausted::InTotal);
            }
            self.budget.lock().reclaim(self.id, bytes, Instant::now());
        }
    }

    /// Returns when the body has to give up what it holds: drop this then. Cancel-safe.
    pub async fn revoked(&self) {
        self.revocation.notified().await;
        // Whoever asks again gets the same answer.
        self.revocation.notify_one();
    }

    /// Says that all of the body has arrived. It will not be revoked any more.
    pub fn complete(&self) {
        if let Some(holder) = self.budget.lock().holders.get_mut(&self.id) {
            holder.is_complete = true;
        }
    }
}

impl<K: Copy + Eq + Hash> Drop for Held<K> {
    fn drop(&mut self) {
        self.budget.lock().release(self.id);
    }
}

impl<K: Copy + Eq + Hash> State<K> {
    fn add(&mut self, id: u64, bytes: usize) -> Result<Option<oneshot::Receiver<()>>, Exhausted> {
        let Some(holder) = self.holders.get(&id).filter(|holder| !holder.is_revoked) else {
            return Err(Exhausted::InTotal);
        };
        let key = holder.key;
        if self.finisher == Some(id) {
            self.lend(id, bytes);
            return Ok(None);
        }
        if self.waiting.len() == 0 && self.fits(key, bytes) {
            self.charge(id, bytes);
            return Ok(None);
        }
        if self.limits.reserve == 0 {
            return Err(if self.fits_in_share(key, bytes) { Exhausted::InTotal } else { Exhausted::OfOne });
        }
        let (granted, receiver) = oneshot::channel();
        if let Some(holder) = self.holders.get_mut(&id) {
            holder.is_waiting = true;
        }
        self.waiting.push(key, Waiting { holder: id, bytes, since: Instant::now(), granted });
        self.serve();
        Ok(Some(receiver))
    }

    fn fits(&self, key: K, bytes: usize) -> bool {
        self.used.saturating_add(bytes) <= self.limits.pool && self.fits_in_share(key, bytes)
    }

    fn fits_in_share(&self, key: K, bytes: usize) -> bool {
        self.used_by.get(&key).copied().unwrap_or(0).saturating_add(bytes) <= self.limits.of_one
    }

    /// Lets those go on for whom there is room, and makes one of the others the finisher if there is none.
    fn serve(&mut self) {
        // Whoever went away would stand in front of the others of its sender.
        self.waiting.retain(|waiting| !waiting.granted.is_closed());
        self.return_reserve();
        loop {
            let (limits, used, used_by) = (self.limits, self.used, &self.used_by);
            let fits = |key: K, waiting: &Waiting| {
                used + waiting.bytes <= limits.pool
                    && used_by.get(&key).copied().unwrap_or(0) + waiting.bytes <= limits.of_one
            };
            let Some((_, waiting)) = self.waiting.pop_if(fits) else { break };
            if self.grant(&waiting) {
                self.charge(waiting.holder, waiting.bytes);
                let _ = waiting.granted.send(());
            }
        }
        while self.finisher.is_none() {
            let Some((_, waiting)) = self.waiting.pop_if(|_, _| true) else { break };
            if self.grant(&waiting) {
                self.finisher = Some(waiting.holder);
                self.lend(waiting.holder, waiting.bytes);
                let _ = waiting.granted.send(());
            }
        }
    }

    /// Moves what the finisher holds into the pool if it fits: a body whose sender takes its time, or most of which goes to
    /// disk, does not keep the others from the reserve.
    fn return_reserve(&mut self) {
        let Some(id) = self.finisher else { return };
        let Some((key, reserved)) = self.holders.get(&id).map(|holder| (holder.key, holder.reserved)) else { return };
        if !self.fits(key, reserved) {
            return;
        }
        if let Some(holder) = self.holders.get_mut(&id) {
            holder.reserved = 0;
        }
        self.charge(id, reserved);
        self.finisher = None;
    }

    /// Whether a body still waits; if so, the time it waited is not counted as time it held something.
    fn grant(&mut self, waiting: &Waiting) -> bool {
        let Some(holder) = self.holders.get_mut(&waiting.holder) else { return false };
        holder.is_waiting = false;
        holder.since += waiting.since.elapsed();
        !waiting.granted.is_closed()
    }

    fn charge(&mut self, id: u64, bytes: usize) {
        let Some(holder) = self.holders.get_mut(&id) else { return };
        holder.count(bytes, true);
        self.used += bytes;
        *self.used_by.entry(holder.key).or_default() += bytes;
    }

    fn lend(&mut self, id: u64, bytes: usize) {
        if let Some(holder) = self.holders.get_mut(&id) {
            holder.count(bytes, false);
        }
    }

    /// Revokes the bodies of one sender that have been incomplete for too long: of the sender that holds most in such bodies.
    /// Not more often than [`RECLAIM_INTERVAL`], so that what is revoked is free before more is.
    fn reclaim(&mut self, waiter: u64, bytes: usize, now: Instant) {
        if self.reclaimed_at.is_some_and(|at| now.saturating_duration_since(at) < RECLAIM_INTERVAL) {
            return;
        }
        let Some(heaviest) = self.heaviest_overdue(waiter, bytes, now) else { return };
        self.reclaimed_at = Some(now);
        let hold = self.limits.hold;
        let of_heaviest = |holder: &&mut Holder<K>| holder.key == heaviest && holder.is_overdue(now, hold);
        for holder in self.holders.values_mut().filter(of_heaviest) {
            holder.is_revoked = true;
            holder.revocation.notify_one();
        }
    }

    /// Whoever waits although the pool has room waits for its own bodies, and costs others nothing.
    fn heaviest_overdue(&self, waiter: u64, bytes: usize, now: Instant) -> Option<K> {
        let own = self.holders.get(&waiter)?.key;
        let has_room = self.used.saturating_add(bytes) <= self.limits.pool;
        let mut overdue = HashMap::<K, usize>::new();
        for holder in self.holders.values().filter(|holder| holder.is_overdue(now, self.limits.hold)) {
            if !has_room || holder.key == own {
                *overdue.entry(holder.key).or_default() += holder.held();
            }
        }
        overdue.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(key, _)| key)
    }

    fn release(&mut self, id: u64) {
        let Some(holder) = self.holders.remove(&id) else { return };
        self.used -= holder.pooled;
        if let Some(used) = self.used_by.get_mut(&holder.key) {
            *used -= holder.pooled;
            if *used == 0 {
                self.used_by.remove(&holder.key);
            }
        }
        if self.finisher == Some(id) {
            self.finisher = None;
        }
        self.serve();
    }
}

#[cfg(test)]
mod tests;
