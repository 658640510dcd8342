//! What everything that a node does stands on: its store, its identity, its clock, its settings, and who is told of what happens.
//!
//! Files, tokens and synchronization take a [`Core`] and import neither each other's callers nor the facades:
//!
//! ```text
//! facade -> file, token, account, sync -> core -> store
//! ```

pub(crate) mod account;
mod reference;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use transport::wire::Timestamp;

pub(crate) use self::reference::place;

use self::account::Account;
use crate::clock::Clock;
use crate::error::TransportError;
use crate::event::EventBus;
use crate::store::{Batch, Object, Store, View};
use crate::{Config, Error, Result};

/// How the backbone refuses a value.
const INVALID_VALUE: &str = "error.platform.validation.invalidPropertyValue";

/// How far the clocks of node and backbone may differ before what the backbone grants looks wrong: nodes whose clock is a
/// day off work.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(24 * 60 * 60);

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
        let id = object.id.clone();
        let create = |view: &View<'_>| match view.object(&object.collection, &object.id)? {
            None => {
                let mut batch = Batch::new();
                batch.record_create(object);
                Ok((batch, ()))
            }
            Some(_) => Err(Error::Unknown(format!("the backbone gave out the id {id}, which is in use already"))),
        };
        let unremembered = |reason| format!("{id} exists at the backbone but could not be remembered: {reason}");
        self.change(create).await.map_err(|error| match error {
            Error::Store(reason) => Error::Store(unremembered(reason)),
            Error::StorageFull(reason) => Error::StorageFull(unremembered(reason)),
            other => other,
        })
    }

    /// The backbone that references name.
    pub(crate) fn base_url(&self) -> &str {
        &self.account.client().config().base_url
    }

    /// An error that the transport layer has a code for, now.
    pub(crate) fn transport_error(&self, kind: TransportError, reason: impl Into<String>) -> Error {
        Error::Transport { kind, reason: reason.into(), at: self.clock.now() }
    }

    /// When something expires for which the backbone said `told` although `asked` was sent. A backbone shortens what its
    /// guests store; it cannot lengthen anything, and what it says has ended long ago is not believed.
    pub(crate) fn granted_expiry(&self, asked: Timestamp, told: Timestamp) -> Timestamp {
        let is_over = told < self.clock.now().saturating_sub(CLOCK_TOLERANCE);
        if told < asked && !is_over { told } else { asked }
    }

    /// Adds to an expiry that the backbone takes for the past but that lies in the future here what explains it: one of the clocks is wrong.
    pub(crate) fn expiry_refused(&self, expires_at: Timestamp, error: Error) -> Error {
        let now = self.clock.now();
        match error {
            Error::Backbone { status, code, message, request, trace_id }
                if code == INVALID_VALUE && is_about_a_past_expiry(&message) && expires_at > now =>
            {
                let message = format!(
                    "{message} By this node's clock it is {now} and {expires_at} lies ahead, so this machine's clock or \
                     the backbone's is wrong: check both."
                );
                Error::Backbone { status, code, message, request, trace_id }
            }
            other => other,
        }
    }

    /// Adds to "not found" what most often explains it: the reference names another backbone than this node's.
    pub(crate) fn not_found_elsewhere(&self, named: Option<&str>, error: Error) -> Error {
        match (error, named) {
            (Error::RecordNotFoundAtBackbone(text), Some(named)) if !same_place(named, self.base_url()) => {
                Error::RecordNotFoundAtBackbone(format!(
                    "{text} The reference names the backbone {named}, but this node uses {}.",
                    self.base_url()
                ))
            }
            (error, _) => error,
        }
    }
}

/// Backbones write "must be in the future" for an expiry that has passed, and something else for one that is too late.
fn is_about_a_past_expiry(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("expires") && message.contains("in the future")
}

fn same_place(left: &str, right: &str) -> bool {
    left.trim_end_matches('/').eq_ignore_ascii_case(right.trim_end_matches('/'))
}
