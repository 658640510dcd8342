//! The typed form of a configuration.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use runtime::{ContentStoreConfig, Secret, StorageConfig, StoreKey, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::appwrite::{self, AppwriteSettings, AppwriteTree};
use super::peers::{self, PeerSettings, PeersTree};
use super::source::levels;
use super::{ConfigError, ConfigErrors, Layer, Origin, tree};
use crate::limits::{BackboneLimits, PeerAddresses};
use crate::port;

/// What a node needs to know, with addresses, times and paths already read.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// URL of the backbone; the embedded one if absent.
    pub(crate) backbone_url: Option<String>,
    /// OAuth client at the backbone.
    pub(crate) client: Option<(String, Secret)>,
    /// Whether the first start may create an identity.
    pub(crate) allow_identity_creation: bool,
    /// Host name inside a new address.
    pub(crate) address_hostname: Option<String>,
    /// Longest backbone request.
    pub(crate) timeout: Duration,
    /// Redirects followed at the backbone.
    pub(crate) max_redirects: usize,
    /// Largest file in bytes.
    pub(crate) max_file_size: u64,
    /// Maximum size of a file from another identity in bytes.
    pub(crate) max_received_file_size: u64,
    /// What is kept of the contents of files; none leaves it as it is.
    pub(crate) content_store: Option<ContentStoreConfig>,
    /// Bounds for files in buckets.
    pub(crate) storage: StorageConfig,
    /// How often the backbone is asked how own tokens were used; none never.
    pub(crate) token_interval: Option<Duration>,
    /// Largest content of a token in bytes of JSON.
    pub(crate) max_token_content: usize,
    /// Whether changes go to the datawallet.
    pub(crate) datawallet_enabled: bool,
    /// Whether http to a distant backbone is allowed.
    pub(crate) allow_plain_http: bool,
    /// Where the key of the local store comes from.
    pub(crate) store_key: StoreKey,
    /// Identity, keys, files.
    pub(crate) data_dir: Option<PathBuf>,
    /// Whether the REST API is served.
    pub(crate) rest_enabled: bool,
    /// REST address, if one was asked for.
    pub(crate) listen: Option<SocketAddr>,
    /// Where the generated API key is.
    pub(crate) api_key_file: Option<PathBuf>,
    /// Keys from the configuration, by name.
    pub(crate) api_keys: Vec<ApiKeySettings>,
    /// Further host names of the REST API.
    pub(crate) allowed_hosts: Vec<String>,
    /// Origins of the web pages that may call the REST API.
    pub(crate) allowed_origins: Vec<String>,
    /// Whether `/api/enlace/v1` is part of the REST API.
    pub(crate) own_face_enabled: bool,
    /// How `/v1` is served; `None` if it is not.
    pub(crate) appwrite: Option<AppwriteSettings>,
    /// Whether the API describes itself.
    pub(crate) docs_enabled: bool,
    /// Interval of the periodic synchronization; `None` if it is off.
    pub(crate) sync_interval: Option<Duration>,
    /// Address of the embedded backbone, if one was asked for.
    pub(crate) backbone_listen: Option<SocketAddr>,
    /// Whether strangers may create identities at the embedded backbone.
    pub(crate) backbone_guests: bool,
    /// What others may do at the embedded backbone.
    pub(crate) backbone_limits: BackboneLimits,
    /// Where the embedded backbone serves peers, if it does.
    pub(crate) backbone_peers: PeerAddresses,
    /// How peers are reached; `None` if they are not.
    pub(crate) peers: Option<PeerSettings>,
}

/// A key that opens the REST API.
#[derive(Debug, Clone)]
pub(crate) struct ApiKeySettings {
    /// For logs.
    pub(crate) name: String,
    /// The configuration key that holds it, and where that was found.
    pub(crate) place: String,
    /// The key itself.
    pub(crate) key: Secret,
    /// From when on it is refused.
    pub(crate) expires_at: Option<Timestamp>,
    /// What it may do; everything if absent.
    pub(crate) scopes: Option<Vec<String>>,
}

/// The tree as it stands in files; [`Settings`] is what is made of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tree {
    transport_library: TransportLibrary,
    infrastructure: Infrastructure,
    modules: Modules,
    enlace: Enlace,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TransportLibrary {
    base_url: Option<String>,
    platform_client_id: Option<String>,
    platform_client_secret: Option<String>,
    allow_identity_creation: bool,
    address_generation_hostname_override: Option<String>,
    platform_timeout: u64,
    platform_max_redirects: usize,
    platform_max_unencrypted_file_size: u64,
    datawallet_enabled: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Infrastructure {
    http_server: HttpServer,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HttpServer {
    enabled: bool,
    port: Option<u64>,
    api_key: Option<String>,
    #[serde(default)]
    authentication: Authentication,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Authentication {
    api_key: ApiKeys,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ApiKeys {
    keys: BTreeMap<String, ApiKey>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiKey {
    enabled: Option<bool>,
    key: Option<String>,
    expires_at: Option<String>,
    scopes: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Modules {
    core_http_api: CoreHttpApi,
    sync: Sync,
}

#[derive(Deserialize)]
struct CoreHttpApi {
    enabled: bool,
    docs: Docs,
}

#[derive(Deserialize)]
struct Docs {
    enabled: bool,
}

#[derive(Deserialize)]
struct Sync {
    enabled: bool,
    interval: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Enlace {
    data_dir: Option<PathBuf>,
    listen: Option<String>,
    api_key_file: Option<PathBuf>,
    allowed_hosts: Vec<String>,
    allowed_origins: Vec<String>,
    allow_plain_http: bool,
    http_api: HttpApi,
    appwrite: AppwriteTree,
    max_received_file_size: u64,
    content_store: ContentStoreTree,
    storage: StorageTree,
    tokens: TokensTree,
    max_token_content_size: usize,
    #[serde(default)]
    store_key: StoreKeyTree,
    backbone: EmbeddedBackbone,
    peers: PeersTree,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContentStoreTree {
    max_size: u64,
    keep_uploads: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokensTree {
    ask_interval: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StorageTree {
    max_file_size: u64,
    max_unfinished_bytes: u64,
}

#[derive(Deserialize)]
struct HttpApi {
    enabled: bool,
}

#[derive(Deserialize, Default)]
struct StoreKeyTree {
    file: Option<PathBuf>,
    environment: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EmbeddedBackbone {
    listen: Option<String>,
    guests: bool,
    peer_listen: Vec<String>,
    peer_announce: Vec<String>,
    limits: BackboneLimits,
}

impl Settings {
    /// Reads a tree whose keys and forms have been checked. `layers` are its sources, the strongest first.
    ///
    /// # Errors
    /// Everything that is wrong with the values.
    pub(super) fn read(values: &Value, layers: &[Layer]) -> Result<Self, ConfigErrors> {
        let tree = Tree::deserialize(values)
            .map_err(|error| ConfigErrors(vec![ConfigError::Unreadable { reason: error.to_string() }]))?;
        let (transport, http, enlace) = (tree.transport_library, tree.infrastructure.http_server, tree.enlace);
        let mut problems = Problems { layers, found: Vec::new() };
        let settings = Self {
            backbone_url: problems.note(transport.base_url.map(|text| base_url(&text)).transpose()),
            client: problems.note(client(transport.platform_client_id, transport.platform_client_secret)),
            allow_identity_creation: transport.allow_identity_creation,
            address_hostname: transport.address_generation_hostname_override,
            timeout: Duration::from_millis(transport.platform_timeout),
            max_redirects: transport.platform_max_redirects,
            max_file_size: transport.platform_max_unencrypted_file_size,
            datawallet_enabled: transport.datawallet_enabled,
            max_received_file_size: enlace.max_received_file_size,
            content_store: Some(ContentStoreConfig {
                keep_uploads: enlace.content_store.keep_uploads,
                ..ContentStoreConfig::new(enlace.content_store.max_size)
            }),
            storage: problems.note(storage(&enlace.storage)),
            token_interval: Some(Duration::from_secs(enlace.tokens.ask_interval))
                .filter(|interval| !interval.is_zero()),
            max_token_content: enlace.max_token_content_size,
            allow_plain_http: enlace.allow_plain_http,
            store_key: problems.note(store_key(enlace.store_key)),
            data_dir: enlace.data_dir,
            rest_enabled: http.enabled && tree.modules.core_http_api.enabled,
            listen: problems.note(listen(enlace.listen, http.port)),
            api_key_file: enlace.api_key_file,
            api_keys: api_keys(http.api_key, http.authentication.api_key.keys, &mut problems),
            allowed_hosts: enlace.allowed_hosts,
            allowed_origins: problems.note(origins(enlace.allowed_origins)),
            own_face_enabled: enlace.http_api.enabled,
            appwrite: appwrite::read(enlace.appwrite, &mut problems),
            docs_enabled: tree.modules.core_http_api.docs.enabled,
            sync_interval: problems.note(sync_interval(&tree.modules.sync)),
            backbone_listen: problems
                .note(enlace.backbone.listen.map(|text| address("enlace.backbone.listen", &text)).transpose()),
            backbone_guests: enlace.backbone.guests,
            backbone_limits: enlace.backbone.limits,
            backbone_peers: PeerAddresses {
                listen: enlace.backbone.peer_listen,
                announce: enlace.backbone.peer_announce,
            },
            peers: peers::read(enlace.peers, &mut problems),
        };
        if problems.found.is_empty() { Ok(settings) } else { Err(ConfigErrors(problems.found)) }
    }
}

/// What is wrong so far.
pub(super) struct Problems<'a> {
    layers: &'a [Layer],
    found: Vec<ConfigError>,
}

impl Problems<'_> {
    /// The value; if it cannot be, something in its place until all others have been read.
    pub(super) fn note<T: Default>(&mut self, result: Result<T, Problem>) -> T {
        result.unwrap_or_else(|Problem { key, problem }| {
            let origin = self.origin(&key).cloned();
            self.found.push(ConfigError::Value { key, origin, problem });
            T::default()
        })
    }

    /// The strongest source with a value for a key.
    fn origin(&self, key: &str) -> Option<&Origin> {
        let path = levels(key);
        self.layers.iter().find(|layer| tree::has(&layer.values, &path))?.origin(&path)
    }

    /// A key and its source, for messages that come later.
    pub(super) fn place(&self, key: &str) -> String {
        self.origin(key).map_or_else(|| key.to_owned(), |origin| format!("{key} {origin}"))
    }
}

/// A value that has the right form and still cannot be.
pub(super) struct Problem {
    key: String,
    problem: String,
}

pub(super) fn problem(key: impl Into<String>, problem: impl Into<String>) -> Problem {
    Problem { key: key.into(), problem: problem.into() }
}

fn base_url(text: &str) -> Result<String, Problem> {
    backbone_url(text).map_err(|reason| problem("transportLibrary.baseUrl", reason))
}

/// Reads a URL, with spaces around it and a scheme in upper or lower case.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn backbone_url(text: &str) -> Result<String, String> {
    let text = text.trim();
    let (scheme, rest) = text.split_once("://").map_or(("", text), |(scheme, rest)| (scheme, rest));
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "http" && scheme != "https" {
        return Err(format!("{text:?} must start with http:// or https://"));
    }
    if rest.contains(['|', '@', '?', '#']) || rest.contains(char::is_whitespace) {
        return Err(
            "must be a URL without user, query, fragment, spaces and |, because references contain it".to_owned()
        );
    }
    if reqwest::Url::parse(&format!("{scheme}://{rest}")).is_err() {
        return Err(format!("{text:?} is not a URL such as https://backbone.example.org"));
    }
    Ok(format!("{scheme}://{}", rest.trim_end_matches('/')))
}

fn client(id: Option<String>, secret: Option<String>) -> Result<Option<(String, Secret)>, Problem> {
    const ID: &str = "transportLibrary.platformClientId";
    const SECRET: &str = "transportLibrary.platformClientSecret";
    match (id, secret) {
        (Some(id), Some(secret)) => Ok(Some((id, Secret::new(secret)))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(problem(ID, format!("{SECRET} must be set, too"))),
        (None, Some(_)) => Err(problem(SECRET, format!("{ID} must be set, too"))),
    }
}

fn storage(tree: &StorageTree) -> Result<StorageConfig, Problem> {
    match tree.max_file_size {
        0 => Err(problem("enlace.storage.maxFileSize", "must be at least 1")),
        max_file_size => Ok(StorageConfig {
            max_file_size,
            max_unfinished_bytes: tree.max_unfinished_bytes,
            ..StorageConfig::default()
        }),
    }
}

fn store_key(tree: StoreKeyTree) -> Result<StoreKey, Problem> {
    match (tree.file, tree.environment) {
        (None, None) => Ok(StoreKey::File),
        (Some(path), None) => Ok(StoreKey::FileAt(path)),
        (None, Some(name)) => Ok(StoreKey::Environment(name)),
        (Some(_), Some(_)) => {
            Err(problem("enlace.storeKey.environment", "enlace.storeKey.file is set, too; set one of them"))
        }
    }
}

fn listen(listen: Option<String>, port: Option<u64>) -> Result<Option<SocketAddr>, Problem> {
    const PORT: &str = "infrastructure.httpServer.port";
    match (listen, port) {
        (Some(text), _) => address("enlace.listen", &text).map(Some),
        (None, Some(port)) => {
            let port = u16::try_from(port).map_err(|_| problem(PORT, "must be at most 65535"))?;
            Ok(Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
        }
        (None, None) => Ok(None),
    }
}

fn address(key: &'static str, text: &str) -> Result<SocketAddr, Problem> {
    port::parse_address(text).map_err(|reason| problem(key, reason))
}

/// Origins as browsers send them. Any other text would never match one.
fn origins(given: Vec<String>) -> Result<Vec<String>, Problem> {
    let is_origin = |text: &str| {
        let url = reqwest::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        url.is_some_and(|url| url.origin().ascii_serialization().eq_ignore_ascii_case(text))
    };
    match given.iter().find(|text| !is_origin(text)) {
        None => Ok(given),
        Some(text) => Err(problem(
            "enlace.allowedOrigins",
            format!("{text:?} is not an origin such as https://app.example.org, without a path and a default port"),
        )),
    }
}

fn sync_interval(sync: &Sync) -> Result<Option<Duration>, Problem> {
    match (sync.enabled, sync.interval) {
        (false, _) => Ok(None),
        (true, 0) => Err(problem("modules.sync.interval", "must be at least 1")),
        (true, seconds) => Ok(Some(Duration::from_secs(seconds))),
    }
}

fn api_keys(single: Option<String>, named: BTreeMap<String, ApiKey>, problems: &mut Problems) -> Vec<ApiKeySettings> {
    let single = single.map(|key| ApiKeySettings {
        name: "apiKey".to_owned(),
        place: problems.place("infrastructure.httpServer.apiKey"),
        key: Secret::new(key),
        expires_at: None,
        scopes: None,
    });
    let named = named.into_iter().filter(|(_, key)| key.enabled.unwrap_or(true));
    let named = named.filter_map(|(name, key)| {
        let place = problems.place(&format!("{NAMED_KEYS}.{name}.key"));
        problems.note(api_key(name, place, key).map(Some))
    });
    single.into_iter().chain(named).collect()
}

/// Where API keys with names are.
const NAMED_KEYS: &str = "infrastructure.httpServer.authentication.apiKey.keys";

fn api_key(name: String, place: String, given: ApiKey) -> Result<ApiKeySettings, Problem> {
    let key = given.key.ok_or_else(|| problem(format!("{NAMED_KEYS}.{name}"), "its member key is missing"))?;
    let unreadable = || problem(format!("{NAMED_KEYS}.{name}.expiresAt"), "must be an ISO 8601 time");
    let expires_at = given.expires_at.map(|text| text.parse().map_err(|_| unreadable())).transpose()?;
    Ok(ApiKeySettings { name, place, key: Secret::new(key), expires_at, scopes: given.scopes })
}

#[cfg(test)]
pub(super) mod tests {
    use runtime::StorageConfig;
    use serde_json::json;

    use super::super::Configuration;
    use super::*;

    pub(in crate::config) fn settings(values: Value) -> Result<Settings, ConfigError> {
        let merged = Configuration::merge(&[Layer::of(Origin::Option("--x".to_owned()), values)]);
        merged.map(|merged| merged.settings).map_err(|mut errors| errors.0.remove(0))
    }

    #[test]
    fn a_backbone_is_read_with_blanks_around_it_and_a_scheme_in_any_case() {
        let read =
            |text: &str| settings(json!({"transportLibrary": {"baseUrl": text}})).map(|it| it.backbone_url.unwrap());
        for text in ["https://b.example.org", " HTTPS://b.example.org/ ", "Https://b.example.org\n"] {
            assert_eq!(read(text).unwrap(), "https://b.example.org", "{text:?}");
        }
        for text in ["b.example.org", "ftp://x", "http://u@x", "http://x?y", "http://a b", "http://", "://x", ""] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_api_is_off_if_either_switch_is() {
        let is_on = |server: bool, module: bool| {
            let values = json!({
                "infrastructure": {"httpServer": {"enabled": server}},
                "modules": {"coreHttpApi": {"enabled": module}},
            });
            settings(values).unwrap().rest_enabled
        };
        assert!(is_on(true, true) && !is_on(false, true) && !is_on(true, false));
    }

    #[test]
    fn the_defaults_alone_are_a_configuration() {
        let settings = settings(json!({})).unwrap();
        assert_eq!(settings.timeout, Duration::from_secs(60));
        assert_eq!(settings.backbone_url, None);
        assert_eq!(settings.listen, None);
        assert!(settings.rest_enabled && settings.datawallet_enabled && settings.backbone_guests);
    }

    #[test]
    fn the_whole_address_is_stronger_than_the_port() {
        let with = |values| settings(values).unwrap().listen.unwrap().to_string();
        assert_eq!(with(json!({"infrastructure": {"httpServer": {"port": 81}}})), "127.0.0.1:81");
        assert_eq!(
            with(json!({"enlace": {"listen": "localhost:0"}, "infrastructure": {"httpServer": {"port": 81}}})),
            "127.0.0.1:0"
        );
    }

    #[test]
    fn values_that_cannot_be_are_refused_by_key() {
        for (values, key) in [
            (json!({"transportLibrary": {"baseUrl": "ftp://x"}}), "transportLibrary.baseUrl"),
            (json!({"transportLibrary": {"baseUrl": "http://u@x"}}), "transportLibrary.baseUrl"),
            (
                json!({"transportLibrary": {"platformClientId": "x"}}),
                "transportLibrary.platformClientSecret must be set",
            ),
            (json!({"enlace": {"listen": "8080"}}), "enlace.listen"),
            (json!({"infrastructure": {"httpServer": {"port": 70000}}}), "infrastructure.httpServer.port"),
            (json!({"modules": {"sync": {"enabled": true, "interval": 0}}}), "modules.sync.interval"),
            (json!({"enlace": {"allowedOrigins": ["*"]}}), "enlace.allowedOrigins"),
            (
                json!({"enlace": {"backbone": {"limits": {"guestDays": 4294967296_u64}}}}),
                "enlace.backbone.limits.guestDays",
            ),
            (
                json!({"enlace": {"appwrite": {"guestWritesPerMinute": 4294967296_u64}}}),
                "enlace.appwrite.guestWritesPerMinute",
            ),
            (json!({"enlace": {"appwrite": {"tokenRetention": 4294967296_u64}}}), "enlace.appwrite.tokenRetention"),
        ] {
            let text = settings(values).unwrap_err().to_string();
            assert!(text.contains(key), "{text}");
        }
    }

    #[test]
    fn bounds_of_storage_are_those_of_the_runtime_unless_they_are_set() {
        assert_eq!(settings(json!({})).unwrap().storage, StorageConfig::default());
        let set = json!({"enlace": {"storage": {"maxFileSize": 1, "maxUnfinishedBytes": 0}}});
        let expected = StorageConfig { max_file_size: 1, max_unfinished_bytes: 0, ..StorageConfig::default() };
        assert_eq!(settings(set).unwrap().storage, expected);
        for (member, value) in
            [("maxFileSize", json!(0)), ("maxFileSize", json!(-1)), ("maxUnfinishedBytes", json!("1"))]
        {
            let refused = settings(json!({"enlace": {"storage": {member: value}}})).unwrap_err().to_string();
            assert!(refused.contains(&format!("enlace.storage.{member} given with --x")), "{refused}");
        }
    }

    #[test]
    fn the_node_asks_about_tokens_each_minute_unless_it_is_told_otherwise() {
        let interval = |values| settings(values).unwrap().token_interval;
        assert_eq!(interval(json!({})), Some(Duration::from_secs(60)));
        assert_eq!(interval(json!({"enlace": {"tokens": {"askInterval": 5}}})), Some(Duration::from_secs(5)));
        assert_eq!(interval(json!({"enlace": {"tokens": {"askInterval": 0}}})), None);
    }

    #[test]
    fn origins_are_written_as_browsers_send_them() {
        let read = |text: &str| settings(json!({"enlace": {"allowedOrigins": [text]}})).map(|it| it.allowed_origins);
        for text in
            ["https://app.example.org", "http://localhost:3000", "https://[::1]:8443", "HTTPS://App.Example.org"]
        {
            assert_eq!(read(text).unwrap(), [text]);
        }
        for text in
            ["*", "null", "", "app.example.org", "https://a.b/", "https://a.b/c", "https://a.b:443", "file:///a"]
        {
            assert!(read(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn disabled_keys_are_left_out_and_keys_without_a_key_are_refused() {
        let keys = |keys: Value| {
            settings(json!({"infrastructure": {"httpServer": {"authentication": {"apiKey": {"keys": keys}}}}}))
        };
        let read = keys(json!({"a": {"key": "k"}, "b": {"key": "l", "enabled": false}})).unwrap().api_keys;
        assert_eq!(read.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["a"]);
        assert!(
            keys(json!({"a": {"description": "x"}}))
                .unwrap_err()
                .to_string()
                .contains("keys.a given with --x: its member key is missing")
        );
    }
}
