//! The state of group commit, without I/O: which task does the work, and which tasks wait.
//!
//! Items are numbered in the order of submission. A waiter that finds no work in progress becomes the *leader*: it takes all
//! items submitted so far, does the work for every waiter, and reports the result. Items submitted meanwhile form the next
//! group. So the number of flushes depends on the speed of the disk, not on the number of commits, and a single commit
//! involves no other thread.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::task::Waker;

use crate::Error;

/// Number of a submitted item.
pub(crate) type Ticket = u64;

/// Submitted items and their waiters.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    pending: Vec<(Ticket, T)>,
    waiters: BTreeMap<Ticket, Waker>,
    /// Errors of refused items, until their waiters have collected them.
    refused: HashMap<Ticket, Error>,
    /// The last ticket assigned.
    last: Ticket,
    /// All items up to this one are settled or refused.
    settled: Ticket,
    /// How often items were refused.
    refusals: u64,
    is_led: bool,
    failure: Option<Error>,
    is_closed: bool,
    /// Tickets of items whose waiters are gone.
    abandoned: BTreeSet<Ticket>,
}

/// What the waiter for an item has to do.
#[derive(Debug)]
pub(crate) enum Turn<T> {
    /// Nothing: the item has taken effect.
    Settled,
    /// Nothing: the item was refused.
    Refused(Error),
    /// Process these items in order, then call [`Queue::report`].
    Lead(Vec<(Ticket, T)>),
    /// Wait for the waker to be called.
    Wait,
}

/// Why the work on a group ended early.
#[derive(Debug)]
pub(crate) enum Setback {
    /// The rest of the group had no effect. It is refused, along with everything submitted in the meantime.
    Refused(Error),
    /// The outcome is unknown, so every further item is refused.
    Failed(Error),
}

impl<T> Queue<T> {
    pub(crate) fn new() -> Self {
        Self {
            pending: Vec::new(),
            waiters: BTreeMap::new(),
            refused: HashMap::new(),
            last: 0,
            settled: 0,
            refusals: 0,
            is_led: false,
            failure: None,
            is_closed: false,
            abandoned: BTreeSet::new(),
        }
    }

    /// Refuses further items. Returns whether no work is pending.
    pub(crate) fn close(&mut self) -> bool {
        self.is_closed = true;
        !self.is_led && (self.pending.is_empty() || self.failure.is_some())
    }

    /// Checks whether an item may be submitted.
    ///
    /// # Errors
    /// The failure, if there was one; [`Error::Closed`]; [`Error::Superseded`] if an item was refused since
    /// [`refusals`](Self::refusals) returned `refusals`.
    pub(crate) fn check(&self, refusals: Option<u64>) -> Result<(), Error> {
        match &self.failure {
            Some(failure) => Err(failure.clone()),
            None if self.is_closed => Err(Error::Closed),
            None if refusals.is_some_and(|seen| seen != self.refusals) => Err(Error::Superseded),
            None => Ok(()),
        }
    }

    /// The number that the next item will have.
    pub(crate) fn next_ticket(&self) -> Ticket {
        self.last + 1
    }

    /// Adds an item, after a [check](Self::check).
    pub(crate) fn submit(&mut self, item: T) -> Ticket {
        self.last += 1;
        self.pending.push((self.last, item));
        self.last
    }

    /// The number of refusals. Values read from pending items are invalid if it has changed since.
    pub(crate) fn refusals(&self) -> u64 {
        self.refusals
    }

    /// The failure after which every item is refused, if any.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// What the waiter for this ticket has to do. For [`Turn::Wait`], `waker` is called when to ask again.
    pub(crate) fn turn(&mut self, ticket: Ticket, waker: &Waker) -> Turn<T> {
        if let Some(refusal) = self.refused.remove(&ticket) {
            return Turn::Refused(refusal);
        }
        if ticket <= self.settled {
            return Turn::Settled;
        }
        if let Some(failure) = &self.failure {
            return Turn::Refused(failure.clone());
        }
        if !self.is_led {
            return Turn::Lead(self.lead());
        }
        self.waiters.insert(ticket, waker.clone());
        Turn::Wait
    }

    /// Becomes the leader of all pending items, unless there is a leader already.
    pub(crate) fn lead_if_idle(&mut self) -> Option<Vec<(Ticket, T)>> {
        (!self.is_led && !self.pending.is_empty()).then(|| self.lead())
    }

    fn lead(&mut self) -> Vec<(Ticket, T)> {
        self.is_led = true;
        std::mem::take(&mut self.pending)
    }

    /// Ends the work on a group: everything up to `settled` took effect. Returns the wakers, to be called without a lock held,
    /// and the next group if no waiter is left that could lead it.
    pub(crate) fn report(
        &mut self,
        settled: Ticket,
        setback: Option<Setback>,
    ) -> (Vec<Waker>, Option<Vec<(Ticket, T)>>) {
        self.is_led = false;
        self.settled = self.settled.max(settled);
        let mut dropped = Vec::new();
        match setback {
            None => {}
            Some(Setback::Refused(error)) => {
                dropped = std::mem::take(&mut self.pending);
                let refused = (self.settled + 1..=self.last).filter(|ticket| !self.abandoned.contains(ticket));
                self.refused.extend(refused.map(|ticket| (ticket, error.clone())));
                self.settled = self.last;
                self.refusals += 1;
            }
            Some(Setback::Failed(error)) => {
                dropped = std::mem::take(&mut self.pending);
                self.failure = Some(error);
            }
        }
        self.abandoned = self.abandoned.split_off(&(self.settled + 1));
        let mut woken = if self.failure.is_some() {
            std::mem::take(&mut self.waiters)
        } else {
            let later = self.waiters.split_off(&(self.settled + 1));
            std::mem::replace(&mut self.waiters, later)
        };
        // Pending items need a leader: this one, or a waiter that is woken for it.
        let next = self.waiters.first_key_value().is_none().then(|| self.lead_if_idle()).flatten();
        if next.is_none() && !self.pending.is_empty() {
            woken.extend(self.waiters.pop_first());
        }
        // Under the lock: refused changes must leave the overlay before a reader can see the new number of refusals.
        drop(dropped);
        (woken.into_values().collect(), next)
    }

    /// Removes the waiter for an item. Returns the waiter to wake in its place, and whether the caller has to lead because there
    /// is none.
    pub(crate) fn abandon(&mut self, ticket: Ticket) -> (Option<Waker>, bool) {
        self.refused.remove(&ticket);
        self.waiters.remove(&ticket);
        if ticket > self.settled && self.failure.is_none() {
            self.abandoned.insert(ticket);
        }
        if self.is_led || self.pending.is_empty() {
            return (None, false);
        }
        let next = self.waiters.pop_first().map(|(_, waker)| waker);
        let needs_leader = next.is_none();
        (next, needs_leader)
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use super::*;

    fn full() -> Error {
        Error::Full { path: "disk".into() }
    }

    fn turn(queue: &mut Queue<char>, ticket: Ticket) -> Turn<char> {
        queue.turn(ticket, Waker::noop())
    }

    fn led(queue: &mut Queue<char>, ticket: Ticket) -> Vec<(Ticket, char)> {
        match turn(queue, ticket) {
            Turn::Lead(items) => items,
            other => panic!("{other:?}"),
        }
    }

    fn wake((woken, next): (Vec<Waker>, Option<Vec<(Ticket, char)>>)) {
        assert!(next.is_none());
        woken.into_iter().for_each(Waker::wake);
    }

    #[test]
    fn the_first_waiter_leads_all_pending_items_and_later_items_form_the_next_group() {
        let mut queue = Queue::new();
        let (a, b) = (queue.submit('a'), queue.submit('b'));
        assert_eq!(led(&mut queue, b), [(a, 'a'), (b, 'b')]);
        let c = queue.submit('c');
        assert!(matches!(turn(&mut queue, a), Turn::Wait));
        assert!(matches!(turn(&mut queue, c), Turn::Wait));
        wake(queue.report(b, None));
        assert!(matches!(turn(&mut queue, a), Turn::Settled));
        assert!(matches!(turn(&mut queue, b), Turn::Settled));
        assert_eq!(led(&mut queue, c), [(c, 'c')]);
    }

    #[test]
    fn a_refusal_also_refuses_everything_submitted_meanwhile() {
        let mut queue = Queue::new();
        let (a, b) = (queue.submit('a'), queue.submit('b'));
        let seen = queue.refusals();
        led(&mut queue, a);
        let c = queue.submit('c');
        wake(queue.report(a, Some(Setback::Refused(full()))));
        assert!(matches!(turn(&mut queue, a), Turn::Settled));
        assert!(matches!(turn(&mut queue, b), Turn::Refused(Error::Full { .. })));
        assert!(matches!(turn(&mut queue, c), Turn::Refused(Error::Full { .. })));
        assert!(matches!(queue.check(Some(seen)), Err(Error::Superseded)));
        queue.check(Some(queue.refusals())).unwrap();
        let e = queue.submit('e');
        assert_eq!(led(&mut queue, e), [(e, 'e')]);
    }

    #[test]
    fn after_a_failure_no_item_is_settled() {
        let mut queue = Queue::new();
        let (a, b) = (queue.submit('a'), queue.submit('b'));
        led(&mut queue, a);
        let failure = Error::Failed { reason: "broken".to_owned() };
        wake(queue.report(a, Some(Setback::Failed(failure))));
        assert!(matches!(turn(&mut queue, a), Turn::Settled));
        assert!(matches!(turn(&mut queue, b), Turn::Refused(Error::Failed { .. })));
        assert!(matches!(queue.check(None), Err(Error::Failed { .. })));
        assert!(queue.failure().is_some());
    }

    #[test]
    fn the_current_leader_also_takes_items_without_a_waiter() {
        let mut queue = Queue::new();
        let a = queue.submit('a');
        led(&mut queue, a);
        let b = queue.submit('b');
        assert_eq!(queue.report(a, None).1.unwrap(), [(b, 'b')]);
    }

    #[test]
    fn an_abandoned_wait_passes_the_lead_to_another_waiter() {
        let mut queue = Queue::new();
        let a = queue.submit('a');
        led(&mut queue, a);
        let (b, c) = (queue.submit('b'), queue.submit('c'));
        assert!(matches!(turn(&mut queue, b), Turn::Wait));
        assert!(matches!(turn(&mut queue, c), Turn::Wait));
        wake(queue.report(a, None));
        let (next, needs_leader) = queue.abandon(b);
        assert!(next.is_some() && !needs_leader, "the waiter for c leads");
        let (next, needs_leader) = queue.abandon(c);
        assert!(next.is_none() && needs_leader, "no waiter is left, but b and c are pending");
        assert_eq!(queue.lead_if_idle().unwrap(), [(b, 'b'), (c, 'c')]);
        assert!(queue.lead_if_idle().is_none());
    }
}
