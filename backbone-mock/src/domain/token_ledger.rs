//! The ledger of attempts to read a token: it counts in the record of the token, under its lock.

use transport::access::{FailedAttempt, Ledger};
use transport::wire::TokenId;

use super::account::{self, Account};
use super::external_events::{self, NewExternalEvent};
use super::tokens::{Allocation, TokenRecord, allocation_key, key};
use super::{Caller, Refusal};
use crate::core::Core;
use crate::notifications::{Notification, NotificationName};
use crate::rates::Guesser;
use crate::store::Transaction;

/// One attempt to read a token. `transaction` has held the lock of the token since `token` was read.
pub(super) struct TokenLedger<'a> {
    pub(super) core: &'a Core,
    pub(super) transaction: Transaction<'a>,
    pub(super) token: &'a TokenRecord,
    pub(super) caller: Option<&'a Caller>,
    pub(super) guesser: Guesser,
}

impl Ledger for TokenLedger<'_> {
    type Error = Refusal;

    async fn allocate(self) -> Result<(), Refusal> {
        match self.caller {
            Some(caller) => allocate(self.core, self.transaction, &self.token.id, caller).await,
            None => Ok(()),
        }
    }

    async fn count(self, failed: FailedAttempt) -> Result<(), Refusal> {
        let Self { core, mut transaction, token, guesser, .. } = self;
        core.guesses.note_wrong(guesser, &token.id);
        let mut token = token.clone();
        token.failed_attempts = failed.number;
        if let Some(creator) = token.created_by.as_ref().filter(|_| failed.locks()) {
            transaction.lock_identities(&[creator]).await?;
            let locked = NewExternalEvent::TokenLocked(token.id.clone());
            external_events::append(&mut transaction, creator, &locked, core.now()).await?;
            transaction.notify(Notification::to_all(creator, NotificationName::TokenLocked));
        }
        transaction.put(&key(&token.id), &token)?;
        Ok(transaction.commit().await?)
    }
}

/// Commits a transaction with the allocation of a token, whose lock it holds.
///
/// # Errors
/// An exhausted quota or a full disk if there is no room for it. Then nothing of the transaction is stored.
pub(super) async fn allocate(
    core: &Core,
    mut transaction: Transaction<'_>,
    id: &TokenId,
    caller: &Caller,
) -> Result<(), Refusal> {
    let allocation = Allocation { device: caller.device.clone(), at: core.now() };
    Account::of(core, &caller.address).await?.charge(&mut transaction, &account::other(0))?;
    transaction.put(&allocation_key(id, &caller.address), &allocation)?;
    Ok(transaction.commit().await?)
}
