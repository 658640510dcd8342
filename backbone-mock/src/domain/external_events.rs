//! External events: what the backbone reports to an identity in a sync run, because somebody else caused it.
//!
//! An event is in exactly one of four states: deliverable, attached to a sync run, handled (attached to a finalized run) or
//! dead (handling it failed too often). Appending one and changing its state needs the lock of its owner.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use transport::wire::{Address, ExternalEventId, FileId, SyncRunId, Timestamp, TokenId};

use super::page::{Page, PageRequest};
use crate::core::Core;
use crate::error::StoreError;
use crate::notifications::{Notification, NotificationName};
use crate::secrets::new_id;
use crate::store::{Key, Rest, STEP, Store, Table, Transaction};

/// Failures after which an event is not delivered any more.
pub(crate) const MAX_ERRORS: u32 = 3;
/// So many runs that end without a result count as one failure: an event that crashes its client is not delivered for ever, and
/// slow clients lose no events.
const CANCELLATIONS_PER_ERROR: u32 = 10;
/// The error code of an event that has no result in a finalization.
const NOT_PROCESSED: &str = "notProcessed";
/// The error code of events of cancelled runs.
const CANCELLED: &str = "syncRunCanceled";
/// Maximum events of one run. The answer to its finalization says that there are more.
pub(crate) const MAX_EVENTS_OF_RUN: usize = 1000;
/// Maximum dead events in one answer to operators.
pub(crate) const MAX_DEAD_SHOWN: usize = 1000;

const EVENTS: Table<ExternalEventRecord> = Table::new("event");
const DELIVERABLE: Table<()> = Table::new("event-deliverable");
const ATTACHED: Table<()> = Table::new("event-attached");
const DEAD: Table<()> = Table::new("event-dead");
const NEXT_INDEX: Table<u64> = Table::new("event-next");

/// An external event as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ExternalEventRecord {
    pub(crate) id: ExternalEventId,
    pub(crate) kind: String,
    pub(crate) index: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) payload: Value,
    /// Failures, oldest first; at most [`MAX_ERRORS`].
    pub(crate) errors: Vec<String>,
    cancellations: u32,
}

impl ExternalEventRecord {
    /// The number of failures.
    pub(crate) fn error_count(&self) -> u32 {
        u32::try_from(self.errors.len()).unwrap_or(u32::MAX)
    }
}

/// An external event to be appended: its type and what its payload is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NewExternalEvent {
    /// A token was locked after too many wrong passwords.
    TokenLocked(TokenId),
    /// A file was locked after a wrong ownership token.
    FileOwnershipLocked(FileId),
    /// A file has a new owner.
    FileOwnershipClaimed(FileId, Address),
}

impl NewExternalEvent {
    fn kind(&self) -> &'static str {
        match self {
            Self::TokenLocked(_) => "TokenLocked",
            Self::FileOwnershipLocked(_) => "FileOwnershipLocked",
            Self::FileOwnershipClaimed(..) => "FileOwnershipClaimed",
        }
    }

    fn payload(&self) -> Value {
        match self {
            Self::TokenLocked(token) => json!({ "tokenId": token }),
            Self::FileOwnershipLocked(file) => json!({ "fileId": file }),
            Self::FileOwnershipClaimed(file, owner) => json!({ "fileId": file, "newOwnerAddress": owner }),
        }
    }
}

/// Appends an event to the log of its owner, whose lock the transaction holds, and notifies the owner's devices.
pub(crate) async fn append(
    transaction: &mut Transaction<'_>,
    owner: &Address,
    event: &NewExternalEvent,
    now: Timestamp,
) -> Result<(), StoreError> {
    let counter = NEXT_INDEX.key().text(owner);
    let index = transaction.get(&counter).await?.unwrap_or(0);
    let event = ExternalEventRecord {
        id: new_id(),
        kind: event.kind().to_owned(),
        index,
        created_at: now,
        payload: event.payload(),
        errors: Vec::new(),
        cancellations: 0,
    };
    transaction.put(&counter, &(index + 1))?;
    transaction.put(&event_key(owner, index), &event)?;
    transaction.put(&DELIVERABLE.key().text(owner).number(index), &())?;
    transaction.notify(Notification::to_all(owner, NotificationName::ExternalEventCreated));
    Ok(())
}

/// The indices of the oldest deliverable events, at most [`MAX_EVENTS_OF_RUN`].
pub(crate) async fn deliverable(store: &Store, owner: &Address) -> Result<Vec<u64>, StoreError> {
    let prefix = DELIVERABLE.key().text(owner);
    let keys = store.keys(&prefix, &prefix, MAX_EVENTS_OF_RUN).await?;
    Ok(keys.iter().filter_map(index_of).collect())
}

/// Whether there are deliverable events that never failed. Reads events one by one until it finds one.
pub(crate) async fn has_fresh(store: &Store, owner: &Address) -> Result<bool, StoreError> {
    let is_fresh = |event: &ExternalEventRecord| event.errors.is_empty();
    Ok(find(store, owner, &DELIVERABLE, is_fresh).await?.is_some())
}

/// Attaches events to a run.
pub(crate) fn attach(
    transaction: &mut Transaction<'_>,
    owner: &Address,
    run: &SyncRunId,
    events: &[u64],
) -> Result<(), StoreError> {
    for index in events {
        transaction.delete(&DELIVERABLE.key().text(owner).number(*index));
        transaction.put(&ATTACHED.key().text(run).number(*index), &())?;
    }
    Ok(())
}

/// A page of the indices of the events attached to a run, in order.
pub(crate) async fn attached_page(store: &Store, run: &SyncRunId, page: PageRequest) -> Result<Page<u64>, StoreError> {
    let mut cut = page.cut();
    cut.extend(attached(store, run).await?);
    Ok(cut.finish())
}

/// The indices of the events attached to a run, in order: at most [`MAX_EVENTS_OF_RUN`].
async fn attached(store: &Store, run: &SyncRunId) -> Result<Vec<u64>, StoreError> {
    let prefix = ATTACHED.key().text(run);
    let mut indices = Vec::new();
    let visit = |rest: &Rest| {
        indices.extend(index_of(rest));
        ControlFlow::Continue(())
    };
    store.walk_keys(&prefix, &prefix, visit).await?;
    Ok(indices)
}

/// Reads an event.
pub(crate) async fn read(
    store: &Store,
    owner: &Address,
    index: u64,
) -> Result<Option<ExternalEventRecord>, StoreError> {
    store.get(&event_key(owner, index)).await
}

/// How a run ended.
pub(crate) enum Ending<'r> {
    /// With results. An event without a result counts as failed, a result without an error code as success.
    Results(&'r (dyn Fn(&ExternalEventId) -> Option<Option<String>> + Sync)),
    /// Without results.
    Cancelled,
}

/// Detaches the events of a run that were not handled. Returns those that are deliverable again.
pub(crate) async fn detach_unhandled(
    transaction: &mut Transaction<'_>,
    owner: &Address,
    run: &SyncRunId,
    ending: Ending<'_>,
) -> Result<Vec<u64>, StoreError> {
    let mut offered_again = Vec::new();
    for index in attached(transaction.committed(), run).await? {
        let key = event_key(owner, index);
        let Some(mut event) = transaction.get(&key).await? else { continue };
        if !note_ending(&mut event, &ending) {
            continue;
        }
        transaction.delete(&ATTACHED.key().text(run).number(index));
        if event.error_count() < MAX_ERRORS {
            transaction.put(&DELIVERABLE.key().text(owner).number(index), &())?;
            offered_again.push(index);
        } else {
            tracing::warn!(event = %event.id, "an external event is not delivered any more, because handling it failed too often");
            transaction.put(&DEAD.key().text(owner).number(index), &())?;
        }
        transaction.put(&key, &event)?;
    }
    Ok(offered_again)
}

/// Records in the event how its run ended. Returns whether it is to be detached.
fn note_ending(event: &mut ExternalEventRecord, ending: &Ending<'_>) -> bool {
    match ending {
        Ending::Results(result) => {
            let error = match result(&event.id) {
                Some(None) => return false,
                Some(Some(error)) => error,
                None => NOT_PROCESSED.to_owned(),
            };
            event.errors.push(error);
        }
        Ending::Cancelled => {
            event.cancellations += 1;
            if event.cancellations == CANCELLATIONS_PER_ERROR {
                event.cancellations = 0;
                event.errors.push(CANCELLED.to_owned());
            }
        }
    }
    true
}

/// Removes the handled events of a run.
pub(crate) async fn remove_handled(
    transaction: &mut Transaction<'_>,
    owner: &Address,
    run: &SyncRunId,
) -> Result<(), StoreError> {
    for index in attached(transaction.committed(), run).await? {
        transaction.delete(&ATTACHED.key().text(run).number(index));
        transaction.delete(&event_key(owner, index));
    }
    Ok(())
}

/// The oldest dead events, at most [`MAX_DEAD_SHOWN`].
pub(crate) async fn dead(store: &Store, owner: &Address) -> Result<Vec<ExternalEventRecord>, StoreError> {
    let prefix = DEAD.key().text(owner);
    let mut events = Vec::new();
    for rest in store.keys(&prefix, &prefix, MAX_DEAD_SHOWN).await? {
        if let Some(index) = index_of(&rest) {
            events.extend(read(store, owner, index).await?);
        }
    }
    Ok(events)
}

/// Makes a dead event deliverable again and removes its failures. Returns whether it was dead.
pub(crate) async fn requeue(core: &Core, owner: &Address, id: &ExternalEventId) -> Result<bool, StoreError> {
    let mut transaction = core.store.begin();
    transaction.lock_identities(&[owner]).await?;
    let Some(mut event) = find(&core.store, owner, &DEAD, |event| event.id == *id).await? else { return Ok(false) };
    event.errors.clear();
    transaction.delete(&DEAD.key().text(owner).number(event.index));
    transaction.put(&DELIVERABLE.key().text(owner).number(event.index), &())?;
    transaction.put(&event_key(owner, event.index), &event)?;
    transaction.notify(Notification::to_all(owner, NotificationName::ExternalEventCreated));
    transaction.commit().await?;
    Ok(true)
}

/// Removes the events of an identity. The transaction holds the lock of the identity.
pub(crate) async fn remove_all(transaction: &mut Transaction<'_>, owner: &Address) -> Result<(), StoreError> {
    let mut indices = Vec::new();
    let prefix = EVENTS.key().text(owner);
    let visit = |rest: &Rest| {
        indices.extend(index_of(rest));
        ControlFlow::Continue(())
    };
    transaction.committed().walk_keys(&prefix, &prefix, visit).await?;
    for index in indices {
        transaction.delete(&event_key(owner, index));
        transaction.delete(&DELIVERABLE.key().text(owner).number(index));
        transaction.delete(&DEAD.key().text(owner).number(index));
    }
    transaction.delete(&NEXT_INDEX.key().text(owner));
    Ok(())
}

fn event_key(owner: &Address, index: u64) -> Key<ExternalEventRecord> {
    EVENTS.key().text(owner).number(index)
}

/// The oldest event of an index that matches. One event and the keys of one step are in memory at a time.
async fn find(
    store: &Store,
    owner: &Address,
    index: &Table<()>,
    fits: impl Fn(&ExternalEventRecord) -> bool,
) -> Result<Option<ExternalEventRecord>, StoreError> {
    let prefix = index.key().text(owner);
    let mut from = prefix.clone();
    loop {
        let step = store.keys(&prefix, &from, STEP).await?;
        for index in step.iter().filter_map(index_of) {
            if let Some(event) = read(store, owner, index).await?.filter(&fits) {
                return Ok(Some(event));
            }
        }
        match step.last() {
            Some(last) => from = prefix.after(last),
            None => return Ok(None),
        }
        tokio::task::yield_now().await;
    }
}

fn index_of(rest: &Rest) -> Option<u64> {
    rest.parts().number()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const RUN: &str = "SYRaaaaaaaaaaaaaaaaa";

    async fn core_with_events(owner: &Address, count: usize) -> Core {
        let core = Core::in_memory(Config::new("")).await;
        let mut transaction = core.store.begin();
        transaction.lock_identities(&[owner]).await.unwrap();
        for _ in 0..count {
            append(&mut transaction, owner, &NewExternalEvent::TokenLocked(new_id()), core.now()).await.unwrap();
        }
        transaction.commit().await.unwrap();
        core
    }

    fn owner() -> Address {
        format!("did:e:localhost:dids:{}", "a".repeat(22)).parse().unwrap()
    }

    #[tokio::test]
    async fn a_run_gets_no_more_events_than_its_bound_and_the_next_one_gets_the_rest() {
        let (owner, run) = (owner(), RUN.parse().unwrap());
        let core = core_with_events(&owner, MAX_EVENTS_OF_RUN + 1).await;
        let offered = deliverable(&core.store, &owner).await.unwrap();
        assert_eq!(offered, (0..MAX_EVENTS_OF_RUN as u64).collect::<Vec<_>>());
        let mut transaction = core.store.begin();
        attach(&mut transaction, &owner, &run, &offered).unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(deliverable(&core.store, &owner).await.unwrap(), [MAX_EVENTS_OF_RUN as u64]);
        assert!(has_fresh(&core.store, &owner).await.unwrap(), "its device learns that there is more");
        let page = attached_page(&core.store, &run, PageRequest::new(Some(2), Some(200)).unwrap()).await.unwrap();
        assert_eq!(page.items, (200..400).collect::<Vec<_>>());
        assert_eq!(page.pagination.unwrap().total_records, MAX_EVENTS_OF_RUN as u64);
    }

    #[tokio::test]
    async fn a_search_goes_on_behind_its_first_step() {
        let owner = owner();
        let core = core_with_events(&owner, STEP + 1).await;
        let last = |event: &ExternalEventRecord| event.index == STEP as u64;
        assert!(find(&core.store, &owner, &DELIVERABLE, last).await.unwrap().is_some());
        assert!(find(&core.store, &owner, &DELIVERABLE, |_| false).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn operators_are_shown_a_bounded_number_of_dead_events() {
        let owner = owner();
        let core = core_with_events(&owner, MAX_DEAD_SHOWN + 1).await;
        let mut transaction = core.store.begin();
        for index in 0..=MAX_DEAD_SHOWN as u64 {
            transaction.put(&DEAD.key().text(&owner).number(index), &()).unwrap();
        }
        transaction.commit().await.unwrap();
        assert_eq!(dead(&core.store, &owner).await.unwrap().len(), MAX_DEAD_SHOWN);
        let last = read(&core.store, &owner, MAX_DEAD_SHOWN as u64).await.unwrap().unwrap();
        assert!(
            requeue(&core, &owner, &last.id).await.unwrap(),
            "dead events beyond the maximum can be queued again, too"
        );
    }
}
