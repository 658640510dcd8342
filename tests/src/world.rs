//! A place for nodes and backbones to live in.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use crate::{Backbone, Node, WorldClock};

/// Directories and a clock. What lives in it is gone with it.
pub struct World {
    directory: TempDir,
    clock: WorldClock,
}

impl World {
    /// An empty world.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it makes a directory, which a default should not")]
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("enlace-world-").tempdir().expect("a temporary directory");
        Self { directory, clock: WorldClock::starting_now() }
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> &WorldClock {
        &self.clock
    }

    /// Moves time forward for everybody.
    pub fn advance(&self, duration: Duration) {
        self.clock.advance(duration);
    }

    /// Leaves its directories where they are, for somebody to look at.
    #[must_use]
    pub fn keep(self) -> PathBuf {
        self.directory.keep()
    }

    /// A directory in this world; it need not exist.
    #[must_use]
    pub fn directory(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A backbone, at the end of a line of its own.
    pub async fn backbone(&self) -> Backbone {
        self.backbone_at("backbone").await
    }

    /// Another backbone.
    pub async fn backbone_at(&self, name: &str) -> Backbone {
        self.backbone_with(name, |_| ()).await
    }

    /// Another backbone, with other settings.
    pub async fn backbone_with(&self, name: &str, settings: impl FnOnce(&mut backbone_mock::Config)) -> Backbone {
        Backbone::start(self.directory(name), self.clock.clone(), settings).await
    }

    /// A node with an identity of its own.
    pub async fn node(&self, name: &str, backbone: &Backbone) -> Node {
        self.node_with_clock(name, backbone, self.clock.clone()).await
    }

    /// A node that reads another clock.
    pub async fn node_with_clock(&self, name: &str, backbone: &Backbone, clock: WorldClock) -> Node {
        let config = runtime::Config::new(self.directory(name), backbone.as_seen_by_nodes());
        Node::start(config, clock).await.expect("a node starts beside a running backbone")
    }
}
