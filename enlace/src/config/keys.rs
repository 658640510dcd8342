//! Every key a configuration may have: its form, its default, what it means. Anything else is refused.
//!
//! Keys outside `enlace` are those of the published connectors, so that an existing configuration keeps its meaning.

use serde_json::Value;

/// What a key's value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueForm {
    /// `true` or `false`.
    Flag,
    /// A whole number, zero or more.
    Number,
    /// The same, of at most 32 bits.
    SmallNumber,
    /// A text.
    Text,
    /// A text that is never printed.
    Secret,
    /// A list of texts.
    Texts,
}

impl ValueForm {
    /// Whether a value has this form.
    pub(crate) fn fits(self, value: &Value) -> bool {
        match self {
            Self::Flag => value.is_boolean(),
            Self::Number => value.is_u64(),
            Self::SmallNumber => value.as_u64().is_some_and(|number| u32::try_from(number).is_ok()),
            Self::Text | Self::Secret => value.is_string(),
            Self::Texts => value.as_array().is_some_and(|list| list.iter().all(Value::is_string)),
        }
    }

    /// For messages: "must be …".
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Flag => "true or false",
            Self::Number => "a whole number, zero or more",
            Self::SmallNumber => "a whole number from 0 to 4294967295",
            Self::Text | Self::Secret => "a string",
            Self::Texts => "a list of strings",
        }
    }
}

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    /// Levels joined by dots; `<name>` stands for any one level.
    pub(crate) path: &'static str,
    /// What its value looks like.
    pub(crate) form: ValueForm,
    /// Default as JSON text; empty if there is none.
    pub(crate) default: &'static str,
    /// What it is for: in messages and in the README's table.
    pub(crate) meaning: &'static str,
}

impl Key {
    /// Whether a concrete path is this key.
    pub(crate) fn matches(&self, path: &[String]) -> bool {
        let levels: Vec<&str> = self.path.split('.').collect();
        levels.len() == path.len() && levels.iter().zip(path).all(|(level, given)| *level == "<name>" || level == given)
    }

    /// Whether a concrete path is an object on the way to this key.
    pub(crate) fn is_below(&self, path: &[String]) -> bool {
        let levels: Vec<&str> = self.path.split('.').collect();
        levels.len() > path.len() && levels.iter().zip(path).all(|(level, given)| *level == "<name>" || level == given)
    }
}

const fn key(path: &'static str, form: ValueForm, default: &'static str, meaning: &'static str) -> Key {
    Key { path, form, default, meaning }
}

/// All keys.
pub(crate) const KEYS: &[Key] = &[
    key(
        "transportLibrary.baseUrl",
        ValueForm::Text,
        "",
        "URL of the backbone; an embedded backbone is started if it is not set",
    ),
    key("transportLibrary.platformClientId", ValueForm::Text, "", "ID of the OAuth client at the backbone"),
    key("transportLibrary.platformClientSecret", ValueForm::Secret, "", "secret of the OAuth client"),
    key("transportLibrary.allowIdentityCreation", ValueForm::Flag, "true", "create an identity at the first start"),
    key(
        "transportLibrary.addressGenerationHostnameOverride",
        ValueForm::Text,
        "",
        "domain in the address of a new identity; the backbone is asked if it is not set",
    ),
    key(
        "transportLibrary.platformTimeout",
        ValueForm::Number,
        "60000",
        "timeout of a request to the backbone in milliseconds",
    ),
    key(
        "transportLibrary.platformMaxRedirects",
        ValueForm::Number,
        "10",
        "maximum number of redirects to follow at the backbone",
    ),
    key(
        "transportLibrary.platformMaxUnencryptedFileSize",
        ValueForm::Number,
        "10485760",
        "maximum size of an uploaded file in bytes",
    ),
    key(
        "transportLibrary.datawalletEnabled",
        ValueForm::Flag,
        "true",
        "write changes to the datawallet, from which other devices of the identity read them",
    ),
    key("infrastructure.httpServer.enabled", ValueForm::Flag, "true", "serve the REST API"),
    key(
        "infrastructure.httpServer.port",
        ValueForm::Number,
        "",
        "port of the REST API on loopback; `enlace.listen` takes precedence",
    ),
    key(
        "infrastructure.httpServer.apiKey",
        ValueForm::Secret,
        "",
        "API key with full access, in addition to the one in the key file",
    ),
    key(
        "infrastructure.httpServer.authentication.apiKey.keys.<name>.enabled",
        ValueForm::Flag,
        "",
        "whether the key is accepted (default true)",
    ),
    key("infrastructure.httpServer.authentication.apiKey.keys.<name>.key", ValueForm::Secret, "", "the API key"),
    key(
        "infrastructure.httpServer.authentication.apiKey.keys.<name>.description",
        ValueForm::Text,
        "",
        "description of the key",
    ),
    key(
        "infrastructure.httpServer.authentication.apiKey.keys.<name>.expiresAt",
        ValueForm::Text,
        "",
        "ISO 8601 time at which the key expires",
    ),
    key(
        "infrastructure.httpServer.authentication.apiKey.keys.<name>.scopes",
        ValueForm::Texts,
        "",
        "permissions, for example `core:files` or `core:*` (default `**`)",
    ),
    key(
        "modules.coreHttpApi.enabled",
        ValueForm::Flag,
        "true",
        "serve the REST API; `infrastructure.httpServer.enabled` must be true, too",
    ),
    key(
        "modules.coreHttpApi.docs.enabled",
        ValueForm::Flag,
        "true",
        "serve the API description and its viewer at `/docs`",
    ),
    key("modules.sync.enabled", ValueForm::Flag, "false", "synchronize with the backbone periodically"),
    key("modules.sync.interval", ValueForm::Number, "60", "sync interval in seconds"),
    key("enlace.dataDir", ValueForm::Text, "", "data directory; see `--data-dir`"),
    key("enlace.listen", ValueForm::Text, "", "address of the REST API; port 0 picks a free port"),
    key("enlace.apiKeyFile", ValueForm::Text, "", "file with the API key (default: `api-key` in the data directory)"),
    key(
        "enlace.httpApi.enabled",
        ValueForm::Flag,
        "true",
        "serve `/api/enlace/v1` as part of the REST API; commands need it to use a running process",
    ),
    key("enlace.appwrite.enabled", ValueForm::Flag, "true", "serve `/v1`, the interface of Appwrite's storage"),
    key("enlace.appwrite.project", ValueForm::Text, "\"enlace\"", "id of the project that clients of `/v1` name"),
    key(
        "enlace.appwrite.keyFile",
        ValueForm::Text,
        "",
        "file with a key for `/v1` with all scopes (default: `appwrite-key` in the data directory)",
    ),
    key("enlace.appwrite.maxTotal", ValueForm::Number, "5000", "up to how many matches the lists of `/v1` count"),
    key(
        "enlace.appwrite.guestWritesPerMinute",
        ValueForm::SmallNumber,
        "60",
        "how often an address without a key may write at a URL of `/v1` in a minute; 0 for no limit",
    ),
    key(
        "enlace.appwrite.tokenRetention",
        ValueForm::SmallNumber,
        "30",
        "days for which tokens of `/v1` are kept after they have expired or were revoked",
    ),
    key(
        "enlace.appwrite.accessedAtGranularity",
        ValueForm::SmallNumber,
        "0",
        "hours for which `accessedAt` of a token of `/v1` stays at further uses, 24 in Appwrite; 0 for each use exactly",
    ),
    key("enlace.appwrite.keys.<name>.key", ValueForm::Secret, "", "a further key for `/v1`"),
    key(
        "enlace.appwrite.keys.<name>.scopes",
        ValueForm::Texts,
        "",
        "its scopes, for example `files.read` (default: all)",
    ),
    key(
        "enlace.allowedHosts",
        ValueForm::Texts,
        "[]",
        "additional host names under which the REST API accepts requests",
    ),
    key(
        "enlace.allowedOrigins",
        ValueForm::Texts,
        "[]",
        "origins of web pages that may call the REST API, for example `https://app.example.org`",
    ),
    key(
        "enlace.maxReceivedFileSize",
        ValueForm::Number,
        "10737418240",
        "maximum size of a file from another identity in bytes",
    ),
    key(
        "enlace.contentStore.maxSize",
        ValueForm::Number,
        "1073741824",
        "maximum bytes of ciphertext that the node keeps of its files; 0 keeps none",
    ),
    key(
        "enlace.contentStore.keepUploads",
        ValueForm::Flag,
        "true",
        "keep the ciphertext of uploads that are not files on this machine, such as those over the REST API",
    ),
    key(
        "enlace.storage.maxFileSize",
        ValueForm::Number,
        "30000000",
        "maximum size of a file in a bucket of `/v1` in bytes; a bucket may have a lower one",
    ),
    key(
        "enlace.storage.maxUnfinishedBytes",
        ValueForm::Number,
        "8589934592",
        "maximum bytes that all unfinished uploads to buckets announce together",
    ),
    key(
        "enlace.tokens.askInterval",
        ValueForm::Number,
        "60",
        "seconds between two rounds in which the node asks the backbone how own tokens were used that have a limit or of whose uses somebody wants to be told; 0 asks only on request",
    ),
    key(
        "enlace.maxTokenContentSize",
        ValueForm::Number,
        "262144",
        "maximum size of the content of a token in bytes of JSON",
    ),
    key("enlace.allowPlainHttp", ValueForm::Flag, "false", "allow http to a backbone on another machine"),
    key(
        "enlace.storeKey.file",
        ValueForm::Text,
        "",
        "file with the key of the local store (default: `store.key` in the data directory)",
    ),
    key("enlace.storeKey.environment", ValueForm::Text, "", "environment variable with the key of the local store"),
    key("enlace.backbone.listen", ValueForm::Text, "", "address of the embedded backbone; port 0 picks a free port"),
    key(
        "enlace.backbone.guests",
        ValueForm::Flag,
        "true",
        "let `enlace receive` create guest identities at the embedded backbone",
    ),
    key(
        "enlace.backbone.peerListen",
        ValueForm::Texts,
        "[]",
        "multiaddrs at which the process of the embedded backbone is a relay and a rendezvous server for peers",
    ),
    key(
        "enlace.backbone.peerAnnounce",
        ValueForm::Texts,
        "[]",
        "multiaddrs that peers are told in place of those of the interfaces",
    ),
    key("enlace.backbone.limits.guests", ValueForm::Number, "10000", "maximum number of guest identities"),
    key(
        "enlace.backbone.limits.guestBytes",
        ValueForm::Number,
        "67108864",
        "maximum bytes of tokens and files per guest",
    ),
    key(
        "enlace.backbone.limits.allGuestsBytes",
        ValueForm::Number,
        "1073741824",
        "maximum bytes of tokens and files of all guests together",
    ),
    key(
        "enlace.backbone.limits.guestDays",
        ValueForm::SmallNumber,
        "30",
        "maximum lifetime of the tokens and files of guests in days",
    ),
    key(
        "enlace.backbone.limits.guestIdleHours",
        ValueForm::SmallNumber,
        "24",
        "hours without a login after which a guest without tokens and files is removed when the maximum number is reached",
    ),
    key(
        "enlace.backbone.limits.guestDiskReserve",
        ValueForm::Number,
        "268435456",
        "bytes of disk space that guests cannot use",
    ),
    key(
        "enlace.backbone.limits.identityBytes",
        ValueForm::Number,
        "1099511627776",
        "maximum bytes of tokens and files per identity that is not a guest",
    ),
    key(
        "enlace.backbone.limits.largeFileBytes",
        ValueForm::Number,
        "17179869184",
        "maximum size of a file that is uploaded in several requests in bytes",
    ),
    key(
        "enlace.backbone.limits.wrongPasswords",
        ValueForm::SmallNumber,
        "10",
        "wrong passwords per token and network address in 15 minutes; 0 means no limit",
    ),
    key(
        "enlace.backbone.limits.relayReservations",
        ValueForm::SmallNumber,
        "256",
        "maximum number of peers with a reservation at the relay of the backbone",
    ),
    key(
        "enlace.backbone.limits.relayReservationsPerPeer",
        ValueForm::SmallNumber,
        "2",
        "maximum number of reservations per peer at the relay",
    ),
    key(
        "enlace.backbone.limits.relayCircuits",
        ValueForm::SmallNumber,
        "64",
        "maximum number of relayed connections at a time",
    ),
    key(
        "enlace.backbone.limits.relayCircuitsPerPeer",
        ValueForm::SmallNumber,
        "4",
        "maximum number of relayed connections per peer at a time",
    ),
    key(
        "enlace.backbone.limits.relayCircuitBytes",
        ValueForm::Number,
        "1073741824",
        "bytes after which a relayed connection is closed",
    ),
    key(
        "enlace.backbone.limits.relayCircuitSeconds",
        ValueForm::SmallNumber,
        "3600",
        "seconds after which a relayed connection is closed",
    ),
    key(
        "enlace.backbone.limits.rendezvousRegistrations",
        ValueForm::SmallNumber,
        "4096",
        "maximum number of registrations at the rendezvous server of the backbone",
    ),
    key(
        "enlace.backbone.limits.rendezvousRegistrationsPerPeer",
        ValueForm::SmallNumber,
        "16",
        "maximum number of registrations per peer at the rendezvous server",
    ),
    key(
        "enlace.peers.enabled",
        ValueForm::Flag,
        "true",
        "reach other nodes directly, and be reached by them; without it everything goes through the backbone",
    ),
    key(
        "enlace.peers.listen",
        ValueForm::Texts,
        "",
        "addresses for peers as multiaddrs, for example `/ip4/0.0.0.0/tcp/4712` or `/ip6/::/udp/4712/quic-v1`; port 0 picks a \
         free port, an empty list listens nowhere (default: all interfaces, TCP and QUIC, at the ports of the last start)",
    ),
    key(
        "enlace.peers.mdns",
        ValueForm::Flag,
        "true",
        "find peers in the local network, and be found, by multicast DNS",
    ),
    key(
        "enlace.peers.dht.protocol",
        ValueForm::Text,
        "",
        "name of the distributed hash table to take part in, for example `/example/kad/1`; none if it is not set or empty",
    ),
    key(
        "enlace.peers.dht.bootstrap",
        ValueForm::Texts,
        "[]",
        "multiaddrs of nodes in the distributed hash table, each with `/p2p/` and its peer ID",
    ),
    key(
        "enlace.peers.relays",
        ValueForm::Texts,
        "[]",
        "multiaddrs of relays by which others reach this node, each with `/p2p/` and its peer ID",
    ),
    key(
        "enlace.peers.rendezvous",
        ValueForm::Texts,
        "[]",
        "multiaddrs of rendezvous servers where codes are announced and looked up, each with `/p2p/` and its peer ID",
    ),
    key(
        "enlace.peers.backboneServices",
        ValueForm::Flag,
        "true",
        "use the relay and the rendezvous server that the backbone offers, too",
    ),
    key(
        "enlace.peers.relaying",
        ValueForm::Flag,
        "true",
        "reach others through relays, and use them for hole punching",
    ),
    key(
        "enlace.peers.privateAddresses",
        ValueForm::Flag,
        "true",
        "tell others the addresses of this machine in private networks, and dial such addresses if others tell them",
    ),
    key(
        "enlace.peers.loopbackAddresses",
        ValueForm::Flag,
        "",
        "the same for loopback addresses (default: only if peers listen on loopback only, and for `receive`)",
    ),
    key(
        "enlace.peers.standIn",
        ValueForm::Flag,
        "false",
        "let tokens that other devices of the identity make name this device, too: it gives their files, from its content store or the backbone, while those devices cannot be reached",
    ),
    key(
        "enlace.peers.disclosure",
        ValueForm::Text,
        "\"identified\"",
        "who is told which identity this node has: `identified` for peers that have proven theirs, or `everyone`",
    ),
    key("enlace.peers.limits.connections", ValueForm::SmallNumber, "512", "maximum number of connections to peers"),
    key(
        "enlace.peers.limits.connectionsPerPeer",
        ValueForm::SmallNumber,
        "4",
        "maximum number of open connections to one peer; when a peer opens one more, the idlest one that it opened is closed",
    ),
    key(
        "enlace.peers.limits.streamsPerConnection",
        ValueForm::SmallNumber,
        "16",
        "maximum number of streams that one connection has open at a time",
    ),
    key(
        "enlace.peers.limits.streams",
        ValueForm::SmallNumber,
        "256",
        "maximum number of streams that all peers have open at a time",
    ),
    key(
        "enlace.peers.limits.requestsPerSecond",
        ValueForm::SmallNumber,
        "64",
        "maximum number of requests of one peer in a second",
    ),
    key(
        "enlace.peers.limits.wrongPasswords",
        ValueForm::SmallNumber,
        "10",
        "wrong passwords per token and network address of peers in 15 minutes; 0 means no limit",
    ),
];

/// Keys of the published connectors that mean nothing here, with what to do instead.
pub(crate) const ELSEWHERE: &[(&str, &str)] = &[
    ("debug", "use -v or the environment variable RUST_LOG"),
    ("database", "the database is embedded; set enlace.dataDir"),
    ("logging", "use -v, --log-format or the environment variable RUST_LOG"),
    ("infrastructure.httpServer.cors", "set enlace.allowedOrigins"),
    ("infrastructure.httpServer.helmetOptions", "security headers are always sent"),
    ("infrastructure.httpServer.jwtBearer", "use API keys"),
    ("infrastructure.httpServer.oidc", "use API keys"),
    ("infrastructure.httpServer.authentication.jwtBearer", "use API keys"),
    ("infrastructure.httpServer.authentication.oidc", "use API keys"),
    ("modules", "this module is not part of enlace"),
    ("enforceCertificatePinning", "certificates are verified with the certificate authorities of the system"),
    (
        "pinnedTLSCertificateSHA256Fingerprints",
        "certificates are verified with the certificate authorities of the system",
    ),
];

/// Whether a module of the published connectors is part of enlace.
pub(crate) fn has_module(name: &str) -> bool {
    KEYS.iter().any(|key| {
        let mut levels = key.path.split('.');
        levels.next() == Some("modules") && levels.next() == Some(name)
    })
}

/// What to do instead of using a key of the published connectors that means nothing here.
pub(crate) fn elsewhere(path: &[String]) -> Option<&'static str> {
    if let [root, module, ..] = path
        && root == "modules"
        && has_module(module)
    {
        return None;
    }
    let is_below = |root: &str| {
        let levels: Vec<&str> = root.split('.').collect();
        path.len() >= levels.len() && levels.iter().zip(path).all(|(level, given)| level == given)
    };
    ELSEWHERE.iter().find(|(root, _)| is_below(root)).map(|(_, instead)| *instead)
}

/// The key nearest to a path that does not exist, if one is near at all.
pub(crate) fn nearest(path: &str) -> Option<&'static Key> {
    let last = |text: &str| text.rsplit('.').next().unwrap_or_default().to_lowercase();
    let distance_of_last = |key: &Key| strsim::damerau_levenshtein(&last(key.path), &last(path));
    let distance = |key: &&Key| {
        strsim::damerau_levenshtein(&key.path.to_lowercase(), &path.to_lowercase()) + 2 * distance_of_last(key)
    };
    let nearest = KEYS.iter().min_by_key(distance)?;
    (2 * distance_of_last(nearest) <= last(nearest.path).len().max(last(path).len())).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use runtime::{Config, ContentStoreConfig, PeerLimits, StorageConfig};

    use super::*;
    use crate::limits::BackboneLimits;

    #[test]
    fn every_default_has_the_form_of_its_key() {
        for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
            let value: Value = serde_json::from_str(key.default).unwrap();
            assert!(key.form.fits(&value), "{}", key.path);
        }
    }

    #[test]
    fn limits_of_peers_have_the_defaults_of_the_runtime() {
        let limits = PeerLimits::default();
        for (name, limit) in [
            ("connections", limits.connections),
            ("connectionsPerPeer", limits.connections_per_peer),
            ("streamsPerConnection", limits.streams_per_connection),
            ("streams", limits.streams),
            ("requestsPerSecond", limits.requests_per_second),
            ("wrongPasswords", limits.wrong_passwords),
        ] {
            let path = format!("enlace.peers.limits.{name}");
            assert_eq!(KEYS.iter().find(|key| key.path == path).unwrap().default, limit.to_string(), "{path}");
        }
    }

    #[test]
    fn sizes_of_files_have_the_defaults_of_the_runtime() {
        for (path, size) in [
            ("transportLibrary.platformMaxUnencryptedFileSize", Config::DEFAULT_MAX_FILE_SIZE),
            ("enlace.maxReceivedFileSize", Config::DEFAULT_MAX_RECEIVED_FILE_SIZE),
            ("enlace.contentStore.maxSize", ContentStoreConfig::DEFAULT_MAX_SIZE),
            ("enlace.storage.maxFileSize", StorageConfig::DEFAULT_MAX_FILE_SIZE),
            ("enlace.storage.maxUnfinishedBytes", StorageConfig::DEFAULT_MAX_UNFINISHED_BYTES),
        ] {
            assert_eq!(KEYS.iter().find(|key| key.path == path).unwrap().default, size.to_string());
        }
    }

    #[test]
    fn the_node_asks_about_tokens_as_often_as_the_runtime_would() {
        let key = KEYS.iter().find(|key| key.path == "enlace.tokens.askInterval").unwrap();
        assert_eq!(key.default, Config::DEFAULT_TOKEN_INTERVAL.as_secs().to_string());
    }

    #[test]
    fn limits_of_the_backbone_have_the_defaults_of_the_code() {
        let limits = serde_json::to_value(BackboneLimits::default()).unwrap();
        let limits = limits.as_object().unwrap();
        let of_limits = |key: &&Key| key.path.starts_with("enlace.backbone.limits.");
        assert_eq!(KEYS.iter().filter(of_limits).count(), limits.len());
        for (name, value) in limits {
            let path = format!("enlace.backbone.limits.{name}");
            assert_eq!(KEYS.iter().find(|key| key.path == path).unwrap().default, value.to_string(), "{path}");
        }
    }

    #[test]
    fn a_misspelt_key_leads_to_the_one_that_was_meant() {
        for (given, meant) in [
            ("transportLibrary.baseURL", "transportLibrary.baseUrl"),
            ("transportlibrary.platformClientID", "transportLibrary.platformClientId"),
            ("baseUrl", "transportLibrary.baseUrl"),
            ("enlace.dataDirectory", "enlace.dataDir"),
            ("infrastructure.httpServer.prot", "infrastructure.httpServer.port"),
        ] {
            assert_eq!(nearest(given).unwrap().path, meant, "{given}");
        }
        for far in ["colour", "my.own.setting", "x"] {
            assert!(nearest(far).is_none(), "{far}");
        }
    }

    #[test]
    fn the_readme_has_the_table_of_all_keys() {
        let readme = include_str!("../../../README.md");
        let rows: Vec<&str> = readme
            .lines()
            .skip_while(|line| *line != "| Key | Form | Default | Meaning |")
            .skip(2)
            .take_while(|line| line.starts_with('|'))
            .collect();
        let expected: Vec<String> = KEYS.iter().map(row).collect();
        assert_eq!(rows, expected, "replace the table by:\n{}", expected.join("\n"));
    }

    fn row(key: &Key) -> String {
        let form = match key.form {
            ValueForm::Flag => "yes/no",
            ValueForm::Number | ValueForm::SmallNumber => "number",
            ValueForm::Text => "text",
            ValueForm::Secret => "secret",
            ValueForm::Texts => "list",
        };
        let default = if key.default.is_empty() { " ".to_owned() } else { format!(" `{}`", key.default) };
        format!("| `{}` | {form} |{default} | {} |", key.path, key.meaning)
    }
}
