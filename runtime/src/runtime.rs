//! Starting and stopping a node.

use std::sync::Arc;

use crate::Result;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::event::{EventBus, EventReceiver};
use crate::facade::{AccountFacade, ChallengesFacade, FilesFacade, IdentityMetadataFacade, TokensFacade};

/// A running node. Cheap to clone; the last clone does not stop it, [`Runtime::shutdown`] does.
#[derive(Clone)]
pub struct Runtime {
    node: Arc<Node>,
}

/// What the facades share.
pub(crate) struct Node {
    pub(crate) config: Config,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) events: EventBus,
}

/// Collects what a node needs before it starts.
pub struct RuntimeBuilder {
    config: Config,
    clock: Arc<dyn Clock>,
}

impl Runtime {
    /// Starts with settings.
    #[must_use]
    pub fn builder(config: Config) -> RuntimeBuilder {
        RuntimeBuilder { config, clock: Arc::new(SystemClock) }
    }

    /// The settings it runs with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.node.config
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

    /// Notes about identities.
    #[must_use]
    pub fn identity_metadata(&self) -> IdentityMetadataFacade {
        IdentityMetadataFacade::new(self.node.clone())
    }

    /// Everything that happens from now on.
    #[must_use]
    pub fn events(&self) -> EventReceiver {
        self.node.events.subscribe()
    }

    /// The clock the node runs on.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.node.clock.clone()
    }

    /// Stops background work, pushes nothing more, flushes the store and releases the data directory. Idempotent.
    ///
    /// # Errors
    /// [`crate::Error::Store`] if the last flush fails.
    pub async fn shutdown(&self) -> Result<()> {
        todo!()
    }
}

impl RuntimeBuilder {
    /// Another source of time, for tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Opens the store and loads the identity; creates it at the first start.
    ///
    /// A node whose backbone cannot be reached still starts if it has an identity.
    ///
    /// # Errors
    /// [`crate::Error::Config`] for settings that cannot work, [`crate::Error::Store`] for a store that is held by another
    /// process, unreadable or newer than this program, and the backbone's errors when an identity has to be created.
    pub async fn start(self) -> Result<Runtime> {
        let node = Node { config: self.config, clock: self.clock, events: EventBus::new() };
        Ok(Runtime { node: Arc::new(node) })
    }
}
