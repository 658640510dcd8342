//! Removing unused identities of guests that own nothing, so that new ones can be created.

use std::time::Duration;

use transport::wire::{Address, Timestamp};

use super::identities::{self, LAST_USED, last_used_key};
use super::{datawallet, devices, external_events, sync_runs};
use crate::config::OAuthClient;
use crate::core::Core;
use crate::error::{FirstError, StoreError};
use crate::quota::RECORD_BYTES;
use crate::store::{Holder, Rest, STEP};

/// The bytes of an identity that was only created: the sync runs that create its datawallet.
const BYTES_OF_A_START: u64 = 4 * RECORD_BYTES;

/// Removes identities that own nothing and were not used for the time in the terms of their client. Returns how many.
pub(crate) async fn remove_unused(core: &Core) -> Result<usize, StoreError> {
    let (mut removed, mut errors) = (0, FirstError::default());
    for client in &core.config.clients {
        let unused = remove_unused_of(core, client).await;
        removed += errors.note(unused, format_args!("what is unused of {}", client.id)).unwrap_or(0);
    }
    errors.or(removed)
}

async fn remove_unused_of(core: &Core, client: &OAuthClient) -> Result<usize, StoreError> {
    let Some(idle) = client.terms.idle else { return Ok(0) };
    let now = core.now();
    let quota = client.terms.client.identities;
    let taken = core.store.usage(Holder::Client(&client.id)).await?.identities;
    // More than 90% of the quota.
    let mut too_many = taken.saturating_sub(quota / 10 * 9);
    let prefix = LAST_USED.key().text(&client.id);
    let latest = now.saturating_sub(idle.after.min(idle.when_crowded));
    let until = prefix.clone().time(latest.saturating_add(Duration::from_millis(1)));
    let (mut from, mut removed, mut errors) = (prefix.clone(), 0, FirstError::default());
    loop {
        let step = core.store.keys_before(&prefix, &from, &until, STEP).await?;
        for (used_at, address) in step.iter().filter_map(last_use) {
            let is_old = used_at.saturating_add(idle.after) <= now;
            let is_idle = used_at.saturating_add(idle.when_crowded) <= now;
            let may_go = is_old || (is_idle && too_many > 0);
            if !may_go {
                continue;
            }
            let result = remove(core, &address, used_at, is_old).await;
            if errors.note(result, format_args!("the unused identity {address}")) == Some(true) {
                too_many = too_many.saturating_sub(1);
                removed += 1;
            }
        }
        match step.last() {
            Some(last) => from = prefix.after(last),
            None => return errors.or(removed),
        }
        tokio::task::yield_now().await;
    }
}

/// Removes an identity with all its records, unless it owns tokens or files, or was used meanwhile. While the quota is nearly used
/// up, identities go earlier that never stored anything: those that were created to use it up.
async fn remove(core: &Core, address: &Address, used_at: Timestamp, is_old: bool) -> Result<bool, StoreError> {
    let mut transaction = core.store.begin();
    transaction.lock_records(&[address.as_str()]).await?;
    transaction.lock_identities(&[address]).await?;
    let key = identities::identity_key(address);
    let Some(identity) = transaction.get(&key).await? else { return Ok(false) };
    let owned = core.store.usage(Holder::Identity(address)).await?;
    let has_more = owned.devices > 1 || owned.other_bytes > BYTES_OF_A_START;
    if identity.last_used != Some(used_at) || owned.tokens > 0 || owned.files > 0 || (has_more && !is_old) {
        return Ok(false);
    }
    devices::remove_all(&mut transaction, address).await?;
    datawallet::remove_all(&mut transaction, address).await?;
    sync_runs::remove_lease(&mut transaction, address).await?;
    external_events::remove_all(&mut transaction, address).await?;
    transaction.charge(Holder::Client(&identity.client_id), &identities::cost().undone(), None);
    transaction.delete(&last_used_key(&identity, used_at));
    transaction.delete(&key);
    transaction.commit().await?;
    Ok(true)
}

/// Time and address in the rest of a key of [`LAST_USED`] behind the client.
fn last_use(rest: &Rest) -> Option<(Timestamp, Address)> {
    let mut parts = rest.parts();
    Some((parts.time()?, parts.text()?.parse().ok()?))
}
