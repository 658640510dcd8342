//! What happens without a request: uses are written behind their answers, and tokens whose time is long over are removed.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};
use transport::wire::Timestamp;

use super::record::{self, TOKENS, TokenRecord};
use super::{ACCESS_DELAY, Notify};
use crate::core::Core;
use crate::event::Event;
use crate::storage::records::Edit;
use crate::storage::{ContentUse, StorageId};
use crate::store::{Batch, StoreError, View};

/// Tokens that are looked at or removed at a time.
const PAGE: usize = 128;

/// Longest time between two tries to write uses, as long as they fail.
const MAX_ACCESS_DELAY: Duration = Duration::from_secs(60);

/// A content is had by a token. That is on disk after [`ACCESS_DELAY`], and known here at once. `is_first` says whether the request is the
/// first one of its use: later ones of a claim, and ranges from elsewhere than the beginning, are none of their own.
pub(crate) fn note_use(
    core: &Arc<Core>,
    token: &TokenRecord,
    used_as: ContentUse,
    uncounted: u64,
    is_first: bool,
) -> Result<(), StoreError> {
    let now = core.clock.now();
    let stored = || record::access_of(&core.store.view(), token.number);
    let granularity = core.config.storage.access_granularity;
    let (before, is_first_pending) = core.token_accesses.note(token.number, now, granularity, uncounted, stored)?;
    if is_first_pending {
        write_later(core);
    }
    let is_told = match token.terms.notify {
        Notify::None => false,
        Notify::First => before.is_none(),
        Notify::Each => is_first,
    };
    if is_told {
        core.events.publish(Event::FileTokenUsed {
            token: StorageId::stored(&token.id),
            bucket: StorageId::stored(&token.bucket_id),
            file: StorageId::stored(&token.file_id),
            used_as,
        });
    }
    Ok(())
}

fn write_later(core: &Arc<Core>) {
    let weak = Arc::downgrade(core);
    let write = async move {
        let mut delay = ACCESS_DELAY;
        loop {
            tokio::time::sleep(delay).await;
            let Some(core) = weak.upgrade() else { return };
            match flush(&core).await {
                Ok(()) if core.token_accesses.all().is_empty() => return,
                Ok(()) => delay = ACCESS_DELAY,
                Err(error) if is_final(&core, &error) => {
                    warn!(%error, "uses of file tokens are not written any more");
                    return;
                }
                Err(error) => {
                    if delay == ACCESS_DELAY {
                        warn!(%error, "uses of file tokens are not written yet");
                    }
                    delay = longer(delay);
                }
            }
        }
    };
    drop(core.background.run(write));
}

/// Whether the store takes nothing any more.
fn is_final(core: &Core, error: &StoreError) -> bool {
    core.store.failure().is_some() || matches!(error, StoreError::Disk(durable::Error::Closed))
}

/// How long the next try waits after one that has failed.
fn longer(delay: Duration) -> Duration {
    (delay * 2).min(MAX_ACCESS_DELAY)
}

/// Writes what was noted. What cannot be written stays noted.
pub(crate) async fn flush(core: &Core) -> Result<(), StoreError> {
    if core.token_accesses.all().is_empty() {
        return Ok(());
    }
    let write = |view: &View<'_>| {
        // Not before it is this change's turn: what an earlier one has stored of a token ([`record::carry`]) may be newer than what was noted till then.
        let pending = core.token_accesses.all();
        let mut batch = Batch::new();
        for (number, access) in &pending {
            match record::at(view, *number) {
                Ok(Some(_)) => record::put_access(&mut batch, *number, access)?,
                // It was deleted meanwhile.
                Ok(None) => {}
                // The uses of all others are written nevertheless.
                Err(error) if error.is_damaged() => {
                    warn!(number, %error, "a use of a file token that cannot be read is lost")
                }
                Err(error) => return Err(error),
            }
        }
        Ok::<_, StoreError>((batch, pending))
    };
    let written = core.store.change(write).await?;
    core.token_accesses.written(&written);
    Ok(())
}

/// Removes tokens that have been expired or revoked for longer than they are kept.
pub(crate) async fn sweep(core: &Core) -> Result<(), StoreError> {
    let now = core.clock.now();
    let mut from = TOKENS.to_owned();
    let mut swept = 0;
    loop {
        let names = core.store.view().value_names(TOKENS, &from, PAGE)?;
        let over: Vec<_> = {
            let view = core.store.view();
            let read = names.iter().filter_map(|name| match view.value::<TokenRecord>(name) {
                // Those behind it are swept nevertheless.
                Err(error) if error.is_damaged() => {
                    warn!(name, %error, "a file token cannot be read, and is not removed");
                    None
                }
                read => read.transpose(),
            });
            let tokens: Vec<_> = read.collect::<Result<_, _>>()?;
            tokens.into_iter().filter(|token| is_over(core, token, now)).map(|token| token.number).collect()
        };
        swept += remove_over(core, &over, now).await?;
        // Requests are not to wait for all pages.
        tokio::task::yield_now().await;
        match names.last().filter(|_| names.len() == PAGE) {
            Some(last) => from = format!("{last}\0"),
            None => break,
        }
    }
    if swept > 0 {
        info!(swept, "file tokens whose time is over were removed");
    }
    Ok(())
}

/// Removes those of these tokens that are still over.
async fn remove_over(core: &Core, numbers: &[u64], now: Timestamp) -> Result<usize, StoreError> {
    if numbers.is_empty() {
        return Ok(0);
    }
    let remove = |view: &View<'_>| {
        let (mut batch, mut edit, mut count) = (Batch::new(), Edit::default(), 0);
        for number in numbers {
            if let Some(token) = record::at(view, *number)?.filter(|token| is_over(core, token, now)) {
                record::remove(view, &mut batch, &mut edit, &token)?;
                count += 1;
            }
        }
        edit.finish(view, &mut batch)?;
        Ok::<_, StoreError>((batch, count))
    };
    core.store.change(remove).await
}

fn is_over(core: &Core, token: &TokenRecord, now: Timestamp) -> bool {
    let retention = core.config.storage.token_retention;
    let ended = [token.terms.expire, token.revoked_at].into_iter().flatten().min();
    ended.is_some_and(|ended| ended.saturating_add(retention) < now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_that_fail_become_rarer_up_to_a_minute() {
        let delays: Vec<_> = std::iter::successors(Some(ACCESS_DELAY), |delay| Some(longer(*delay))).take(9).collect();
        assert_eq!(delays[1], 2 * ACCESS_DELAY);
        assert_eq!((delays[6], delays[7], delays[8]), (64 * ACCESS_DELAY, MAX_ACCESS_DELAY, MAX_ACCESS_DELAY));
    }
}
