//! Settings of a node, parsed. Defaults live here, each with its reason.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use transport::backbone::ClientConfig;
use zeroize::Zeroizing;

/// A text that must not be printed: client secrets, passwords. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a secret text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The secret text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// There is no `Serialize`: fields that are written in clear name this.
pub(crate) fn serialize_in_clear<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(serializer)
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Settings of a [`crate::Runtime`].
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the store, its key and temporary files live. Created with mode 0700.
    pub data_dir: PathBuf,
    /// The backbone and the OAuth client for it.
    pub backbone: BackboneConfig,
    /// Where the key that encrypts the store comes from.
    pub store_key: StoreKey,
    /// Whether the first start may create an identity.
    pub allow_identity_creation: bool,
    /// Largest file in bytes of plaintext that is uploaded.
    pub max_file_size: u64,
    /// Largest file of somebody else in bytes of plaintext. Files of this identity may have
    /// [`max_file_size`](Self::max_file_size) if that is more.
    pub max_received_file_size: u64,
    /// Whether changes are recorded and pushed to the datawallet. What was changed while it was off is never pushed: other
    /// devices do not learn of it, and it does not survive the loss of this device.
    pub datawallet_enabled: bool,
    /// Name and description of the device when it is created.
    pub device: DeviceProfile,
    /// What is kept of the contents of files, so that they need not be fetched again. Without it nothing is kept, and what an
    /// earlier start has kept stays as it is.
    pub content_store: Option<ContentStoreConfig>,
    /// How this node reaches others directly and is reached by them. Without it everything goes through the backbone.
    pub peers: Option<PeerConfig>,
    /// Bounds for buckets and uploads to them.
    pub storage: StorageConfig,
    /// How often the backbone is asked how own tokens with a limit, or of whose uses somebody wants to be told, were used. Without it only
    /// whoever asks for the terms of a token learns that; zero is the same. After failures it is asked less often.
    pub token_interval: Option<Duration>,
}

/// How a node reaches others directly, and is reached by them. Addresses are multiaddrs, as texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerConfig {
    /// Where it listens; nowhere if empty, then it still reaches others. Port 0 lets the system choose.
    pub listen: Vec<String>,
    /// Whether it finds peers in the local network, and is found by them, by multicast DNS.
    pub mdns: bool,
    /// The distributed hash table that it takes part in.
    pub dht: Option<DhtConfig>,
    /// Relays by which it can be reached, with their peer id at the end.
    pub relays: Vec<String>,
    /// Rendezvous servers where codes are announced and looked up, with their peer id at the end.
    pub rendezvous: Vec<String>,
    /// Whether the relay and the rendezvous server that the backbone offers are used, too.
    pub backbone_services: bool,
    /// Whether it reaches others through relays, and uses them for hole punching.
    pub relaying: bool,
    /// Whether addresses of private networks are told to others in references and tokens, and dialled if others tell them.
    pub private_addresses: bool,
    /// The same for addresses of this machine.
    pub loopback_addresses: bool,
    /// Whether tokens that other devices of the identity make name this device, too, so that it gives their files while those devices cannot be
    /// reached. What of a file is not in its content store it takes from the backbone. It tells the other devices its addresses through the datawallet.
    pub stand_in: bool,
    /// Whether tokens that this device makes name other devices of the identity that stand in for it.
    pub name_others: bool,
    /// For how long bytes of a file are asked for at one place, the node that shares it or the backbone, before the other one is
    /// asked, too.
    pub patience: Duration,
    /// Who is told which identity this node has.
    pub disclosure: PeerDisclosure,
    /// Bounds for what peers can take.
    pub limits: PeerLimits,
}

/// A distributed hash table in which nodes find each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DhtConfig {
    /// Name of its protocol; nodes with other names are not in it.
    pub protocol: String,
    /// Nodes that are in it, with their peer id at the end.
    pub bootstrap: Vec<String>,
}

/// Who is told which identity a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PeerDisclosure {
    /// Those who have proven one of their own.
    #[default]
    Identified,
    /// Everybody who connects.
    Everyone,
}

/// Bounds for what peers can take from a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerLimits {
    /// Connections in total.
    pub connections: u32,
    /// Open connections with one peer. When it opens one more, the one of its own that has been idle for the longest time is closed.
    pub connections_per_peer: u32,
    /// Streams that one connection has open at a time.
    pub streams_per_connection: u32,
    /// Streams that all peers have open at a time.
    pub streams: u32,
    /// Requests that one peer may make in a second; as many again at once after a pause.
    pub requests_per_second: u32,
    /// Wrong passwords that peers at one host may try for a token within 15 minutes; 0 for as many as lock it.
    pub wrong_passwords: u32,
}

impl Default for PeerLimits {
    /// Enough for everything that the protocols do at the same time (specification, section 11).
    fn default() -> Self {
        Self {
            connections: 512,
            connections_per_peer: 4,
            streams_per_connection: 16,
            streams: 256,
            requests_per_second: 64,
            wrong_passwords: transport::access::WRONG_PASSWORDS,
        }
    }
}

impl PeerConfig {
    /// Listens at the loopback interface, at a port that the system chooses, and finds nobody by itself: for several nodes on one machine, in tests
    /// for example.
    #[must_use]
    pub fn on_this_machine() -> Self {
        Self {
            listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()],
            mdns: false,
            relaying: false,
            loopback_addresses: true,
            ..Self::default()
        }
    }
}

impl Default for PeerConfig {
    /// Listens at all interfaces, at ports that the system chooses, and finds peers in the local network. Nothing is used that
    /// somebody else runs, but what the backbone offers.
    fn default() -> Self {
        let all = ["/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1", "/ip6/::/udp/0/quic-v1"];
        Self {
            listen: all.map(str::to_owned).into(),
            mdns: true,
            dht: None,
            relays: Vec::new(),
            rendezvous: Vec::new(),
            backbone_services: true,
            relaying: true,
            private_addresses: true,
            loopback_addresses: false,
            stand_in: false,
            name_others: true,
            patience: Duration::from_secs(1),
            disclosure: PeerDisclosure::default(),
            limits: PeerLimits::default(),
        }
    }
}

/// How many bytes of ciphertext a node keeps, and which. Only files of format `v2` are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentStoreConfig {
    /// Most bytes on the disk. With 0 the store is off, and what an earlier start has kept is removed.
    pub max_size: u64,
    /// Whether the chunks of uploads are kept that cannot be read again. Uploads from files of this machine are not copied: the
    /// files themselves are read again while they are unchanged.
    pub keep_uploads: bool,
    /// Whether chunks that were fetched are kept.
    pub keep_downloads: bool,
}

impl ContentStoreConfig {
    /// Some large files, or many small ones; little beside what disks have today.
    pub const DEFAULT_MAX_SIZE: u64 = 1024 * 1024 * 1024;

    /// Keeps everything within so many bytes.
    #[must_use]
    pub fn new(max_size: u64) -> Self {
        Self { max_size, keep_uploads: true, keep_downloads: true }
    }
}

impl Default for ContentStoreConfig {
    fn default() -> Self {
        Self::new(Self::DEFAULT_MAX_SIZE)
    }
}

impl Config {
    /// Most plaintext bytes the official client takes: a larger file could not be read by it.
    pub const DEFAULT_MAX_FILE_SIZE: u64 = 10 * 1024 * 1024;
    /// More than people usually send, less than the size of a disk, which a hostile sender could fill.
    pub const DEFAULT_MAX_RECEIVED_FILE_SIZE: u64 = 10 * 1024 * 1024 * 1024;
    /// Soon enough for a person, and at most 64 small requests.
    pub const DEFAULT_TOKEN_INTERVAL: Duration = Duration::from_secs(60);

    /// Settings with defaults for everything except the directory and the backbone.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>, backbone: BackboneConfig) -> Self {
        Self {
            data_dir: data_dir.into(),
            backbone,
            store_key: StoreKey::File,
            allow_identity_creation: true,
            max_file_size: Self::DEFAULT_MAX_FILE_SIZE,
            max_received_file_size: Self::DEFAULT_MAX_RECEIVED_FILE_SIZE,
            // On, unlike in the published connectors: another device can recover everything from the log.
            datawallet_enabled: true,
            device: DeviceProfile::default(),
            // An application decides how much of a disk it takes.
            content_store: None,
            // It decides what listens, too.
            peers: None,
            storage: StorageConfig::default(),
            token_interval: Some(Self::DEFAULT_TOKEN_INTERVAL),
        }
    }
}

/// Bounds for files in buckets and for uploads in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageConfig {
    /// Most bytes of a file in a bucket. A bucket may have a lower bound.
    pub max_file_size: u64,
    /// Most bytes that all unfinished uploads together may announce; at least [`max_file_size`](Self::max_file_size) counts.
    pub max_unfinished_bytes: u64,
    /// How long file tokens are kept after they have expired or were revoked.
    pub token_retention: Duration,
    /// How far the time at which a file token was used last may be behind: a further use changes it only if it is as old as this.
    pub access_granularity: Duration,
    /// Up to how many matches the lists of an interface count.
    pub max_total: u64,
}

impl StorageConfig {
    /// What Appwrite is shipped with.
    pub const DEFAULT_MAX_FILE_SIZE: u64 = 30_000_000;
    /// Some hundred files of the size above.
    pub const DEFAULT_MAX_UNFINISHED_BYTES: u64 = 8 * 1024 * 1024 * 1024;
    /// 30 days.
    pub const DEFAULT_TOKEN_RETENTION: Duration = Duration::from_secs(30 * 24 * 60 * 60);
    /// Each use.
    pub const DEFAULT_ACCESS_GRANULARITY: Duration = Duration::ZERO;
    /// What Appwrite counts to.
    pub const DEFAULT_MAX_TOTAL: u64 = 5000;
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            max_file_size: Self::DEFAULT_MAX_FILE_SIZE,
            max_unfinished_bytes: Self::DEFAULT_MAX_UNFINISHED_BYTES,
            token_retention: Self::DEFAULT_TOKEN_RETENTION,
            access_granularity: Self::DEFAULT_ACCESS_GRANULARITY,
            max_total: Self::DEFAULT_MAX_TOTAL,
        }
    }
}

/// Which backbone a node uses.
#[derive(Debug, Clone)]
pub struct BackboneConfig {
    /// `http://` or `https://`, without a vertical bar or an at sign, because references carry it.
    pub base_url: String,
    /// OAuth client.
    pub client_id: String,
    /// Secret of the OAuth client.
    pub client_secret: Secret,
    /// Domain inside new addresses; the one that the backbone answers with if absent.
    pub address_hostname: Option<String>,
    /// Where the host of the base URL is, for a backbone whose socket is known; the name is then not resolved.
    pub host_address: Option<IpAddr>,
    /// Longest time one request may take.
    pub timeout: Duration,
    /// Redirects followed before giving up.
    pub max_redirects: usize,
    /// Whether `http://` to a host that is not loopback is allowed.
    pub allow_plain_http: bool,
    /// Largest content of a token in bytes of JSON. Larger ones are neither created nor loaded.
    pub max_token_content: usize,
}

impl BackboneConfig {
    /// Contents are references, keys and a few values of applications; the protocol would allow 10 MiB.
    pub const DEFAULT_MAX_TOKEN_CONTENT: usize = ClientConfig::DEFAULT_MAX_TOKEN_CONTENT;

    /// Settings with the protocol's usual time-outs.
    #[must_use]
    pub fn new(base_url: impl Into<String>, client_id: impl Into<String>, client_secret: Secret) -> Self {
        Self {
            base_url: base_url.into(),
            client_id: client_id.into(),
            client_secret,
            address_hostname: None,
            host_address: None,
            timeout: Duration::from_secs(60),
            max_redirects: 10,
            allow_plain_http: false,
            max_token_content: Self::DEFAULT_MAX_TOKEN_CONTENT,
        }
    }
}

/// Where the 32-byte key of the store comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum StoreKey {
    /// `store.key` in the data directory, mode 0600, created at the first start.
    #[default]
    File,
    /// A file elsewhere, same form.
    FileAt(PathBuf),
    /// base64url in this environment variable.
    Environment(String),
}

/// Name and description of a device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceProfile {
    /// Name shown to users.
    pub name: Option<String>,
    /// Description shown to users.
    pub description: Option<String>,
}
