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
mod tests {
    use tokio::task::JoinHandle;

    use super::*;

    const HOLD: Duration = Duration::from_secs(20);
    const WAIT: Duration = Duration::from_secs(40);
    const LIMITS: BudgetLimits = BudgetLimits { pool: 100, of_one: 60, reserve: 50, hold: HOLD, wait: WAIT };

    /// Receives a body in pieces of ten bytes, one each second.
    fn receive(budget: &BodyBudget<char>, key: char, pieces: usize) -> JoinHandle<Result<(), Exhausted>> {
        let held = budget.open(key);
        tokio::spawn(async move {
            for _ in 0..pieces {
                held.add(10).await?;
                tokio::select! {
                    () = held.revoked() => return Err(Exhausted::InTotal),
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                }
            }
            Ok(())
        })
    }

    #[tokio::test]
    async fn without_a_reserve_nobody_waits() {
        let budget = BodyBudget::new(BudgetLimits { reserve: 0, ..LIMITS });
        let (first, second) = (budget.open('a'), budget.open('b'));
        first.add(60).await.unwrap();
        assert_eq!(first.add(1).await, Err(Exhausted::OfOne));
        second.add(40).await.unwrap();
        assert_eq!(second.add(1).await, Err(Exhausted::InTotal));
        assert_eq!(budget.used(), 100);
        drop(first);
        second.add(20).await.unwrap();
        drop(second);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_that_use_up_the_pool_together_get_in_one_after_the_other() {
        let budget = BodyBudget::new(LIMITS);
        let bodies: Vec<_> = "abcdefgh".chars().map(|key| receive(&budget, key, 5)).collect();
        let mut most = 0;
        while bodies.iter().any(|body| !body.is_finished()) {
            most = most.max(budget.used());
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        for body in bodies {
            assert_eq!(body.await.unwrap(), Ok(()));
        }
        assert!((101..=LIMITS.pool + LIMITS.reserve).contains(&most), "{most}");
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn unfinished_bodies_are_held_only_while_nobody_waits() {
        let budget = BodyBudget::new(LIMITS);
        let unfinished: Vec<_> = "ab".chars().map(|key| (budget.open(key), budget.open(key))).collect();
        for (small, large) in &unfinished {
            small.add(10).await.unwrap();
            large.add(40).await.unwrap();
        }
        // One unfinished body holds the reserve as well.
        let finisher = budget.open('c');
        finisher.add(1).await.unwrap();
        tokio::time::sleep(10 * HOLD).await;
        let small = &unfinished[0].0;
        assert!(tokio::time::timeout(Duration::ZERO, small.revoked()).await.is_err(), "nobody waits");
        let revoked = async {
            unfinished[0].1.revoked().await;
        };
        let newcomer = budget.open('d');
        tokio::select! {
            _ = newcomer.add(10) => panic!("the pool is used up"),
            () = revoked => {}
            () = unfinished[1].1.revoked() => {}
        }
        drop(unfinished);
        newcomer.add(10).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_that_do_not_notice_do_not_shield_those_of_others() {
        let budget = BodyBudget::new(LIMITS);
        let deaf = budget.open('a');
        deaf.add(60).await.unwrap();
        let noticing = budget.open('b');
        noticing.add(40).await.unwrap();
        let finisher = budget.open('c');
        finisher.add(50).await.unwrap();
        tokio::time::sleep(2 * HOLD).await;
        let newcomer = budget.open('d');
        let newcomer = tokio::spawn(async move { newcomer.add(10).await });
        noticing.revoked().await;
        assert_eq!(finisher.add(1).await, Err(Exhausted::InTotal), "the finisher is revoked as well");
        drop(noticing);
        assert_eq!(newcomer.await.unwrap(), Ok(()));
        assert_eq!(deaf.add(0).await, Err(Exhausted::InTotal), "what is revoked gets nothing more");
    }

    #[tokio::test(start_paused = true)]
    async fn all_overdue_bodies_of_the_sender_that_holds_most_are_revoked_together() {
        let budget = BodyBudget::new(BudgetLimits { of_one: 80, ..LIMITS });
        let many: Vec<_> = (0..8).map(|_| budget.open('a')).collect();
        for held in &many {
            held.add(10).await.unwrap();
        }
        let one = budget.open('b');
        one.add(20).await.unwrap();
        let finisher = budget.open('c');
        finisher.add(1).await.unwrap();
        finisher.complete();
        tokio::time::sleep(HOLD + Duration::from_millis(1)).await;
        let newcomer = budget.open('d');
        tokio::select! {
            biased;
            _ = newcomer.add(20) => panic!("the pool is used up"),
            () = one.revoked() => panic!("holds less"),
            () = async { for held in &many { held.revoked().await } } => {}
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_room_is_no_reason_to_give_up_what_is_held() {
        let budget = BodyBudget::new(LIMITS);
        let complete = budget.open('a');
        complete.add(60).await.unwrap();
        complete.complete();
        let (first, second, third) = (budget.open('b'), budget.open('c'), budget.open('d'));
        for held in [&first, &second] {
            held.add(20).await.unwrap();
        }
        third.add(50).await.unwrap();
        third.complete();
        let waiting = async { tokio::join!(first.add(10), second.add(10)) };
        assert!(tokio::time::timeout(WAIT - Duration::from_secs(1), waiting).await.is_err());
        for held in [&first, &second] {
            assert!(tokio::time::timeout(Duration::ZERO, held.revoked()).await.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_that_wait_revoke_one_sender_at_a_time() {
        let budget = BodyBudget::new(LIMITS);
        let overdue: Vec<_> = "abcdefghij".chars().map(|key| budget.open(key)).collect();
        for held in &overdue {
            held.add(10).await.unwrap();
        }
        let finisher = budget.open('k');
        finisher.add(1).await.unwrap();
        finisher.complete();
        tokio::time::sleep(2 * HOLD).await;
        let newcomers: Vec<_> = "lmnop".chars().map(|key| receive(&budget, key, 1)).collect();
        tokio::time::sleep(RECLAIM_INTERVAL + Duration::from_millis(10)).await;
        let mut revoked = 0;
        for held in &overdue {
            revoked += usize::from(tokio::time::timeout(Duration::ZERO, held.revoked()).await.is_ok());
        }
        assert_eq!(revoked, 1);
        newcomers.iter().for_each(JoinHandle::abort);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_its_own_bodies_costs_others_nothing() {
        let budget = BodyBudget::new(LIMITS);
        let slow = budget.open('a');
        slow.add(10).await.unwrap();
        tokio::time::sleep(2 * HOLD).await;
        let (first, second, third) = (budget.open('b'), budget.open('b'), budget.open('b'));
        first.add(60).await.unwrap();
        second.add(1).await.unwrap();
        second.complete();
        assert!(tokio::time::timeout(HOLD / 2, third.add(1)).await.is_err(), "its share is used up");
        assert!(tokio::time::timeout(Duration::ZERO, slow.revoked()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_finisher_returns_the_reserve_as_soon_as_the_pool_has_room() {
        let budget = BodyBudget::new(LIMITS);
        let (first, second) = (budget.open('a'), budget.open('b'));
        first.add(60).await.unwrap();
        second.add(40).await.unwrap();
        let slow = budget.open('c');
        slow.add(1).await.unwrap();
        let next = budget.open('d');
        let next = tokio::spawn(async move { next.add(50).await.map(|()| next) });
        tokio::task::yield_now().await;
        assert!(!next.is_finished(), "the reserve is lent");
        drop(second);
        let next = next.await.unwrap().unwrap();
        assert_eq!(budget.used(), 60 + 1 + 50);
        drop((first, slow, next));
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn time_before_a_body_holds_anything_does_not_count() {
        let budget = BodyBudget::new(LIMITS);
        let late = budget.open('a');
        tokio::time::sleep(10 * HOLD).await;
        late.add(60).await.unwrap();
        let other = budget.open('b');
        other.add(40).await.unwrap();
        other.complete();
        let finisher = budget.open('c');
        finisher.add(50).await.unwrap();
        finisher.complete();
        let newcomer = budget.open('d');
        let waiting = tokio::time::timeout(HOLD / 2, newcomer.add(10)).await;
        assert!(waiting.is_err(), "the pool is used up");
        assert!(
            tokio::time::timeout(Duration::ZERO, late.revoked()).await.is_err(),
            "it has held something only since"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_complete_body_keeps_what_it_holds_and_others_wait_no_longer_than_they_may() {
        let budget = BodyBudget::new(LIMITS);
        let complete: Vec<_> = "abc".chars().map(|key| budget.open(key)).collect();
        for held in &complete {
            held.add(50).await.unwrap();
            held.complete();
        }
        let started = Instant::now();
        assert_eq!(budget.open('d').add(10).await, Err(Exhausted::InTotal));
        assert_eq!(started.elapsed(), WAIT);
        drop(complete);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_at_its_share_waits_for_itself_while_others_go_on() {
        let budget = BodyBudget::new(LIMITS);
        let large: Vec<_> = (0..3).map(|_| receive(&budget, 'a', 5)).collect();
        tokio::time::sleep(Duration::from_millis(2500)).await;
        let other = receive(&budget, 'b', 3);
        let started = Instant::now();
        other.await.unwrap().unwrap();
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
        for body in large {
            body.await.unwrap().unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_stops_waiting_does_not_stand_in_front_of_others() {
        let budget = BodyBudget::new(LIMITS);
        let complete = budget.open('a');
        complete.add(60).await.unwrap();
        let finisher = budget.open('b');
        finisher.add(45).await.unwrap();
        let (large, small) = (budget.open('b'), budget.open('b'));
        assert!(tokio::time::timeout(Duration::from_secs(1), large.add(50)).await.is_err(), "nothing fits");
        assert_eq!(tokio::time::timeout(Duration::from_secs(1), small.add(5)).await, Ok(Ok(())));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_stops_waiting_holds_nothing() {
        let budget = BodyBudget::new(LIMITS);
        let complete: Vec<_> = "abc".chars().map(|key| budget.open(key)).collect();
        for held in &complete {
            held.add(50).await.unwrap();
        }
        let waiting = receive(&budget, 'd', 1);
        tokio::time::sleep(Duration::from_secs(1)).await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        drop(complete);
        assert_eq!(budget.used(), 0);
        assert_eq!(budget.lock().waiting.len(), 0);
    }
}
