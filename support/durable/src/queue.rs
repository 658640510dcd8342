//! Who writes, who waits: the state of a commit group, without input or output.
//!
//! Items are numbered in the order in which they are submitted. Whoever waits for one and finds nobody at work *leads*: it
//! takes all that was submitted so far, does the work for everybody, and reports how far it came. Meanwhile further items
//! gather for the next leader. So the number of synchronisations follows the speed of the disk, not the number of commits,
//! and a commit that nobody else accompanies needs no other thread.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::task::Waker;

use crate::Error;

/// Number of a submitted item.
pub(crate) type Ticket = u64;

/// Items that were submitted, and who waits for them.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    pending: Vec<(Ticket, T)>,
    waiters: BTreeMap<Ticket, Waker>,
    /// Why items were refused, until their owners have been told.
    refused: HashMap<Ticket, Error>,
    /// The last number that was given out.
    last: Ticket,
    /// All items up to this one are settled or refused.
    settled: Ticket,
    /// How often items were refused.
    refusals: u64,
    is_led: bool,
    failure: Option<Error>,
    is_closed: bool,
    /// Items whose owners do not wait any more.
    abandoned: BTreeSet<Ticket>,
}

/// What whoever waits for an item has to do.
#[derive(Debug)]
pub(crate) enum Turn<T> {
    /// Nothing: it is settled.
    Settled,
    /// Nothing: it was refused.
    Refused(Error),
    /// Work through these items, in order, and [report](Queue::report).
    Lead(Vec<(Ticket, T)>),
    /// Wait to be woken.
    Wait,
}

/// How the work on a group ended early.
#[derive(Debug)]
pub(crate) enum Setback {
    /// The rest of the group was not begun. It is refused, with everything that was submitted in the meantime.
    Refused(Error),
    /// Nothing can be done any more.
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

    /// Refuses everything from now on. Returns whether nothing is under way.
    pub(crate) fn close(&mut self) -> bool {
        self.is_closed = true;
        !self.is_led && (self.pending.is_empty() || self.failure.is_some())
    }

    /// Whether something may be submitted.
    ///
    /// # Errors
    /// The failure, if there was one; [`Error::Superseded`] if something was refused since `refusals` was asked for.
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

    /// How often items were refused. What was read from refused items is void.
    pub(crate) fn refusals(&self) -> u64 {
        self.refusals
    }

    /// Why nothing can be done any more, if so.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// What to do for the item with this number. `waker` is called when to ask again.
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

    /// Takes all pending items if nobody is at work on others.
    pub(crate) fn lead_if_idle(&mut self) -> Option<Vec<(Ticket, T)>> {
        (!self.is_led && !self.pending.is_empty()).then(|| self.lead())
    }

    fn lead(&mut self) -> Vec<(Ticket, T)> {
        self.is_led = true;
        std::mem::take(&mut self.pending)
    }

    /// Ends the work on a group: everything up to `settled` took effect. Returns whom to wake without holding a lock, and what
    /// to work on next if nobody waits who could lead.
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
        // Somebody has to lead the next group.
        let next = self.waiters.first_key_value().is_none().then(|| self.lead_if_idle()).flatten();
        if next.is_none() && !self.pending.is_empty() {
            woken.extend(self.waiters.pop_first());
        }
        // Under the lock, so that nobody sees traces of what was refused with the new number of refusals.
        drop(dropped);
        (woken.into_values().collect(), next)
    }

    /// Forgets whoever waited for an item. Returns who has to be woken instead, and whether somebody has to lead who does not
    /// wait.
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
        let nobody = next.is_none();
        (next, nobody)
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
    fn the_first_to_wait_leads_everything_and_what_comes_later_waits_for_the_next_group() {
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
    fn a_refusal_takes_everything_along_that_may_build_on_what_was_refused() {
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
    fn after_a_failure_nothing_is_settled_any_more() {
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
    fn what_nobody_waits_for_is_led_by_whoever_leads_already() {
        let mut queue = Queue::new();
        let a = queue.submit('a');
        led(&mut queue, a);
        let b = queue.submit('b');
        assert_eq!(queue.report(a, None).1.unwrap(), [(b, 'b')]);
    }

    #[test]
    fn whoever_gives_up_hands_the_lead_on() {
        let mut queue = Queue::new();
        let a = queue.submit('a');
        led(&mut queue, a);
        let (b, c) = (queue.submit('b'), queue.submit('c'));
        assert!(matches!(turn(&mut queue, b), Turn::Wait));
        assert!(matches!(turn(&mut queue, c), Turn::Wait));
        wake(queue.report(a, None));
        let (next, nobody) = queue.abandon(b);
        assert!(next.is_some() && !nobody, "the one who waits for c leads");
        let (next, nobody) = queue.abandon(c);
        assert!(next.is_none() && nobody, "nobody waits, but b and c were submitted");
        assert_eq!(queue.lead_if_idle().unwrap(), [(b, 'b'), (c, 'c')]);
        assert!(queue.lead_if_idle().is_none());
    }
}
