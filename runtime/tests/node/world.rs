//! A backbone, any number of nodes, and one clock for all of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use backbone_mock::fault::Faults;
use backbone_mock::{Backbone, OAuthClient};
use runtime::facade::{ContentFormat, CreateOwnToken, CreateTokenForFile, LoadFile, LoadPeerToken, UploadOwnFile};
use runtime::{BackboneConfig, Clock, Config, Error, ManualClock, Result, Runtime, Secret, Timestamp, dto};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;

/// The initial time of every world.
pub(crate) const START: &str = "2030-01-01T00:00:00.000Z";

pub(crate) struct World {
    pub(crate) backbone: Backbone,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) faults: Faults,
    directory: TempDir,
}

/// The clock of the nodes, for the backbone.
struct SharedClock(Arc<ManualClock>);

impl backbone_mock::Clock for SharedClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    /// A world whose nodes are guests at the backbone.
    pub(crate) async fn of_guests() -> Self {
        Self::with(|config| config.clients = vec![OAuthClient::guest("test", "test-secret")]).await
    }

    pub(crate) async fn with(settings: impl FnOnce(&mut backbone_mock::Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(START.parse().unwrap()));
        let faults = Faults::new();
        let mut config =
            backbone_mock::Config::new(directory.path().join("backbone")).with_client("test", "test-secret");
        // Tests lock tokens from this machine.
        config.limits.wrong_passwords = 0;
        config.clock = Arc::new(SharedClock(clock.clone()));
        config.faults = Some(faults.clone());
        settings(&mut config);
        let backbone = Backbone::start(config).await.unwrap();
        Self { backbone, clock, faults, directory }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn data_dir(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn config(&self, name: &str) -> Config {
        let backbone = BackboneConfig::new(self.backbone.url(), "test", Secret::new("test-secret"));
        Config::new(self.data_dir(name), backbone)
    }

    pub(crate) async fn start(&self, config: Config) -> Result<Runtime> {
        Runtime::builder(config).clock(self.clock.clone()).start().await
    }

    pub(crate) async fn node(&self, name: &str) -> Runtime {
        self.start(self.config(name)).await.unwrap()
    }

    /// A point in time that many seconds after the start of the world.
    pub(crate) fn at(&self, seconds: u64) -> Timestamp {
        START.parse::<Timestamp>().unwrap().saturating_add(std::time::Duration::from_secs(seconds))
    }
}

pub(crate) fn file(name: &str, content: impl Into<Vec<u8>>) -> UploadOwnFile {
    let content = std::io::Cursor::new(content.into());
    UploadOwnFile::new(content, name.parse().unwrap(), "text/plain".parse().unwrap())
}

/// The same in format `v2`.
pub(crate) fn chunked(name: &str, content: impl Into<Vec<u8>>) -> UploadOwnFile {
    UploadOwnFile { format: ContentFormat::V2, ..file(name, content) }
}

/// Bytes that differ from place to place.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place * 7 % 251) as u8).collect()
}

pub(crate) fn stored() -> CreateTokenForFile {
    CreateTokenForFile::default()
}

pub(crate) fn own_token(content: serde_json::Value, expires_at: Timestamp) -> CreateOwnToken {
    CreateOwnToken::new(content, expires_at)
}

pub(crate) fn protected(password: &str) -> Option<dto::PasswordProtection> {
    Some(dto::PasswordProtection::new(dto::Password::new(password).unwrap()))
}

pub(crate) async fn load_file(node: &Runtime, reference: &dto::Reference, password: Option<&str>) -> Result<dto::File> {
    let request = LoadFile { reference: reference.url.clone(), password: password.map(Secret::new) };
    node.files().get_or_load_file(request).await
}

pub(crate) async fn load_token(
    node: &Runtime,
    reference: &dto::Reference,
    password: Option<&str>,
) -> Result<dto::Token> {
    let password = password.map(Secret::new);
    let request = LoadPeerToken { reference: reference.truncated.clone(), ephemeral: false, password };
    node.tokens().load_peer_token(request).await
}

pub(crate) async fn bytes_of(node: &Runtime, file: &dto::File) -> Result<Vec<u8>> {
    let download = node.files().download_file(&file.id, None).await?;
    let (length, mut content) = (download.content.length(), Vec::new());
    download.content.into_reader().read_to_end(&mut content).await.unwrap();
    assert_eq!(length, content.len() as u64);
    Ok(content)
}

/// The code of the error that the call must have.
pub(crate) fn code<T>(outcome: Result<T>) -> String {
    outcome.err().as_ref().map_or("no error", Error::code).to_owned()
}

/// Files left in the node's directory for temporary files.
pub(crate) fn temporary_files(config: &Config) -> usize {
    std::fs::read_dir(config.data_dir.join("tmp")).unwrap().count()
}
