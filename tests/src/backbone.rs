//! A backbone behind a [`Line`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backbone_mock::Config;

use crate::{Line, WorldClock};

const CLIENT_ID: &str = "test";
const CLIENT_SECRET: &str = "SUY3cxZhRJDJmRNb4cAfDLqAY7qJz";
/// OAuth client of every node, in the form of the command line.
pub const OAUTH_CLIENT: &str = "test:SUY3cxZhRJDJmRNb4cAfDLqAY7qJz";

/// A backbone that can be stopped and started again with the same data.
pub struct Backbone {
    config: Config,
    line: Line,
    running: Option<backbone_mock::Backbone>,
}

impl Backbone {
    pub(crate) async fn start(data_dir: PathBuf, clock: WorldClock, settings: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(data_dir).with_client(CLIENT_ID, CLIENT_SECRET).with_clock(Arc::new(clock));
        // Tests run the sweep themselves.
        config.sweep_interval = None;
        settings(&mut config);
        let mut backbone = Self { config, line: Line::new().await, running: None };
        backbone.resume().await;
        backbone
    }

    /// The line to it.
    #[must_use]
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// Its data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.config.data_dir
    }

    /// The configuration by which nodes reach it.
    #[must_use]
    pub fn as_seen_by_nodes(&self) -> runtime::BackboneConfig {
        runtime::BackboneConfig::new(self.line.url(), CLIENT_ID, runtime::Secret::new(CLIENT_SECRET))
    }

    /// The server itself, for its administration.
    ///
    /// # Panics
    /// If it is stopped.
    #[must_use]
    pub fn server(&self) -> &backbone_mock::Backbone {
        self.running.as_ref().expect("the backbone runs")
    }

    /// Shuts it down. The line stays up, without a destination.
    pub async fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown().await.expect("an orderly end");
        }
    }

    /// Starts it again with the same data.
    pub async fn resume(&mut self) {
        let running = backbone_mock::Backbone::start(self.config.clone()).await.expect("a backbone starts");
        self.line.lead_to(running.local_addr());
        self.running = Some(running);
    }

    /// Restarts it.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.resume().await;
    }
}
