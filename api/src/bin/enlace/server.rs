//! The REST interface of a node in this process.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use api::{ApiConfig, ApiKey, ApiKeys, Server, ServerError};
use serde_json::{Value, json};

use crate::config::{ApiKeySettings, Settings};
use crate::data_dir::DataDir;
use crate::failure::{Failure, Kind, with_sources};
use crate::memory::Memory;
use crate::node::Node;
use crate::running::Running;
use crate::{api_key, port, time};

/// A REST interface that may be switched off.
pub(crate) struct Served {
    server: Option<Server>,
    url: Option<String>,
    api_key_file: PathBuf,
    dir: DataDir,
}

impl Served {
    /// Starts the interface, notes for other commands where it is, and remembers its port.
    ///
    /// # Errors
    /// A failure if the port is taken or a key is not good enough.
    pub(crate) async fn start(node: &Node, settings: &Settings, shown: Value) -> Result<Self, Failure> {
        let dir = node.dir();
        let api_key_file = settings.api_key_file.clone().unwrap_or_else(|| dir.join(api_key::FILE));
        if !settings.rest_enabled {
            return Ok(Self { server: None, url: None, api_key_file, dir: dir.clone() });
        }
        let own_key = api_key::load_or_create(&api_key_file)?;
        let api_key_file = api_key_file.canonicalize().unwrap_or(api_key_file);
        let config = config(settings, ApiKey::new("key file", own_key), shown)?;
        let mut memory = Memory::recall(dir)?;
        let server = start_server(settings, memory.rest_port, node, &config).await?;
        let address = server.local_addr();
        if memory.rest_port != Some(address.port()) {
            memory.rest_port = Some(address.port());
            memory.keep(dir)?;
        }
        let url = reachable(address);
        let running = Running {
            pid: std::process::id(),
            rest_url: url.clone(),
            api_key_file: api_key_file.clone(),
            backbone_url: node.backbone_url.clone(),
            device_id: node.runtime.account().device_info().await?.id.to_string(),
        };
        running.note(dir)?;
        Ok(Self { server: Some(server), url: Some(url), api_key_file, dir: dir.clone() })
    }

    /// Where it is, without a path.
    pub(crate) fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// Where the key to it lies.
    pub(crate) fn api_key_file(&self) -> &Path {
        &self.api_key_file
    }

    /// `{"url", "apiKeyFile"}`, or nothing if it is off.
    pub(crate) fn json(&self) -> Value {
        self.url
            .as_ref()
            .map_or(Value::Null, |url| json!({ "url": url, "apiKeyFile": self.api_key_file.to_string_lossy() }))
    }

    /// Lets running requests end, then stops.
    pub(crate) async fn stop(self) {
        if let Some(server) = self.server {
            // First the note: once the port is free, others must not be led to it with the key.
            Running::forget(&self.dir);
            server.shutdown().await;
        }
    }
}

fn config(settings: &Settings, own_key: ApiKey, shown: Value) -> Result<ApiConfig, Failure> {
    let configured = settings.api_keys.iter().map(api_key_of);
    let keys = ApiKeys::named(&configured.chain([own_key]).collect::<Vec<_>>(), time::now())
        .map_err(|error| Failure::usage(error.to_string()))?;
    let mut config = ApiConfig::new(keys);
    config.allowed_hosts = settings.allowed_hosts.iter().cloned().collect::<BTreeSet<_>>();
    config.docs = settings.docs_enabled;
    config.shown_configuration = shown;
    Ok(config)
}

fn api_key_of(settings: &ApiKeySettings) -> ApiKey {
    let mut key = ApiKey::new(&settings.name, settings.key.clone());
    key.expires_at = settings.expires_at;
    if let Some(scopes) = &settings.scopes {
        key.scopes.clone_from(scopes);
    }
    key
}

async fn start_server(
    settings: &Settings,
    remembered: Option<u16>,
    node: &Node,
    config: &ApiConfig,
) -> Result<Server, Failure> {
    let mut result = Err(Failure::general("no address to listen on"));
    for listen in port::candidates(settings.listen, remembered, port::REST) {
        result = Server::start(listen, node.runtime.clone(), config.clone()).await.map_err(|error| match error {
            ServerError::Listen { address, source } => port::unavailable(address, &source, "REST API", "--listen"),
            other => Failure::general(with_sources(&other)),
        });
        if !result.as_ref().is_err_and(|failure| failure.kind == Kind::Network) {
            break;
        }
    }
    result
}

/// An address that this machine can use for a listener that may listen everywhere.
fn reachable(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}
