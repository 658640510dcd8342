//! What a backbone can be told, with the defaults in one place.

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
use crate::quota::Terms;

const MEBIBYTE: u64 = 1024 * 1024;

/// Settings of a [`Backbone`](crate::Backbone).
#[derive(Clone)]
pub struct Config {
    /// Where to listen. Port 0 takes a free one. 127.0.0.1 and ::1 come together, because clients that are told
    /// `localhost` use either.
    pub listen: SocketAddr,
    /// Where records and files live. Created with mode 0700, refused if other users can write in it or replace it; one
    /// process at a time.
    pub data_dir: PathBuf,
    /// Host name inside the addresses of identities. Clients recompute addresses with the host name of the base URL
    /// they use, so it must be that name.
    pub did_domain_name: String,
    /// Applications that may create identities and log devices in.
    pub clients: Vec<OAuthClient>,
    /// Bounds on what a client can make the server do.
    pub limits: Limits,
    /// How strong device passwords have to be.
    pub password_policy: PasswordPolicy,
    /// How long a login lasts.
    pub access_token_lifetime: Duration,
    /// How often expired records are removed, beside once at the start. `None` leaves that to [`admin`](crate::admin).
    pub sweep_interval: Option<Duration>,
    /// The source of time.
    pub clock: Arc<dyn Clock>,
    /// Failures to inject.
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

    /// The same settings with another source of time.
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
    /// What its identities may do. The quota of the client says how many there may be.
    pub terms: Terms,
}

impl OAuthClient {
    /// A client that may create any number of identities.
    #[must_use]
    pub fn new(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { id: id.into(), secret: Zeroizing::new(secret.into()), terms: Terms::ordinary() }
    }

    /// A client that everybody knows.
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

/// Bounds on what a client can make the server do.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of an uploaded file. The official client sends up to 13 981 117, so never below 14 MiB.
    pub max_file_bytes: u64,
    /// Bytes of a file that is uploaded in several requests, which official clients do not do.
    pub max_large_file_bytes: u64,
    /// Uploads of one identity that are not finished.
    pub max_unfinished_uploads: usize,
    /// How long an upload may take before it is removed.
    pub upload_lifetime: Duration,
    /// Bytes of a request body. Uploads are streamed and may be larger, if files may.
    pub max_body_bytes: u64,
    /// Bytes of a token's content.
    pub max_content_bytes: u64,
    /// Connections at one time. When all are taken, a newcomer takes the place of one that waits for its next request, see
    /// [`listener::admission`]; [`Places::of`](listener::admission::Places::of) says how the total is shared.
    pub max_connections: usize,
    /// Bytes of the head of a request; at least 8 KiB. Older clients name records in the URI, which may have 64 KiB. A
    /// connection buffers as much of a body.
    pub max_header_bytes: usize,
    /// From the first byte of a request to the end of its headers.
    pub header_timeout: Duration,
    /// Between two pieces of a request body, and between two pieces that a client takes of an answer.
    pub body_timeout: Duration,
    /// The whole body of a request whose sender is not logged in.
    pub anonymous_body_timeout: Duration,
    /// Bytes in a second that a body has to bring after [`body_timeout`](Self::body_timeout): a mobile connection that
    /// hardly works is as fast.
    pub min_body_rate: u64,
    /// How long an unused connection stays open. Official clients reuse connections without retry after more than a
    /// minute of silence, so well above that.
    pub idle_timeout: Duration,
    /// How often one network address may do what needs no login.
    pub rates: Rates,
    /// Wrong passwords for one token that one network address may try in 15 minutes. Further attempts of it are refused
    /// without being counted, so that one address cannot lock a token. Zero for any number.
    pub wrong_passwords: u32,
    /// Tokens that nobody owns: made without a login and not filled yet.
    pub max_anonymous_tokens: u64,
}

/// How often one network address may do what needs no login: so many at once, and one more after each interval.
///
/// An address is an IPv4 address, the /64 network of an IPv6 address, or this machine, whatever its address is.
#[derive(Debug, Clone)]
pub struct Rates {
    /// Challenges.
    pub challenges: Rate,
    /// Identities of clients with [`Terms::idle`], which are those that everybody knows.
    pub guest_identities: Rate,
    /// Empty tokens.
    pub anonymous_tokens: Rate,
    /// Tokens that are read.
    pub anonymous_reads: Rate,
    /// How many times as much this machine may do: all its users, and whatever a proxy forwards, share one address.
    pub loopback_factor: u32,
}

/// So many at once, and one more after each interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// At once; at least 1.
    pub burst: u32,
    /// Until one more is allowed.
    pub interval: Duration,
}

impl Default for Rates {
    fn default() -> Self {
        let rate = |burst, milliseconds| Rate { burst, interval: Duration::from_millis(milliseconds) };
        Self {
            challenges: rate(100, 500),
            // On this machine 200 at once and 8,640 a day: fewer than there are places, and those that go unused for a day
            // are free again.
            guest_identities: rate(10, 200_000),
            anonymous_tokens: rate(20, 5_000),
            anonymous_reads: rate(200, 100),
            loopback_factor: 20,
        }
    }
}

impl Limits {
    /// The defaults, and room for files of this many plaintext bytes.
    #[must_use]
    pub fn for_files_of(plaintext_bytes: u64) -> Self {
        let defaults = Self::default();
        // A sealed file is JSON around the base64 of ciphertext and tag, plus some 80 bytes of names and nonce.
        let sealed = plaintext_bytes.saturating_add(16).div_ceil(3).saturating_mul(4).saturating_add(128);
        Self { max_file_bytes: defaults.max_file_bytes.max(sealed), ..defaults }
    }

    /// Bytes of the multipart body of an upload: unlike other bodies it is streamed, so it may follow the files.
    pub(crate) fn max_upload_bytes(&self) -> u64 {
        self.max_body_bytes.max(self.max_file_bytes.saturating_add(5 * MEBIBYTE))
    }

    /// The time that request bodies may take.
    pub(crate) fn pace(&self) -> PaceLimits {
        PaceLimits { anonymous: self.anonymous_body_timeout, patience: self.body_timeout, rate: self.min_body_rate }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_file_bytes: 15 * MEBIBYTE,
            max_large_file_bytes: 16 * 1024 * MEBIBYTE,
            max_unfinished_uploads: 128,
            upload_lifetime: Duration::from_secs(7 * 24 * 60 * 60),
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
            wrong_passwords: 10,
            max_anonymous_tokens: 20_000,
        }
    }
}

/// How strong device passwords have to be, and how long a device is locked out after three failed logins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordPolicy {
    /// Ten characters of four kinds; ten minutes.
    Production,
    /// One character; one minute.
    Development,
}
