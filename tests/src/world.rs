//! The environment of nodes and backbones in a test.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use crate::{Backbone, Node, WorldClock};

/// A temporary directory and a clock. Dropping it removes all data in it.
pub struct World {
    directory: TempDir,
    clock: WorldClock,
}

impl World {
    /// An empty world.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it creates a directory, which a default should not")]
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("enlace-world-").tempdir().expect("a temporary directory");
        Self { directory, clock: WorldClock::starting_now() }
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> &WorldClock {
        &self.clock
    }

    /// Advances the clock of all nodes and backbones.
    pub fn advance(&self, duration: Duration) {
        self.clock.advance(duration);
    }

    /// Keeps its directories, for inspection.
    #[must_use]
    pub fn keep(self) -> PathBuf {
        self.directory.keep()
    }

    /// Path of a directory in this world, which need not exist.
    #[must_use]
    pub fn directory(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts a backbone behind its own line.
    pub async fn backbone(&self) -> Backbone {
        self.backbone_at("backbone").await
    }

    /// Starts another backbone.
    pub async fn backbone_at(&self, name: &str) -> Backbone {
        self.backbone_with(name, |_| ()).await
    }

    /// Starts another backbone with changed settings.
    pub async fn backbone_with(&self, name: &str, settings: impl FnOnce(&mut backbone_mock::Config)) -> Backbone {
        Backbone::start(self.directory(name), self.clock.clone(), settings).await
    }

    /// Starts a node with its own identity.
    pub async fn node(&self, name: &str, backbone: &Backbone) -> Node {
        self.node_with_clock(name, backbone, self.clock.clone()).await
    }

    /// Starts a node with another clock.
    pub async fn node_with_clock(&self, name: &str, backbone: &Backbone, clock: WorldClock) -> Node {
        let config = runtime::Config::new(self.directory(name), backbone.as_seen_by_nodes());
        Node::start(config, clock).await.expect("a node starts beside a running backbone")
    }
}
