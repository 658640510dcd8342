//! What everything that a node does stands on: its store, its identity, its clock, its settings, and who is told of what happens.
//!
//! Files, tokens and synchronization take a [`Core`] and import neither each other's callers nor the facades:
//!
//! ```text
//! facade -> file, token, account, sync -> delivery -> core -> store
//! ```

pub(crate) mod account;
mod reference;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Notify;

pub(crate) use self::reference::place;

use self::account::Account;
use crate::clock::Clock;
use crate::code::ErrorCode;
use crate::event::EventBus;
use crate::store::{Batch, Object, Store, StoreError, View};
use crate::{Config, Error, Result};

/// What a node is made of, below everything that it does.
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) events: EventBus,
    /// What is remembered; [`crate::Runtime::shutdown`] closes it.
    pub(crate) store: Arc<Store>,
    /// Identity, device, and their connection to the backbone.
    pub(crate) account: Account,
    /// Private directory for temporary files, emptied at each start.
    pub(crate) temporary_directory: PathBuf,
    /// Notified of changes that other devices have not seen yet. Changes that come shortly after each other become one push.
    pub(crate) unpushed: Notify,
}

impl Core {
    pub(crate) fn new(
        config: Config,
        clock: Arc<dyn Clock>,
        store: Arc<Store>,
        account: Account,
        temporary_directory: PathBuf,
    ) -> Arc<Self> {
        let (events, unpushed) = (EventBus::new(), Notify::new());
        Arc::new(Self { config, clock, events, store, account, temporary_directory, unpushed })
    }

    /// Applies changes, waits until they are on disk, and has them pushed to the other devices in the background.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<()> {
        self.change(|_| Ok((batch, ()))).await
    }

    /// As [`Core::commit`] for a batch that depends on what is stored: nothing else changes between its making and its
    /// taking effect.
    pub(crate) async fn change<T>(&self, build: impl FnOnce(&View<'_>) -> Result<(Batch, T)>) -> Result<T> {
        let outcome = self.store.change(build).await?;
        self.unpushed.notify_one();
        Ok(outcome)
    }

    /// Remembers what was just made at the backbone.
    ///
    /// # Errors
    /// [`Error::Unknown`] if the id stands for something here already. Ids are the backbone's to give, and a new record
    /// under an old id would lose the old one's key. [`Error::Store`] and
    /// [`Error::StorageFull`] say what is at the backbone but not here.
    pub(crate) async fn remember(&self, object: Object) -> Result<()> {
        let (id, object_id) = (object.id.clone(), object.id.clone());
        let create = |view: &View<'_>| match view.object(&object.collection, &object.id)? {
            None => {
                let mut batch = Batch::new();
                batch.record_create(object);
                Ok((batch, ()))
            }
            Some(_) => Err(Error::Unknown(format!("the backbone gave out the id {id}, which is in use already"))),
        };
        let not_remembered = |cause| StoreError::NotRemembered { id: object_id, cause }.into();
        self.change(create).await.map_err(|error| match error {
            Error::Store(cause) | Error::StorageFull(cause) => not_remembered(cause),
            other => other,
        })
    }

    /// The backbone that references name.
    pub(crate) fn base_url(&self) -> &str {
        &self.account.client().config().base_url
    }

    /// An error that the transport layer has a code for, now.
    pub(crate) fn transport_error(&self, code: ErrorCode, reason: impl Into<String>) -> Error {
        Error::Transport { code, reason: reason.into(), at: self.clock.now() }
    }
}
