//! The foundation of every operation of a node: its store, its account, its clock, its settings, and its event bus.
//!
//! Files, tokens and synchronization take a [`Core`] and import neither each other's callers nor the facades:
//!
//! ```text
//! facade -> file, token, account, sync -> delivery -> core -> content_store, listed, peer -> store
//! ```

pub(crate) mod account;
mod background;
mod guesses;
mod held;
mod leases;
mod locks;
mod stand_ins;
mod token_accesses;
mod transfers;
mod verified_chunks;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Notify, Semaphore};
use transport::peer::Direct;
use transport::wire::reference::{BaseUrl, Referable};

use self::account::Account;
use self::background::Background;
pub(crate) use self::held::Held;
pub(crate) use self::locks::{KeyGuard, KeyedLocks};
#[cfg(test)]
pub(crate) use self::stand_ins::TELL_INTERVAL;
pub(crate) use self::token_accesses::{TokenAccess, TokenAccesses};
pub(crate) use self::transfers::Transfer;
use self::verified_chunks::VerifiedChunks;
use crate::clock::Clock;
use crate::code::ErrorCode;
use crate::content_store::ContentStore;
use crate::error::ConfigError;
use crate::event::EventBus;
use crate::listed::Listed;
use crate::peer::{PeerNetwork, Routes};
use crate::source::SourceIdentity;
use crate::store::{Batch, Object, Store, StoreError, View};
use crate::{Config, Error, Result, dto};

/// Contents for buckets that are being received at the same time. More wait.
pub const MAX_STAGED: usize = 64;
/// How many of these may come from callers without a key: a quarter is kept for those with one.
pub const MAX_STAGED_OF_GUESTS: usize = MAX_STAGED / 4 * 3;

/// The parts of a node that all operations use.
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) events: EventBus,
    /// Its store; [`crate::Runtime::shutdown`] closes it.
    pub(crate) store: Arc<Store>,
    /// Identity, device, and their connection to the backbone.
    pub(crate) account: Account,
    /// What is kept of the contents of files.
    pub(crate) content_store: ContentStore,
    /// Other nodes that it reaches directly.
    pub(crate) peers: PeerNetwork,
    /// Where peers have tokens and files.
    pub(crate) routes: Arc<Routes>,
    /// Private directory for temporary files, emptied at each start.
    pub(crate) temporary_directory: PathBuf,
    /// Notified of changes to be pushed. Changes shortly after each other become one push.
    pub(crate) unpushed: Notify,
    /// Sources that are being uploaded: one upload of each at a time.
    pub(crate) uploading: KeyedLocks<SourceIdentity>,
    /// What is held for peers.
    pub(crate) held: Held,
    /// What lists of tokens with queries are made of.
    pub(crate) listed: Listed,
    /// Files in buckets that are being completed or removed, by the number of the bucket and the id of the file.
    pub(crate) bucket_files: KeyedLocks<(u64, String)>,
    /// Places for contents that are being received for buckets.
    pub(crate) staging: Arc<Semaphore>,
    /// Those of them that callers without a key may have.
    pub(crate) staging_of_guests: Arc<Semaphore>,
    /// Uses of file tokens that are not on disk yet.
    pub(crate) token_accesses: TokenAccesses,
    /// Previews that are being rendered, and those that are kept.
    pub(crate) previews: preview::Pool,
    /// Work that nobody has to wait for.
    pub(crate) background: Background,
    /// Ends of uses that are being told, for which a stop waits.
    pub(crate) ending: Background,
    /// What was verified of files that belong to uses.
    pub(crate) verified_chunks: VerifiedChunks,
}

/// The parts of a core that have a life of their own.
pub(crate) struct Parts {
    pub(crate) content_store: ContentStore,
    pub(crate) peers: PeerNetwork,
    pub(crate) events: EventBus,
}

impl Core {
    /// Without a content store and without peers.
    #[cfg(test)]
    pub(crate) fn new(
        config: Config,
        clock: Arc<dyn Clock>,
        store: Arc<Store>,
        account: Account,
        temporary_directory: PathBuf,
    ) -> Arc<Self> {
        let parts = Parts { content_store: ContentStore::off(), peers: PeerNetwork::off(), events: EventBus::new() };
        Self::with_parts(config, clock, store, account, parts, temporary_directory)
    }

    pub(crate) fn with_parts(
        config: Config,
        clock: Arc<dyn Clock>,
        store: Arc<Store>,
        account: Account,
        Parts { content_store, peers, events }: Parts,
        temporary_directory: PathBuf,
    ) -> Arc<Self> {
        let (unpushed, uploading) = (Notify::new(), KeyedLocks::default());
        let held = Held::of(config.peers.as_ref());
        let listed = Listed::new(&store);
        Arc::new(Self {
            config,
            clock,
            events,
            store,
            account,
            content_store,
            peers,
            routes: Arc::default(),
            temporary_directory,
            unpushed,
            uploading,
            held,
            listed,
            bucket_files: KeyedLocks::default(),
            staging: Arc::new(Semaphore::new(MAX_STAGED)),
            staging_of_guests: Arc::new(Semaphore::new(MAX_STAGED_OF_GUESTS)),
            token_accesses: TokenAccesses::default(),
            previews: preview::Pool::default(),
            background: Background::default(),
            ending: Background::default(),
            verified_chunks: VerifiedChunks::default(),
        })
    }

    /// Applies the batch that `build` returns, waits until it is on disk, and has it pushed to the other devices in the background. No
    /// other change takes effect between what `build` reads and its batch.
    pub(crate) async fn change<T>(&self, build: impl FnOnce(&View<'_>) -> Result<(Batch, T)>) -> Result<T> {
        let outcome = self.store.change(build).await?;
        self.unpushed.notify_one();
        Ok(outcome)
    }

    /// Stores an object that was just created at the backbone, with other changes that take effect together with it.
    ///
    /// # Errors
    /// [`Error::Unknown`] if an object with this id is stored already. The backbone chooses ids, and a new object under an
    /// old id would replace the key of the old one. [`Error::Store`] and [`Error::StorageFull`] name what exists at the
    /// backbone but is not stored here.
    pub(crate) async fn remember_and(
        &self,
        object: Object,
        also: impl FnOnce(&View<'_>, &mut Batch) -> Result<()>,
    ) -> Result<()> {
        let (id, object_id) = (object.id.clone(), object.id.clone());
        let create = |view: &View<'_>| match view.object(&object.collection, &object.id)? {
            None => {
                let mut batch = Batch::new();
                batch.record_create(object);
                also(view, &mut batch)?;
                Ok((batch, ()))
            }
            Some(_) => Err(Error::Unknown(format!("the backbone gave out the id {id}, which is in use already"))),
        };
        self.change(create).await.map_err(|error| not_remembered(object_id, error))
    }

    /// Stores what this node keeps of something that was just created at the backbone and is not stored itself. Does nothing if
    /// that is nothing.
    ///
    /// # Errors
    /// As [`remember_and`](Self::remember_and).
    pub(crate) async fn remember_beside(
        &self,
        id: impl ToString,
        what: impl FnOnce(&View<'_>, &mut Batch) -> Result<()>,
    ) -> Result<()> {
        let build = |view: &View<'_>| {
            let mut batch = Batch::new();
            what(view, &mut batch).map(|()| (batch, ()))
        };
        self.store.change(build).await.map_err(|error| not_remembered(id.to_string(), error))
    }

    /// How this node can be reached now; nothing without a network, or without an address that may be told.
    pub(crate) fn direct(&self) -> Option<Direct> {
        #[cfg(test)]
        if let Some(direct) = self.held.direct() {
            return Some(direct).filter(Direct::leads_somewhere);
        }
        self.peers.direct()
    }

    /// The URL of the backbone, which references name.
    pub(crate) fn base_url(&self) -> &str {
        &self.account.client().config().base_url
    }

    /// An error with a code of the transport layer, at the current time.
    pub(crate) fn transport_error(&self, code: ErrorCode, reason: impl Into<String>) -> Error {
        Error::Transport { code, reason: reason.into(), at: self.clock.now() }
    }
}

/// Adds to a failure of the store what exists at the backbone all the same.
fn not_remembered(id: String, error: Error) -> Error {
    match error {
        Error::Store(cause) | Error::StorageFull(cause) => StoreError::NotRemembered { id, cause }.into(),
        other => other,
    }
}

impl dto::Reference {
    /// Both forms of a reference, at a backbone.
    pub(crate) fn of<I: Referable>(reference: &transport::wire::Reference<I>, place: &BaseUrl) -> Self {
        let (truncated, url) = reference.forms_at(place);
        Self { truncated, url }
    }
}

/// The backbone that references lead to.
///
/// # Errors
/// [`Error::Config`] if the URL cannot be part of references.
pub(crate) fn place(base_url: &str) -> Result<BaseUrl> {
    BaseUrl::parse(base_url).map_err(|error| Error::Config(ConfigError::BaseUrl(error)))
}
