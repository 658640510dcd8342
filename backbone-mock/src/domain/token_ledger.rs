//! The ledger of attempts to read a token: it counts in the record of the token, under its lock.

use transport::access::{FailedAttempt, Ledger};

use super::account::{self, Account};
use super::external_events::{self, NewExternalEvent};
use super::tokens::{Allocation, TokenRecord, allocation_key, key};
use super::{Caller, Refusal};
use crate::core::Core;
use crate::error::StoreError;
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

    /// An identity whose quota has no room for the allocation gets the token without one.
    async fn allocate(mut self) -> Result<(), Refusal> {
        let Some(caller) = self.caller else { return Ok(()) };
        let allocation = Allocation { device: caller.device.clone(), at: self.core.now() };
        let account = Account::of(self.core, &caller.address).await?;
        let stored = async {
            account.charge(&mut self.transaction, &account::other(0))?;
            self.transaction.put(&allocation_key(&self.token.id, &caller.address), &allocation)?;
            self.transaction.commit().await
        };
        match stored.await {
            Err(StoreError::Quota(_) | StoreError::Full(_)) => Ok(()),
            outcome => Ok(outcome?),
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
