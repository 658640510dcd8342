//! The settings of a backbone, with all defaults.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use listener::pace::PaceLimits;
use zeroize::Zeroizing;

use crate::clock::{Clock, SystemClock};
#[cfg(feature = "testing")]
use crate::fault::Faults;
#[cfg(feature = "peers")]
use crate::peers::PeerServices;
use crate::quota::Terms;

const MEBIBYTE: u64 = 1024 * 1024;

/// Settings of a [`Backbone`](crate::Backbone).
#[derive(Clone)]
pub struct Config {
    /// Where to listen. Port 0 takes a free one. With 127.0.0.1 it also listens on ::1 and the other way round, because clients
    /// resolve `localhost` to either.
    pub listen: SocketAddr,
    /// The directory of records and files, used by one process at a time. Created with mode 0700, refused if other users can
    /// write in it or replace it.
    pub data_dir: PathBuf,
    /// Host name inside the addresses of identities. Clients recompute addresses with the host name of the base URL
    /// they use, so it must be that name.
    pub did_domain_name: String,
    /// The applications that may create identities and log devices in.
    pub clients: Vec<OAuthClient>,
    /// Limits on what clients can use of the server.
    pub limits: Limits,
    /// Rules for device passwords and lockouts.
    pub password_policy: PasswordPolicy,
    /// How long an access token is valid.
    pub access_token_lifetime: Duration,
    /// Interval of removing expired records, which also happens at the start. `None` leaves it to [`admin`](crate::admin).
    pub sweep_interval: Option<Duration>,
    /// Where operators read [metrics](crate::admin::Admin::peers), at `/metrics` in the text format of Prometheus; nowhere by default.
    pub metrics_listen: Option<SocketAddr>,
    /// What it does for peers; nothing by default.
    #[cfg(feature = "peers")]
    pub peers: Option<PeerServices>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The failures to inject.
    #[cfg(feature = "testing")]
    pub faults: Option<Faults>,
}

impl Config {
    /// The defaults: loopback, a free port, DID domain `localhost`, no OAuth client.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            data_dir: data_dir.into(),
            did_domain_name: "localhost".to_owned(),
            clients: Vec::new(),
            limits: Limits::default(),
            password_policy: PasswordPolicy::Production,
            access_token_lifetime: Duration::from_secs(300),
            sweep_interval: Some(Duration::from_secs(60 * 60)),
            metrics_listen: None,
            #[cfg(feature = "peers")]
            peers: None,
            clock: Arc::new(SystemClock),
            #[cfg(feature = "testing")]
            faults: None,
        }
    }

    /// The same settings with one more OAuth client.
    #[must_use]
    pub fn with_client(mut self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        self.clients.push(OAuthClient::new(id, secret));
        self
    }

    /// The same settings with another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}

/// Leaves the client secrets out.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("data_dir", &self.data_dir)
            .field("did_domain_name", &self.did_domain_name)
            .field("clients", &self.clients)
            .field("limits", &self.limits)
            .field("password_policy", &self.password_policy)
            .finish_non_exhaustive()
    }
}

/// An application that is registered with the backbone.
#[derive(Clone)]
pub struct OAuthClient {
    /// Its identifier.
    pub id: String,
    /// Its secret.
    pub secret: Zeroizing<String>,
    /// The quotas and limits of its identities, including how many of them may exist.
    pub terms: Terms,
}

impl OAuthClient {
    /// A client that may create any number of identities.
    #[must_use]
    pub fn new(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { id: id.into(), secret: Zeroizing::new(secret.into()), terms: Terms::ordinary() }
    }

    /// A public client, whose identities are guests.
    #[must_use]
    pub fn guest(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { terms: Terms::guest(), ..Self::new(id, secret) }
    }
}

/// Leaves the secret out.
impl fmt::Debug for OAuthClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthClient").field("id", &self.id).field("terms", &self.terms).finish_non_exhaustive()
    }
}

/// Limits on what clients can use of the server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Maximum bytes of an uploaded file. The official client sends up to 13 981 117, so never below 14 MiB.
    pub max_file_bytes: u64,
    /// Bytes of a file that is uploaded in several requests, which official clients do not do.
    pub max_large_file_bytes: u64,
    /// Uploads of one identity that are not finished.
    pub max_unfinished_uploads: usize,
    /// How long an upload may take before it is removed; see also [`Terms::upload_idle`].
    pub upload_lifetime: Duration,
    /// How long whoever follows an upload waits for a further acknowledged byte before the connection is ended.
    pub follow_idle: Duration,
    /// Maximum bytes of a request body other than an upload, which is streamed.
    pub max_body_bytes: u64,
    /// Maximum bytes of a token's content.
    pub max_content_bytes: u64,
    /// Maximum number of open connections. When they are all in use, a new one replaces an idle one, see
    /// [`listener::admission`]; [`Places::of`](listener::admission::Places::of) says how the total is shared.
    pub max_connections: usize,
    /// Maximum bytes of a request's head; at least 8 KiB. Older clients list records in the URI, which may have 64 KiB. A
    /// connection also buffers this much of a body.
    pub max_header_bytes: usize,
    /// Time from the first byte of a request to the end of its headers.
    pub header_timeout: Duration,
    /// Time between two pieces of a request body, and between two pieces of an answer that a client accepts.
    pub body_timeout: Duration,
    /// Time for the whole body of a request without a login.
    pub anonymous_body_timeout: Duration,
    /// Minimum bytes per second of a body after [`body_timeout`](Self::body_timeout), about the speed of a poor mobile
    /// connection.
    pub min_body_rate: u64,
    /// How long an idle connection stays open. Official clients reuse connections that were idle for more than a minute and
    /// do not retry, so this is well above a minute.
    pub idle_timeout: Duration,
    /// Rates of requests without a login, for each network address.
    pub rates: Rates,
    /// Maximum number of wrong passwords for one token from one network address in 15 minutes. Further attempts are refused
    /// without being counted, so that one address cannot lock a token. Zero for any number.
    pub wrong_passwords: u32,
    /// Maximum number of tokens without an owner: created without a login and still empty.
    pub max_anonymous_tokens: u64,
}

/// Rates of requests without a login, for each network address.
///
/// A network address is an IPv4 address, the /64 network of an IPv6 address, or this machine under any address.
#[derive(Debug, Clone)]
pub struct Rates {
    /// Creating challenges.
    pub challenges: Rate,
    /// Creating identities with a client that has [`Terms::idle`], as public clients do.
    pub guest_identities: Rate,
    /// Creating empty tokens.
    pub anonymous_tokens: Rate,
    /// Reading tokens. Those who log in have as large an allowance of claims of tokens that others created, on this machine for each
    /// identity.
    pub anonymous_reads: Rate,
    /// Factor for this machine, because its users and the requests that a proxy forwards share one address.
    pub loopback_factor: u32,
}

/// A rate: a burst, and one more after each interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests that may come at once; at least 1.
    pub burst: u32,
    /// Time until one more is allowed.
    pub interval: Duration,
}

impl Default for Rates {
    fn default() -> Self {
        let rate = |burst, milliseconds| Rate { burst, interval: Duration::from_millis(milliseconds) };
        Self {
            challenges: rate(100, 500),
            // On this machine 200 at once and 8,640 a day: fewer than the quota of the public client, and identities that are
            // unused for a day are removed.
            guest_identities: rate(10, 200_000),
            anonymous_tokens: rate(20, 5_000),
            anonymous_reads: rate(200, 100),
            loopback_factor: 20,
        }
    }
}

impl Limits {
    /// The defaults, but with files of up to this many plaintext bytes.
    #[must_use]
    pub fn for_files_of(plaintext_bytes: u64) -> Self {
        let defaults = Self::default();
        // A sealed file is JSON around the base64 of ciphertext and tag, plus some 80 bytes of names and nonce.
        let sealed = plaintext_bytes.saturating_add(16).div_ceil(3).saturating_mul(4).saturating_add(128);
        Self { max_file_bytes: defaults.max_file_bytes.max(sealed), ..defaults }
    }

    /// Maximum bytes of the multipart body of an upload. It depends on the size of files only, because it is streamed.
    pub(crate) fn max_upload_bytes(&self) -> u64 {
        self.max_body_bytes.max(self.max_file_bytes.saturating_add(5 * MEBIBYTE))
    }

    /// The time limits of request bodies.
    pub(crate) fn pace(&self) -> PaceLimits {
        PaceLimits { anonymous: self.anonymous_body_timeout, timeout: self.body_timeout, rate: self.min_body_rate }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_file_bytes: 15 * MEBIBYTE,
            max_large_file_bytes: 16 * 1024 * MEBIBYTE,
            max_unfinished_uploads: 128,
            upload_lifetime: Duration::from_secs(7 * 24 * 60 * 60),
            follow_idle: Duration::from_secs(30),
            max_body_bytes: 20 * MEBIBYTE,
            max_content_bytes: 10 * MEBIBYTE,
            max_connections: 1024,
            max_header_bytes: 96 * 1024,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(60),
            anonymous_body_timeout: Duration::from_secs(30),
            min_body_rate: 16 * 1024,
            idle_timeout: Duration::from_secs(150),
            rates: Rates::default(),
            wrong_passwords: transport::access::WRONG_PASSWORDS,
            max_anonymous_tokens: 20_000,
        }
    }
}

/// The required strength of device passwords, and how long a device is locked out after three failed logins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordPolicy {
    /// Ten characters of four kinds; a lockout of ten minutes.
    Production,
    /// One character; a lockout of one minute.
    Development,
}
