//! The functions of operators: unlocking tokens, listing and requeueing dead events, sweeping.
//!
//! They are available in-process only; there is no route for them.

use transport::wire::{Address, ExternalEventId, TokenId};

use crate::core::Core;
use crate::domain::{external_events, token_uses, tokens};
use crate::error::Error;
use crate::peers::{PeerMetrics, PeerServer};
use crate::quota::Amounts;
use crate::store::Holder;
use crate::sweep::{self, Swept};

/// The functions of operators of a running [`Backbone`](crate::Backbone).
pub struct Admin<'b>(pub(crate) &'b Core);

/// An external event that is not delivered any more, because handling it failed too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadEvent {
    /// Its identifier.
    pub id: ExternalEventId,
    /// Its type, for instance `TokenLocked`.
    pub kind: String,
    /// The error codes of the failures, oldest first.
    pub errors: Vec<String>,
}

impl Admin<'_> {
    /// Unlocks a token that was locked by wrong passwords. Returns whether there is such a token.
    ///
    /// # Errors
    /// [`Error::Store`] if the store fails.
    pub async fn reset_token_access_failed_count(&self, token: &TokenId) -> Result<bool, Error> {
        Ok(tokens::reset_failed_attempts(self.0, token).await?)
    }

    /// Contents of files that are being sent to somebody.
    #[must_use]
    pub fn open_downloads(&self) -> usize {
        self.0.downloads.open()
    }

    /// Uses of a token that count although their receivers have not told that they have everything: reads of the published protocol, and
    /// all of the strict form.
    ///
    /// # Errors
    /// [`Error::Store`] if the store fails.
    pub async fn unconfirmed_uses(&self, token: &TokenId) -> Result<u32, Error> {
        Ok(token_uses::unconfirmed(self.0, token).await?)
    }

    /// What the relay and the rendezvous server do; `None` if the settings ask for neither.
    #[must_use]
    pub fn peers(&self) -> Option<PeerMetrics> {
        self.0.peers.as_ref().map(PeerServer::metrics)
    }

    /// Removes expired records now.
    ///
    /// # Errors
    /// [`Error::Store`] if the store fails.
    pub async fn sweep(&self) -> Result<Swept, Error> {
        Ok(sweep::sweep(self.0).await?)
    }

    /// The usage of all identities of a client together. Devices, challenges and
    /// [`Metric::OtherBytes`](crate::Metric::OtherBytes) are counted for each identity only.
    ///
    /// # Errors
    /// [`Error::Store`] if the store fails.
    pub async fn usage_of_client(&self, id: &str) -> Result<Amounts, Error> {
        Ok(self.0.store.usage(Holder::Client(id)).await?)
    }

    /// The usage of an identity.
    ///
    /// # Errors
    /// [`Error::Store`] if the store fails.
    pub async fn usage_of_identity(&self, address: &Address) -> Result<Amounts, Error> {
        Ok(self.0.store.usage(Holder::Identity(address)).await?)
    }

    /// The dead events of an identity, oldest first, at most 1,000.
    ///
    /// # Errors
    /// [`Error::Store`] if the store fails.
    pub async fn dead_events(&self, owner: &Address) -> Result<Vec<DeadEvent>, Error> {
        let events = external_events::dead(&self.0.store, owner).await?.into_iter();
        Ok(events.map(|event| DeadEvent { id: event.id, kind: event.kind, errors: event.errors }).collect())
    }

    /// Makes a dead event deliverable again. Returns whether there is one.
    ///
    /// # Errors
    /// [`Error::Store`] if the store fails.
    pub async fn requeue_event(&self, owner: &Address, event: &ExternalEventId) -> Result<bool, Error> {
        Ok(external_events::requeue(self.0, owner, event).await?)
    }
}
