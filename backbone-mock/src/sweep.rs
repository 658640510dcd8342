//! Removing what cannot be read any more: at the start, and at intervals.
//!
//! Expired records are kept for a while: some can still be read by their owners, and the errors stay the same. The index of
//! expiries lists them in order, so the cost of a sweep depends on what it removes only.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use transport::wire::Timestamp;

use crate::core::Core;
use crate::domain::{EXPIRIES, REMOVALS, challenges, datawallet, expiring, files, idle, resumable, sync_runs, tokens};
use crate::error::{FirstError, StoreError, WithCauses};
use crate::store::{Rest, STEP, Table};

/// How long expired records are kept.
const RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What a sweep removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Challenges, tokens, files, sync runs and unfinished uploads.
    pub records: usize,
    /// Datawallet modifications that newer ones replaced.
    pub modifications: usize,
    /// Blobs that no record names.
    pub orphans: usize,
    /// Unused identities of guests that own nothing.
    pub identities: usize,
}

/// Sweeps at intervals until `stop` turns true or its sender is dropped.
pub(crate) async fn run(core: Arc<Core>, interval: Duration, mut stop: watch::Receiver<bool>) {
    loop {
        match sweep(&core).await {
            Ok(swept) => tracing::info!(?swept, "removed expired records"),
            Err(error) => tracing::error!(error = %WithCauses(&error), "the sweep failed"),
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(interval) => {}
        }
    }
}

/// Removes everything that is due. An error with one record does not keep the others from being removed.
///
/// # Errors
/// The first error.
pub(crate) async fn sweep(core: &Core) -> Result<Swept, StoreError> {
    // Includes what is due in this very millisecond.
    let now = core.now().saturating_add(Duration::from_millis(1));
    let before = now.saturating_sub(RETENTION);
    let removed = remove_before(core, &REMOVALS, now).await;
    let expired = remove_before(core, &EXPIRIES, before).await;
    let modifications = compact_datawallets(core, before).await;
    let identities = idle::remove_unused(core).await;
    let orphans = core.store.sweep_orphans().await;
    core.store.maintain();
    Ok(Swept {
        records: removed? + expired?,
        modifications: modifications?,
        identities: identities?,
        orphans: orphans?,
    })
}

/// Goes in steps: each record is a transaction of its own, and at most [`STEP`] keys are in memory.
async fn remove_before(core: &Core, index: &Table<()>, before: Timestamp) -> Result<usize, StoreError> {
    let (prefix, until) = (index.key(), index.key().time(before));
    let (mut from, mut removed, mut errors) = (prefix.clone(), 0, FirstError::default());
    loop {
        let step = core.store.keys_before(&prefix, &from, &until, STEP).await?;
        for (expired_at, kind, id) in step.iter().filter_map(expiry) {
            let result = remove(core, index, expired_at, kind, id).await;
            removed += usize::from(errors.note(result, format_args!("the {kind} {id}")).is_some());
        }
        match step.last() {
            Some(last) => from = prefix.after(last),
            None => return errors.or(removed),
        }
    }
}

/// Time, kind and id in the rest of a key of [`EXPIRIES`] or [`REMOVALS`].
fn expiry(rest: &Rest) -> Option<(Timestamp, &str, &str)> {
    let mut parts = rest.parts();
    Some((parts.time()?, parts.text()?, parts.text()?))
}

async fn remove(core: &Core, index: &Table<()>, expired_at: Timestamp, kind: &str, id: &str) -> Result<(), StoreError> {
    let mut transaction = core.store.begin();
    transaction.lock_records(&[id]).await?;
    transaction.delete(&index.key().time(expired_at).text(kind).text(id));
    match kind {
        expiring::CHALLENGE => {
            if let Ok(id) = id.parse() {
                challenges::remove(&mut transaction, &id).await?;
            }
        }
        expiring::USED_CHALLENGE => {
            if let Ok(id) = id.parse() {
                challenges::forget_use(&mut transaction, &id);
            }
        }
        expiring::EMPTY_TOKEN => {
            if let Ok(id) = id.parse() {
                tokens::remove_empty(&mut transaction, &id).await?;
            }
        }
        expiring::FILE => {
            if let Ok(id) = id.parse() {
                files::remove(&mut transaction, &id).await?;
            }
        }
        expiring::SYNC_RUN => {
            if let Ok(id) = id.parse() {
                sync_runs::remove(&mut transaction, &id).await?;
            }
        }
        expiring::TOKEN => {
            if let Ok(id) = id.parse() {
                tokens::remove(&mut transaction, &id, expired_at).await?;
            }
        }
        expiring::UPLOAD => {
            if let Ok(id) = id.parse() {
                resumable::remove(&mut transaction, &id, expired_at).await?;
            }
        }
        unknown => tracing::warn!(kind = unknown, "removed an expiry of unknown kind"),
    }
    transaction.commit().await
}

async fn compact_datawallets(core: &Core, before: Timestamp) -> Result<usize, StoreError> {
    let (mut removed, mut last, mut errors) = (0, None, FirstError::default());
    loop {
        let owners = datawallet::owners(&core.store, last.as_ref()).await?;
        for owner in &owners {
            let compacted = datawallet::compact(core, owner, before).await;
            removed += errors.note(compacted, format_args!("what is obsolete of {owner}")).unwrap_or(0);
        }
        match owners.into_iter().next_back() {
            Some(owner) => last = Some(owner),
            None => return errors.or(removed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[tokio::test]
    async fn a_sweep_removes_more_than_one_step() {
        let core = Core::in_memory(Config::new("")).await;
        let long_ago = core.now().saturating_sub(2 * RETENTION);
        let mut transaction = core.store.begin();
        for number in 0..=STEP {
            let id = format!("CHL{number:017}");
            transaction.put(&EXPIRIES.key().time(long_ago).text(expiring::CHALLENGE).text(id), &()).unwrap();
        }
        transaction.put(&EXPIRIES.key().time(core.now()).text(expiring::CHALLENGE).text("CHLlater"), &()).unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(sweep(&core).await.unwrap().records, STEP + 1);
        assert_eq!(sweep(&core).await.unwrap().records, 0);
    }

    #[tokio::test]
    async fn an_error_does_not_keep_other_records_from_being_removed() {
        let core = Core::in_memory(Config::new("")).await;
        let long_ago = core.now().saturating_sub(2 * RETENTION);
        let (damaged, other) = ("CHLaaaaaaaaaaaaaaaaa", "CHLbbbbbbbbbbbbbbbbb");
        let mut transaction = core.store.begin();
        transaction.put(&Table::<u8>::new("challenge").key().text(damaged), &1).unwrap();
        for id in [damaged, other] {
            transaction.put(&EXPIRIES.key().time(long_ago).text(expiring::CHALLENGE).text(id), &()).unwrap();
        }
        transaction.put(&REMOVALS.key().time(long_ago).text(expiring::FILE).text("FILgone"), &()).unwrap();
        transaction.commit().await.unwrap();
        sweep(&core).await.unwrap_err();
        assert_eq!(expired_records(&core).await, 1, "the damaged one stays");
        let removals = core.store.keys(&REMOVALS.key(), &REMOVALS.key(), 10).await.unwrap();
        assert_eq!(removals.len(), 0);
    }

    async fn expired_records(core: &Core) -> usize {
        core.store
            .keys_before(&EXPIRIES.key(), &EXPIRIES.key(), &EXPIRIES.key().time(core.now()), 10)
            .await
            .unwrap()
            .len()
    }

    async fn leave_something_expired(core: &Core) {
        let long_ago = core.now().saturating_sub(2 * RETENTION);
        let mut transaction = core.store.begin();
        transaction.put(&EXPIRIES.key().time(long_ago).text(expiring::FILE).text("FILgone"), &()).unwrap();
        transaction.commit().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn sweeps_happen_at_the_start_and_at_each_interval() {
        let core = Arc::new(Core::in_memory(Config::new("")).await);
        let interval = core.config.sweep_interval.unwrap();
        assert_eq!(interval, Duration::from_secs(60 * 60));
        let (stop, stopped) = watch::channel(false);
        leave_something_expired(&core).await;
        let sweeping = tokio::spawn(run(core.clone(), interval, stopped));
        let began = tokio::time::Instant::now();
        while expired_records(&core).await > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(began.elapsed() < interval, "the first one does not wait");
        leave_something_expired(&core).await;
        while expired_records(&core).await > 0 {
            tokio::time::sleep(interval).await;
        }
        stop.send_replace(true);
        sweeping.await.unwrap();
    }
}
