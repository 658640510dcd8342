//! A node at a backbone in this process, which benches reach over loopback.

use backbone_mock::Backbone;
use runtime::{BackboneConfig, Config, Runtime, Secret};
use tempfile::TempDir;

/// They end, and their data goes, when it is dropped.
pub(crate) struct World {
    pub(crate) executor: tokio::runtime::Runtime,
    pub(crate) node: Runtime,
    _backbone: Backbone,
    _directory: TempDir,
}

impl World {
    /// A node without a datawallet.
    pub(crate) fn start() -> Self {
        let executor = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (backbone, node) = executor.block_on(async {
            let settings = backbone_mock::Config::new(directory.path().join("backbone")).with_client("bench", "secret");
            let backbone = Backbone::start(settings).await.unwrap();
            let settings = BackboneConfig::new(backbone.url(), "bench", Secret::new("secret"));
            let mut config = Config::new(directory.path().join("node"), settings);
            config.datawallet_enabled = false;
            (backbone, Runtime::builder(config).start().await.unwrap())
        });
        Self { executor, node, _backbone: backbone, _directory: directory }
    }
}
