//! Starts and stops a node.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::DirectoryLock;
use swarm::Inbound;
use transport::identity::DeviceSharedSecret;
use transport::peer::PeerKey;

use crate::Result;
use crate::account;
use crate::blocking::blocking;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, StoreKey};
use crate::content_store::ContentStore;
use crate::core::account::Account;
use crate::core::{Core, Parts};
use crate::delivery::{claims, learn};
use crate::error::ConfigError;
use crate::event::{EventBus, EventReceiver};
use crate::facade::{
    AccountFacade, ChallengesFacade, ContentStoreFacade, FilesFacade, IdentityMetadataFacade, Node, PeersFacade,
    StorageFacade, TokensFacade, tokens_watch,
};
use crate::file;
use crate::held::{self, NodeHolder};
use crate::peer::{Certifier, DeviceKeys, PeerNetwork, PeerParts, PeerServer, Time, removed_devices};
use crate::storage;
use crate::store::{LOCK_FILE, Store, StoreError, StoreKeySource, vault};
use crate::sync::{Synchronizer, received_certificate};

/// A running node. Cheap to clone; the last clone does not stop it, [`Runtime::shutdown`] does.
#[derive(Clone)]
pub struct Runtime {
    pub(crate) node: Arc<Node>,
}

/// Collects what a node needs before it starts.
pub struct RuntimeBuilder {
    config: Config,
    clock: Arc<dyn Clock>,
    shared_secret: Option<DeviceSharedSecret>,
    lock: Option<Arc<DirectoryLock>>,
    evidence: Vec<PathBuf>,
    peer_transport: Option<MakeTransport>,
}

/// Makes the transport of an app, which authenticates with the key of the peer.
type MakeTransport = Box<dyn FnOnce(&PeerKey) -> swarm::custom::Transport + Send>;

impl Runtime {
    /// Name of the directory in the data directory with what is kept of the contents of files. The sum of its files is what
    /// [`ContentStoreConfig::max_size`](crate::ContentStoreConfig::max_size) bounds.
    pub const CONTENT_DIRECTORY: &str = crate::content_store::DIRECTORY;

    /// Starts with settings.
    #[must_use]
    pub fn builder(config: Config) -> RuntimeBuilder {
        RuntimeBuilder {
            config,
            clock: Arc::new(SystemClock),
            shared_secret: None,
            lock: None,
            evidence: Vec::new(),
            peer_transport: None,
        }
    }

    /// Whether a start in a data directory would be its first one. The caller holds the directory by [`LOCK_FILE`].
    /// `written_after_start` is as for [`RuntimeBuilder::written_after_start`]. Blocks the thread for a moment.
    ///
    /// # Errors
    /// [`crate::Error::Store`] if a store or its key is missing although there was one, as for [`RuntimeBuilder::start`].
    pub fn is_first_start(data_dir: &Path, store_key: &StoreKey, written_after_start: &[PathBuf]) -> Result<bool> {
        let key = StoreKeySource::of(data_dir, store_key);
        Ok(Store::is_first_start(data_dir, &key, first_existing(written_after_start))?)
    }

    /// Whether the store in a data directory holds an identity, or has asked a backbone to create one and was not refused: then
    /// its login, if there is one, belongs to that backbone. Not if there is no store yet. The caller holds the directory by
    /// `lock`, and no node runs there. Blocks the thread while it opens the store.
    ///
    /// # Errors
    /// [`crate::Error::Store`] if the store cannot be opened.
    pub fn holds_identity(lock: Arc<DirectoryLock>, data_dir: &Path, store_key: &StoreKey) -> Result<bool> {
        let key = StoreKeySource::of(data_dir, store_key);
        if Store::is_first_start(data_dir, &key, None)? {
            return Ok(false);
        }
        let store = Store::open(lock, &key, None, false)?;
        let is_begun = account::is_begun(&store)?;
        store.close()?;
        Ok(is_begun)
    }

    /// The settings it runs with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.node.core.config
    }

    /// The identity and its synchronization.
    #[must_use]
    pub fn account(&self) -> AccountFacade {
        AccountFacade::new(self.node.clone())
    }

    /// Files.
    #[must_use]
    pub fn files(&self) -> FilesFacade {
        FilesFacade::new(self.node.clone())
    }

    /// What this node keeps of the contents of files.
    #[must_use]
    pub fn content_store(&self) -> ContentStoreFacade {
        ContentStoreFacade::new(self.node.clone())
    }

    /// Tokens.
    #[must_use]
    pub fn tokens(&self) -> TokensFacade {
        TokensFacade::new(self.node.clone())
    }

    /// Challenges.
    #[must_use]
    pub fn challenges(&self) -> ChallengesFacade {
        ChallengesFacade::new(self.node.clone())
    }

    /// Metadata of identities.
    #[must_use]
    pub fn identity_metadata(&self) -> IdentityMetadataFacade {
        IdentityMetadataFacade::new(self.node.clone())
    }

    /// Buckets and the files in them.
    #[must_use]
    pub fn storage(&self) -> StorageFacade {
        StorageFacade::new(self.node.clone())
    }

    /// Peers.
    #[must_use]
    pub fn peers(&self) -> PeersFacade {
        PeersFacade::new(self.node.clone())
    }

    /// Private directory for temporary files, emptied at each start.
    #[must_use]
    pub fn temporary_directory(&self) -> &Path {
        &self.node.core.temporary_directory
    }

    /// All events from now on.
    #[must_use]
    pub fn events(&self) -> EventReceiver {
        self.node.core.events.subscribe()
    }

    /// The clock the node runs on.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.node.core.clock.clone()
    }

    /// Stops background work, pushes nothing more, then closes the store. Idempotent.
    ///
    /// The data directory is released when the last clone and the last facade are gone. What was not pushed is pushed
    /// after the next start.
    ///
    /// # Errors
    /// [`crate::Error::Store`] if the store cannot be closed; nothing that was acknowledged is lost then.
    pub async fn shutdown(&self) -> Result<()> {
        self.node.core.ending.finish(claims::END_TIMEOUT).await;
        if let Some(server) = &self.node.server {
            server.stop().await;
        }
        self.node.core.peers.shutdown().await;
        self.node.sync.stop().await;
        self.node.core.background.stop().await;
        let written = storage::token::flush(&self.node.core).await;
        self.node.core.content_store.close().await;
        let node = self.node.clone();
        blocking(move || node.core.store.close()).await?;
        Ok(written?)
    }
}

impl RuntimeBuilder {
    /// Another source of time, for tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Makes the first start become another device of an identity instead of creating one, by the secret that one of its
    /// devices handed out. A store that has an identity keeps it.
    #[must_use]
    pub fn onboard(mut self, shared_secret: DeviceSharedSecret) -> Self {
        self.shared_secret = Some(shared_secret);
        self
    }

    /// Passes a lock of the data directory that the app took by [`LOCK_FILE`], because it keeps files of its own there.
    /// Without it the node takes the lock itself. The directory is held until the app and the node have dropped it.
    #[must_use]
    pub fn lock(mut self, lock: Arc<DirectoryLock>) -> Self {
        self.lock = Some(lock);
        self
    }

    /// Names files that the app writes only after a successful start of this node. Where one of them exists there has been
    /// an identity, so a missing store is an error and not a first start.
    #[must_use]
    pub fn written_after_start(mut self, paths: impl IntoIterator<Item = PathBuf>) -> Self {
        self.evidence.extend(paths);
        self
    }

    /// Reaches peers over the transport of the app in place of TCP and QUIC. It is made for the key of the peer, which it has to
    /// authenticate with. Without [`Config::peers`] it is not made.
    #[must_use]
    pub fn peer_transport(mut self, make: impl FnOnce(&PeerKey) -> swarm::custom::Transport + Send + 'static) -> Self {
        self.peer_transport = Some(Box::new(make));
        self
    }

    /// Opens the store and loads the identity; creates it at the first start.
    ///
    /// A node whose backbone cannot be reached still starts if it has an identity.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for settings that cannot work, [`crate::Error::Store`] for a store that is held by another
    /// process, missing although there was one, unreadable or newer than this program, [`crate::Error::StorageFull`], and
    /// the backbone's errors when an identity has to be created.
    pub async fn start(self) -> Result<Runtime> {
        let Self { config, clock, shared_secret, lock, evidence, peer_transport } = self;
        let (config, store, temporary_directory) = open_store(config, lock, evidence).await?;
        let account = account::open(&config, &store, &*clock, shared_secret).await?;
        let store = Arc::new(store);
        let content_store = ContentStore::open(config.content_store, &config.data_dir, &store, clock.clone()).await;
        let events = EventBus::new();
        let parts = peer_parts(&config, &account, &store, clock.clone(), &events);
        let (peers, inbound) = start_peers(&config, parts, peer_transport).await?;
        let parts = Parts { content_store, peers, events };
        let core = Core::with_parts(config, clock, store, account, parts, temporary_directory);
        file::unfinished::clean_up(&core).await?;
        learn::load(&core).await?;
        held::clean_up(&core).await?;
        storage::upload::clean_up(&core).await?;
        core.peers.follow_backbone(core.account.client().clone());
        let server = inbound.map(|inbound| PeerServer::start(&core.peers, inbound, Arc::new(NodeHolder::new(&core))));
        let node = Arc::new(Node { sync: Synchronizer::start(core.clone()), server, core });
        storage::upkeep::start(&node);
        tokens_watch::start(&node);
        Ok(Runtime { node })
    }
}

fn peer_parts(
    config: &Config,
    account: &Account,
    store: &Arc<Store>,
    clock: Arc<dyn Clock>,
    events: &EventBus,
) -> PeerParts {
    PeerParts {
        key: PeerKey::derive(account.device_key()),
        device: Some(device_keys(account, store)),
        is_removed: removed_devices(store.clone(), account.address().clone()),
        time: Time::new(clock),
        events: events.clone(),
        max_token_content: config.backbone.max_token_content,
        transport: None,
    }
}

fn device_keys(account: &Account, store: &Arc<Store>) -> DeviceKeys {
    DeviceKeys {
        identity: account.identity(),
        certifier: match account.identity_key() {
            Some(key) => Certifier::Own(Box::new(key.clone())),
            None => Certifier::Others(received_certificate(store.clone(), account.device_id().clone())),
        },
        device_id: account.device_id().clone(),
        device_key: account.device_key().clone(),
    }
}

async fn start_peers(
    config: &Config,
    mut parts: PeerParts,
    transport: Option<MakeTransport>,
) -> Result<(PeerNetwork, Option<Inbound>)> {
    let Some(peers) = &config.peers else { return Ok((PeerNetwork::off(), None)) };
    parts.transport = transport.map(|make| make(&parts.key));
    let (network, inbound) = PeerNetwork::start(peers, parts).await?;
    Ok((network, Some(inbound)))
}

/// Opening reads files and may replay the journal, so it runs where blocking is allowed.
async fn open_store(
    config: Config,
    lock: Option<Arc<DirectoryLock>>,
    evidence: Vec<PathBuf>,
) -> Result<(Config, Store, PathBuf)> {
    blocking(move || {
        vault::prepare_directory(&config.data_dir)?;
        let lock = match lock {
            Some(lock) if is_same(lock.directory(), &config.data_dir) => lock,
            Some(lock) => {
                let (held, wanted) = (lock.directory().to_owned(), config.data_dir);
                return Err(ConfigError::OtherLock { held, wanted }.into());
            }
            None => Arc::new(DirectoryLock::take(&config.data_dir, LOCK_FILE).map_err(StoreError::from)?),
        };
        let evidence = first_existing(&evidence);
        let key = StoreKeySource::of(&config.data_dir, &config.store_key);
        let store = Store::open(lock, &key, evidence, config.datawallet_enabled)?;
        let temporary_directory = vault::fresh_temporary_directory(&config.data_dir)?;
        Ok((config, store, temporary_directory))
    })
    .await
}

fn first_existing(paths: &[PathBuf]) -> Option<&Path> {
    paths.iter().map(PathBuf::as_path).find(|path| path.exists())
}

fn is_same(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}
