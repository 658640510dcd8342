//! The REST interface of a node in this process.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use api::{ApiConfig, ApiKey, ApiKeyError, ApiKeys, AppwriteConfig, Server};
use runtime::Secret;
use serde_json::{Value, json};

use crate::code::Kind;
use crate::config::{ApiKeySettings, AppwriteSettings, Settings};
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::memory::Memory;
use crate::node::Node;
use crate::output::Output;
use crate::running::Running;
use crate::{api_key, port, time};

/// A REST interface that may be switched off.
pub(crate) struct Served {
    server: Option<Server>,
    api_key_file: PathBuf,
    appwrite: Option<ServedAppwrite>,
    dir: DataDir,
}

/// What clients of `/v1` need.
struct ServedAppwrite {
    project: String,
    key_file: PathBuf,
}

impl Served {
    /// Starts the interface, notes for other commands where it is, and remembers its port.
    ///
    /// # Errors
    /// A failure if the port is taken or a key is not good enough.
    pub(crate) async fn start(node: &Node, settings: &Settings, shown: Value) -> Result<Self, Failure> {
        let dir = node.dir();
        let api_key_file = api_key::path(settings.api_key_file.as_deref(), dir);
        if !settings.rest_enabled {
            return Ok(Self { server: None, api_key_file, appwrite: None, dir: dir.clone() });
        }
        let own_key = api_key::load_or_create(&api_key_file)?;
        let api_key_file = api_key_file.canonicalize().unwrap_or(api_key_file);
        let appwrite = settings.appwrite.as_ref().map(|settings| appwrite(settings, dir)).transpose()?;
        let mut own_keys = vec![ApiKey::new(KEY_FILE_NAME, own_key)];
        let appwrite = appwrite.map(|(served, key)| {
            own_keys.push(key);
            served
        });
        let keys = keys(settings, own_keys, dir)?;
        let config = config(settings, keys, shown);
        let mut memory = Memory::recall(dir)?;
        let server = start_server(settings, memory.rest_port, node, &config).await?;
        let address = server.local_addr();
        if memory.rest_port != Some(address.port()) {
            memory.rest_port = Some(address.port());
            memory.keep(dir)?;
        }
        let running = Running {
            pid: std::process::id(),
            // Commands on this machine do not depend on its network.
            rest_url: local_url(address),
            listen: Some(address),
            api_key_file: api_key_file.clone(),
            backbone_url: node.backbone_url.clone(),
            device_id: node.runtime.account().device_info().await?.id.to_string(),
            max_lifetime: node.max_lifetime().await.map(|lifetime| lifetime.as_secs()),
        };
        running.note(dir)?;
        Ok(Self { server: Some(server), api_key_file, appwrite, dir: dir.clone() })
    }

    /// The address that it is bound to, unless it is off.
    fn listen(&self) -> Option<SocketAddr> {
        self.server.as_ref().map(Server::local_addr)
    }

    /// Where it is, without a path.
    pub(crate) fn url(&self) -> Option<String> {
        self.server.as_ref().map(Server::url)
    }

    /// File with the key to it.
    pub(crate) fn api_key_file(&self) -> &Path {
        &self.api_key_file
    }

    /// `{"url", "listen", "apiKeyFile"}`, or nothing if it is off.
    pub(crate) fn json(&self) -> Value {
        let (Some(url), Some(listen)) = (self.url(), self.listen()) else { return Value::Null };
        json!({ "url": url, "listen": listen, "apiKeyFile": self.api_key_file.to_string_lossy() })
    }

    /// Endpoint, project and key file of `/v1` as a person reads them, or nothing if it is off.
    pub(crate) fn appwrite_rows(&self) -> Vec<(&'static str, String)> {
        let (Some(url), Some(appwrite)) = (self.url(), &self.appwrite) else { return Vec::new() };
        let endpoint = format!("{url}/v1, project {}", appwrite.project);
        vec![("Storage API", endpoint), ("Storage key", appwrite.key_file.display().to_string())]
    }

    /// `{"endpoint", "project", "keyFile"}` for clients of Appwrite's storage, or nothing if it is off.
    pub(crate) fn appwrite_json(&self) -> Value {
        let (Some(url), Some(appwrite)) = (self.url(), &self.appwrite) else { return Value::Null };
        json!({
            "endpoint": format!("{url}/v1"),
            "project": appwrite.project,
            "keyFile": appwrite.key_file.to_string_lossy(),
        })
    }

    /// Warns if other machines can reach it.
    pub(crate) fn warn(&self, output: Output) {
        if let Some(address) = self.listen() {
            warn_of_exposure(address, "REST API", output);
        }
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

/// Checks the keys that a start will accept, without making one. Returns which key files there are, or will be.
///
/// # Errors
/// A failure for a file that cannot be read and for keys that are not good enough.
pub(crate) fn check_keys(settings: &Settings, dir: &DataDir) -> Result<String, Failure> {
    let path = api_key::path(settings.api_key_file.as_deref(), dir);
    let own_key = api_key::read(&path)?;
    let is_made = own_key.is_some();
    let mut own_keys: Vec<_> = own_key.map(|key| ApiKey::new(KEY_FILE_NAME, key)).into_iter().collect();
    let mut files = vec![key_file_text("the key file", is_made, &path)];
    if let Some(appwrite) = &settings.appwrite {
        let path = api_key::appwrite_path(appwrite.key_file.as_deref(), dir);
        let key = api_key::read(&path)?;
        files.push(key_file_text("the key file of /v1", key.is_some(), &path));
        own_keys.extend(key.map(|key| appwrite_key(APPWRITE_FILE_NAME, key, None)).transpose()?);
    }
    let is_configured = settings.appwrite.as_ref().is_some_and(|appwrite| !appwrite.keys.is_empty());
    if !own_keys.is_empty() || !settings.api_keys.is_empty() || is_configured {
        keys(settings, own_keys, dir)?;
    }
    Ok(files.join("; "))
}

fn key_file_text(which: &str, is_made: bool, path: &Path) -> String {
    let path = path.display();
    if is_made { format!("{which} is {path}") } else { format!("the next start creates {which} {path}") }
}

/// What logs call the key of the key file.
const KEY_FILE_NAME: &str = "key file";
/// What logs call the key of the key file for `/v1`.
const APPWRITE_FILE_NAME: &str = "key file of /v1";

/// The key for `/v1` of the key file, which is made if there is none.
fn appwrite(settings: &AppwriteSettings, dir: &DataDir) -> Result<(ServedAppwrite, ApiKey), Failure> {
    let key_file = api_key::appwrite_path(settings.key_file.as_deref(), dir);
    let key = appwrite_key(APPWRITE_FILE_NAME, api_key::load_or_create(&key_file)?, None)?;
    let key_file = key_file.canonicalize().unwrap_or(key_file);
    Ok((ServedAppwrite { project: settings.project.clone(), key_file }, key))
}

/// A key for `/v1`. `place` is where its scopes are written.
fn appwrite_key(place: &str, key: Secret, scopes: Option<&[String]>) -> Result<ApiKey, Failure> {
    ApiKey::for_appwrite(place, key, scopes)
        .map_err(|error| Failure::usage(format!("configuration key {place}: {error}")))
}

/// The keys of the configuration and those of the key files.
fn keys(settings: &Settings, own_keys: Vec<ApiKey>, dir: &DataDir) -> Result<ApiKeys, Failure> {
    let mut keys: Vec<_> = settings.api_keys.iter().map(api_key_of).collect();
    let of_appwrite = settings.appwrite.as_ref();
    for key in of_appwrite.map(|appwrite| appwrite.keys.as_slice()).unwrap_or_default() {
        keys.push(appwrite_key(&key.place, key.key.clone(), key.scopes.as_deref())?);
    }
    keys.extend(own_keys);
    ApiKeys::named(&keys, time::now()).map_err(|error| {
        let place = |name: &String| match settings.api_keys.iter().find(|key| key.name == *name) {
            Some(key) => format!("configuration key {}", key.place),
            None if name == KEY_FILE_NAME => {
                format!("key file {}", api_key::path(settings.api_key_file.as_deref(), dir).display())
            }
            None if name == APPWRITE_FILE_NAME => {
                let configured = of_appwrite.and_then(|appwrite| appwrite.key_file.as_deref());
                format!("key file {}", api_key::appwrite_path(configured, dir).display())
            }
            None => format!("configuration key {name}"),
        };
        match &error {
            ApiKeyError::Weak(name) => Failure::usage(format!("{}: the API key is too weak", place(name)))
                .hint(format!("use {}", ApiKeyError::strong_key())),
            ApiKeyError::Duplicate(one, other) => {
                Failure::usage(format!("{} and {}: the API keys are the same", place(one), place(other)))
                    .hint("use a different key for each")
            }
            _ => Failure::usage(error.to_string()),
        }
    })
}

fn config(settings: &Settings, keys: ApiKeys, shown: Value) -> ApiConfig {
    let mut config = ApiConfig::new(keys);
    config.allowed_hosts = settings.allowed_hosts.iter().cloned().collect::<BTreeSet<_>>();
    config.allowed_origins = settings.allowed_origins.iter().cloned().collect::<BTreeSet<_>>();
    config.docs = settings.docs_enabled;
    config.own_face = settings.own_face_enabled;
    config.appwrite = settings.appwrite.as_ref().map(|appwrite| AppwriteConfig {
        project: appwrite.project.clone(),
        guest_writes_per_minute: appwrite.guest_writes_per_minute,
    });
    config.shown_configuration = shown;
    config
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
        result = Server::start(listen, node.runtime.clone(), config.clone())
            .await
            .map_err(|error| port::unavailable(&error, "REST API", "--listen"));
        if !result.as_ref().is_err_and(|failure| failure.kind == Kind::Network) {
            break;
        }
    }
    result
}

/// Warns of an address that other machines can reach.
pub(crate) fn warn_of_exposure(address: SocketAddr, what: &str, output: Output) {
    if let Some(message) = exposure(address, what) {
        output.warning(&message, "listen on 127.0.0.1, and put a proxy with TLS in front for other machines");
    }
}

/// Who can reach an address, if that is not this machine alone.
fn exposure(address: SocketAddr, what: &str) -> Option<String> {
    let who = match address.ip() {
        ip if ip.is_loopback() => return None,
        ip if ip.is_unspecified() => "every machine that reaches this one on any network".to_owned(),
        ip => format!("every machine that reaches {ip}"),
    };
    Some(format!(
        "the {what} listens on {address}: {who} can use it, and what is sent, keys included, is not encrypted"
    ))
}

/// An address that this machine can use for a listener that may listen everywhere.
fn local_url(address: SocketAddr) -> String {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_that_other_machines_reach_is_warned_of() {
        let warning = |text: &str| exposure(text.parse().unwrap(), "REST API");
        for text in ["127.0.0.1:1", "127.1.2.3:1", "[::1]:1"] {
            assert_eq!(warning(text), None, "{text}");
        }
        for text in ["0.0.0.0:4711", "[::]:4711", "192.168.0.2:4711", "[fe80::1]:4711"] {
            let warning = warning(text).unwrap();
            assert!(warning.contains(text) && warning.contains("every machine") && warning.contains("not encrypted"));
        }
    }
}
