//! Group commit: one waiting task runs the work for all items in a [`Queue`].

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::queue::{Queue, Setback, Ticket, Turn};
use crate::sync::{Mutex, MutexGuard};
use crate::{Error, Result};

/// Interval at which [`Group::close`] checks whether all work is done.
#[cfg(not(feature = "loom"))]
const CLOSING_PAUSE: std::time::Duration = std::time::Duration::from_millis(2);

/// The work on a group.
pub(crate) trait Work: Send + Sync + 'static {
    /// What is submitted.
    type Item: Send;

    /// Processes items in order. Returns the ticket of the last one that took effect, and the reason if that is not the last item.
    /// `before` is the ticket to return if none took effect.
    fn run(&self, items: &[(Ticket, Self::Item)], before: Ticket) -> (Ticket, Option<Setback>);

    /// Whether the work takes too long to run on a thread of the async runtime.
    fn is_slow(&self, items: &[(Ticket, Self::Item)]) -> bool;
}

/// A queue with its work.
pub(crate) struct Group<W: Work> {
    queue: Mutex<Queue<W::Item>>,
    work: W,
}

impl<W: Work> Group<W> {
    pub(crate) fn new(work: W) -> Arc<Self> {
        Arc::new(Self { queue: Mutex::new(Queue::new()), work })
    }

    pub(crate) fn work(&self) -> &W {
        &self.work
    }

    /// Submits the item that `prepare` returns, if any, after calling `accepted` with it and its ticket. No other item is
    /// submitted between the two calls; the leader may run meanwhile.
    ///
    /// # Errors
    /// Like [`Queue::check`]; neither function is called then.
    pub(crate) fn submit(
        self: &Arc<Self>,
        refusals: Option<u64>,
        prepare: impl FnOnce() -> Option<W::Item>,
        accepted: impl FnOnce(&mut W::Item, Ticket),
    ) -> Result<Option<Settled<W>>> {
        let mut queue = self.queue();
        queue.check(refusals)?;
        let Some(mut item) = prepare() else { return Ok(None) };
        accepted(&mut item, queue.next_ticket());
        let ticket = queue.submit(item);
        Ok(Some(Settled { group: self.clone(), ticket: Some(ticket) }))
    }

    /// Refuses further items and waits for the pending ones. Blocks the thread.
    #[cfg(not(feature = "loom"))]
    pub(crate) fn close(&self) {
        loop {
            let (is_idle, items) = {
                let mut queue = self.queue();
                (queue.close(), queue.lead_if_idle())
            };
            match items {
                // Their waiters are gone.
                Some(items) => self.lead(items),
                None if is_idle => return,
                None => std::thread::sleep(CLOSING_PAUSE),
            }
        }
    }

    #[cfg(feature = "loom")]
    pub(crate) fn close(&self) {}

    /// How often items were refused.
    pub(crate) fn refusals(&self) -> u64 {
        self.queue().refusals()
    }

    /// The failure after which every item is refused, if any.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.queue().failure().cloned()
    }

    /// Processes a group, then any items that have no waiter left to lead them.
    fn lead(&self, items: Vec<(Ticket, W::Item)>) {
        let mut next = Some(items);
        while let Some(items) = next {
            let before = items.first().map_or(0, |(ticket, _)| ticket - 1);
            let outcome = catch_unwind(AssertUnwindSafe(|| self.work.run(&items, before)));
            // Items may hold locks: release those before waking the waiters.
            drop(items);
            // After a panic it is unknown which items took effect.
            let after_panic =
                |_| (before, Some(Setback::Failed(Error::Failed { reason: "internal error, see the log".to_owned() })));
            let (settled, setback) = outcome.unwrap_or_else(after_panic);
            let (woken, orphans) = self.queue().report(settled, setback);
            woken.into_iter().for_each(Waker::wake);
            next = orphans;
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue<W::Item>> {
        self.queue.lock().expect("no code panics while it holds the lock")
    }
}

/// Resolves when an item has taken effect or was refused.
///
/// Dropping it does not withdraw the item.
#[must_use = "the outcome is unknown until it resolves"]
pub(crate) struct Settled<W: Work> {
    group: Arc<Group<W>>,
    /// `None` once it has resolved.
    ticket: Option<Ticket>,
}

impl<W: Work> Future for Settled<W> {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(ticket) = self.ticket else { return Poll::Ready(Ok(())) };
        loop {
            let turn = self.group.queue().turn(ticket, context.waker());
            match turn {
                Turn::Settled => {
                    self.ticket = None;
                    return Poll::Ready(Ok(()));
                }
                Turn::Refused(error) => {
                    self.ticket = None;
                    return Poll::Ready(Err(error));
                }
                Turn::Wait => return Poll::Pending,
                Turn::Lead(items) => lead_here_or_elsewhere(&self.group, items),
            }
        }
    }
}

/// On a fast disk, a flush takes less time than switching to another thread and back. On a slow one, it would block other
/// tasks of the runtime.
fn lead_here_or_elsewhere<W: Work>(group: &Arc<Group<W>>, items: Vec<(Ticket, W::Item)>) {
    let lead = Lead { group: group.clone(), items };
    #[cfg(not(feature = "loom"))]
    if group.work.is_slow(&lead.items)
        && let Ok(runtime) = tokio::runtime::Handle::try_current()
    {
        // It reports through the queue, so nobody has to join it.
        drop(runtime.spawn_blocking(move || drop(lead)));
        return;
    }
    drop(lead);
}

/// The work on a group, done on drop: a runtime that shuts down drops blocking tasks without running them, and all waiters
/// would wait forever.
struct Lead<W: Work> {
    group: Arc<Group<W>>,
    items: Vec<(Ticket, W::Item)>,
}

impl<W: Work> Drop for Lead<W> {
    fn drop(&mut self) {
        self.group.lead(std::mem::take(&mut self.items));
    }
}

impl<W: Work> Drop for Settled<W> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let (next, needs_leader) = self.group.queue().abandon(ticket);
        if let Some(waker) = next {
            waker.wake();
        }
        if needs_leader {
            let items = self.group.queue().lead_if_idle();
            if let Some(items) = items {
                lead_here_or_elsewhere(&self.group, items);
            }
        }
    }
}

#[cfg(all(test, feature = "loom"))]
mod interleavings {
    //! All thread interleavings, up to loom's bounds.

    use loom::future::block_on;
    use loom::thread;

    use super::*;

    /// Records the items that took effect; refuses [`REFUSED`].
    struct Noted(Mutex<Vec<u32>>);

    const REFUSED: u32 = 100;

    impl Work for Noted {
        type Item = u32;

        fn run(&self, items: &[(Ticket, u32)], before: Ticket) -> (Ticket, Option<Setback>) {
            let mut noted = self.0.lock().unwrap();
            let mut settled = before;
            for (ticket, item) in items {
                if *item == REFUSED {
                    return (settled, Some(Setback::Refused(Error::Superseded)));
                }
                noted.push(*item);
                settled = *ticket;
            }
            (settled, None)
        }

        fn is_slow(&self, _: &[(Ticket, u32)]) -> bool {
            false
        }
    }

    fn submit(group: &Arc<Group<Noted>>, item: u32) -> Settled<Noted> {
        group.submit(None, || Some(item), |_, _| {}).unwrap().unwrap()
    }

    fn is_noted(group: &Group<Noted>, item: u32) -> bool {
        group.work().0.lock().unwrap().contains(&item)
    }

    #[test]
    fn an_acknowledged_commit_has_taken_effect() {
        loom::model(|| {
            let group = Group::new(Noted(Mutex::new(Vec::new())));
            let threads: Vec<_> = (0..2)
                .map(|item| {
                    let group = group.clone();
                    thread::spawn(move || {
                        block_on(submit(&group, item)).unwrap();
                        assert!(is_noted(&group, item));
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }

    #[test]
    fn a_cancelled_wait_neither_loses_the_commit_nor_blocks_others() {
        loom::model(|| {
            let group = Group::new(Noted(Mutex::new(Vec::new())));
            let theirs = group.clone();
            let other = thread::spawn(move || drop(submit(&theirs, 1)));
            block_on(submit(&group, 2)).unwrap();
            assert!(is_noted(&group, 2));
            other.join().unwrap();
            assert!(is_noted(&group, 1));
        });
    }

    #[test]
    fn a_refused_commit_is_reported_and_has_no_effect() {
        loom::model(|| {
            let group = Group::new(Noted(Mutex::new(Vec::new())));
            let theirs = group.clone();
            let other = thread::spawn(move || assert!(block_on(submit(&theirs, REFUSED)).is_err()));
            let settled = submit(&group, 2);
            let outcome = block_on(settled);
            assert_eq!(outcome.is_ok(), is_noted(&group, 2));
            other.join().unwrap();
        });
    }
}
