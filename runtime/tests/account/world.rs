//! A backbone that can be stopped and started again at the same address, and nodes that use it.

use std::net::SocketAddr;

use backbone_mock::Backbone;
use runtime::{BackboneConfig, Config, Result, Runtime, Secret};
use tempfile::TempDir;

pub(crate) struct World {
    directory: TempDir,
    backbone: Option<Backbone>,
    address: SocketAddr,
    pub(crate) url: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = backbone_mock::Config::new(directory.path().join("backbone")).with_client("test", "test");
        // Tests lock tokens from this machine.
        config.limits.wrong_passwords = 0;
        let backbone = Backbone::start(config).await.unwrap();
        let (address, url) = (backbone.local_addr(), backbone.url());
        Self { directory, backbone: Some(backbone), address, url }
    }

    pub(crate) async fn stop_backbone(&mut self) {
        self.backbone.take().unwrap().shutdown().await.unwrap();
    }

    pub(crate) async fn start_backbone(&mut self) {
        let mut config = backbone_mock::Config::new(self.directory.path().join("backbone")).with_client("test", "test");
        config.listen = self.address;
        self.backbone = Some(Backbone::start(config).await.unwrap());
    }

    pub(crate) fn config(&self, name: &str) -> Config {
        let backbone = BackboneConfig::new(&self.url, "test", Secret::new("test"));
        Config::new(self.directory.path().join(name), backbone)
    }

    pub(crate) async fn start(&self, name: &str) -> Result<Runtime> {
        Runtime::builder(self.config(name)).start().await
    }

    pub(crate) async fn node(&self, name: &str) -> Runtime {
        self.start(name).await.unwrap()
    }
}

/// Stops a node and releases its data directory.
pub(crate) async fn stop(node: Runtime) {
    node.shutdown().await.unwrap();
}
