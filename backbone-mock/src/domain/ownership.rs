//! Transferring a file: a caller that sends its ownership token becomes the owner.
//!
//! A wrong token from anybody but the owner locks the file until the owner requests a new token. The owner gets an external event.

use transport::wire::{Address, FileId};

use super::external_events::{self, NewExternalEvent};
use super::files::{self, FileRecord};
use super::{Caller, Refusal, Rule};
use crate::core::Core;
use crate::secrets::{is_ownership_token, new_ownership_token};
use crate::store::Transaction;

/// Makes the caller the owner. Returns the new ownership token.
pub(crate) async fn claim(core: &Core, caller: &Caller, id: &FileId, token: &str) -> Result<String, Refusal> {
    check_shape(token)?;
    let (transaction, file) = begin(core, id).await?;
    if file.owner == caller.address {
        return Err(Rule::CannotClaimOwnFile.into());
    }
    if file.ownership_is_locked {
        return Err(Refusal::Forbidden);
    }
    if !is_right(core, &file, token) {
        lock(core, transaction, file).await?;
        return Err(Refusal::Forbidden);
    }
    transfer(core, transaction, file, &caller.address).await
}

/// Whether a claim with this token would succeed. A wrong one locks the file, unless the owner sent it.
pub(crate) async fn validate(core: &Core, caller: &Caller, id: &FileId, token: &str) -> Result<bool, Refusal> {
    check_shape(token)?;
    let (transaction, file) = begin(core, id).await?;
    let is_valid = !file.ownership_is_locked && is_right(core, &file, token);
    if !is_valid && !file.ownership_is_locked && file.owner != caller.address {
        lock(core, transaction, file).await?;
    }
    Ok(is_valid)
}

/// Replaces the ownership token and unlocks the file. Only the owner may.
pub(crate) async fn regenerate(core: &Core, caller: &Caller, id: &FileId) -> Result<String, Refusal> {
    let (mut transaction, mut file) = begin(core, id).await?;
    if file.owner != caller.address {
        return Err(Refusal::Forbidden);
    }
    let token = renew_token(core, &mut file);
    transaction.put(&files::key(id), &file)?;
    transaction.commit().await?;
    Ok(token)
}

async fn begin<'c>(core: &'c Core, id: &FileId) -> Result<(Transaction<'c>, FileRecord), Refusal> {
    let mut transaction = core.store.begin();
    transaction.lock_records(&[id.as_str()]).await?;
    let file = files::readable(core, transaction.get(&files::key(id)).await?)?;
    Ok((transaction, file))
}

async fn transfer(
    core: &Core,
    mut transaction: Transaction<'_>,
    mut file: FileRecord,
    new_owner: &Address,
) -> Result<String, Refusal> {
    let token = renew_token(core, &mut file);
    let previous = std::mem::replace(&mut file.owner, new_owner.clone());
    file.claimed_at = Some(core.now());
    transaction.lock_identities(&[&previous]).await?;
    let claimed = NewExternalEvent::FileOwnershipClaimed(file.id.clone(), new_owner.clone());
    external_events::append(&mut transaction, &previous, &claimed, core.now()).await?;
    transaction.put(&files::key(&file.id), &file)?;
    transaction.commit().await?;
    Ok(token)
}

async fn lock(core: &Core, mut transaction: Transaction<'_>, mut file: FileRecord) -> Result<(), Refusal> {
    file.ownership_is_locked = true;
    transaction.lock_identities(&[&file.owner]).await?;
    let locked = NewExternalEvent::FileOwnershipLocked(file.id.clone());
    external_events::append(&mut transaction, &file.owner, &locked, core.now()).await?;
    transaction.put(&files::key(&file.id), &file)?;
    Ok(transaction.commit().await?)
}

fn renew_token(core: &Core, file: &mut FileRecord) -> String {
    let token = new_ownership_token();
    file.ownership_token = core.key.ownership_token(file.id.as_str(), &token);
    file.ownership_is_locked = false;
    token
}

fn is_right(core: &Core, file: &FileRecord, token: &str) -> bool {
    core.key.is_ownership_token(file.id.as_str(), token, &file.ownership_token)
}

fn check_shape(token: &str) -> Result<(), Refusal> {
    if is_ownership_token(token) {
        Ok(())
    } else {
        Err(Refusal::invalid("ownershipToken", "must have 1 to 20 characters of the alphabet of ownership tokens"))
    }
}
