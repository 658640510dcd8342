//! What a start is going to do: options, configuration and memory brought together, before anything is started.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::client::Client;
use crate::args::{Global, NodeOptions, ServerOptions};
use crate::config::{Configuration, Layer, Settings};
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::memory::Memory;
use crate::platform::{self, Purpose};

/// Read by `serve` if it is there and no other file is named.
const DEFAULT_CONFIG_FILE: &str = "config.json";

/// Which backbone a node uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WhichBackbone {
    /// One in this process.
    Embedded {
        /// The address asked for, if any.
        listen: Option<SocketAddr>,
        /// Whether guests may create identities.
        guests: bool,
    },
    /// One elsewhere.
    At(String),
}

/// Everything a node needs to start.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Settings from all sources.
    pub(crate) settings: Settings,
    /// Where everything lies.
    pub(crate) dir: DataDir,
    /// Which backbone.
    pub(crate) backbone: WhichBackbone,
}

impl Plan {
    /// From settings, for a purpose that decides on the default data directory.
    ///
    /// # Errors
    /// A failure if the data directory cannot be used.
    pub(crate) fn new(settings: Settings, purpose: Purpose) -> Result<Self, Failure> {
        let path = match &settings.data_dir {
            Some(path) => path.clone(),
            None => platform::default_data_dir(purpose)?,
        };
        let dir = DataDir::open(path)?;
        let remembered = Memory::recall(&dir)?;
        let backbone = match (&settings.backbone_url, settings.backbone_listen, remembered.backbone_url) {
            (Some(url), ..) => WhichBackbone::At(url.clone()),
            // The identity lives there; at an embedded backbone nobody would know it.
            (None, None, Some(url)) => WhichBackbone::At(url),
            (None, listen, _) => WhichBackbone::Embedded { listen, guests: settings.backbone_guests },
        };
        Ok(Self { settings, dir, backbone })
    }

    /// As whom to log in: what is configured, else what the last start used, else a client of our own at an embedded
    /// backbone and the guest elsewhere.
    ///
    /// # Errors
    /// A failure if the remembered client cannot be read.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        if let Some((id, secret)) = &self.settings.client {
            return Ok(Client { id: id.clone(), secret: secret.clone() });
        }
        match (Client::recall(&self.dir)?, &self.backbone) {
            (Some(client), _) => Ok(client),
            (None, WhichBackbone::Embedded { .. }) => Client::generate(),
            (None, WhichBackbone::At(_)) => Ok(Client::guest()),
        }
    }
}

/// Merges options, `--a:b=c` settings, environment and file.
///
/// # Errors
/// A failure that names the wrong key and where it stands.
pub(crate) fn configuration(
    global: &Global,
    node: &NodeOptions,
    server: &ServerOptions,
    overrides: &[(String, String)],
    implicit_file: bool,
) -> Result<Configuration, Failure> {
    let mut command_line = Layer::from_command_line(overrides);
    for (key, value) in options_as_settings(global, node, server)? {
        command_line.set(key, value);
    }
    let mut layers = vec![command_line, Layer::from_environment(crate::args::environment())];
    let implicit = || Some(PathBuf::from(DEFAULT_CONFIG_FILE)).filter(|path| implicit_file && Path::new(path).exists());
    if let Some(path) = node.config.clone().or_else(implicit) {
        layers.push(Layer::from_file(&path)?);
    }
    Ok(Configuration::merge(&layers)?)
}

fn options_as_settings(
    global: &Global,
    node: &NodeOptions,
    server: &ServerOptions,
) -> Result<Vec<(&'static str, Value)>, Failure> {
    let client = node.client.read()?;
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
    let settings = [
        ("enlace.dataDir", path(&global.data_dir)),
        ("enlace.listen", server.listen.clone()),
        ("enlace.apiKeyFile", path(&server.api_key_file)),
        ("enlace.backbone.listen", node.backbone_listen.clone()),
        ("transportLibrary.baseUrl", node.backbone.clone()),
        ("transportLibrary.platformClientId", client.as_ref().map(|client| client.id.clone())),
        ("transportLibrary.platformClientSecret", client.map(|client| client.secret.expose().to_owned())),
    ];
    let texts = settings.into_iter().filter_map(|(key, text)| Some((key, Value::String(text?))));
    let flag = node.allow_plain_http.then_some(("enlace.allowPlainHttp", Value::Bool(true)));
    Ok(texts.chain(flag).collect())
}

impl crate::args::ClientOptions {
    /// The client given by either option.
    ///
    /// # Errors
    /// A failure for an unreadable file or a wrong form.
    pub(crate) fn read(&self) -> Result<Option<Client>, Failure> {
        match (&self.client, &self.client_file) {
            (Some(text), _) => Client::parse(text).map(Some),
            (None, Some(path)) => Client::read(path).map(Some),
            (None, None) => Ok(None),
        }
    }
}
