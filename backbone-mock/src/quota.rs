//! Quotas: how much an identity, and all identities of a client together, may store.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

const MEBIBYTE: u64 = 1024 * 1024;
const GIBIBYTE: u64 = 1024 * MEBIBYTE;
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Bytes that a record counts beside its content, for its key, its index entries and its other members.
pub(crate) const RECORD_BYTES: u64 = 512;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Identities of a client.
    Identities,
    /// Devices of an identity.
    Devices,
    /// Challenges that a logged-in device requested and that can still be read.
    Challenges,
    /// Tokens, by creator.
    Tokens,
    /// Files, by creator.
    Files,
    /// Bytes of sealed tokens and files, and 512 for each of them.
    ContentBytes,
    /// Bytes of datawallet modifications, sync runs and token allocations, and 512 for each of them.
    OtherBytes,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Identities,
        Self::Devices,
        Self::Challenges,
        Self::Tokens,
        Self::Files,
        Self::ContentBytes,
        Self::OtherBytes,
    ];

    /// Its `metricKey` in the protocol.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Identities => "NumberOfIdentities",
            Self::Devices => "NumberOfCreatedDevices",
            Self::Challenges => "NumberOfCreatedChallenges",
            Self::Tokens => "NumberOfTokens",
            Self::Files => "NumberOfFiles",
            Self::ContentBytes => "UsedFileStorageSpace",
            Self::OtherBytes => "NumberOfCreatedDatawalletModifications",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Identities => "identities",
            Self::Devices => "devices",
            Self::Challenges => "challenges",
            Self::Tokens => "tokens",
            Self::Files => "files",
            Self::ContentBytes => "bytes of tokens and files",
            Self::OtherBytes => "bytes of datawallet entries",
        })
    }
}

/// An amount for each metric: what is used, or what is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Amounts {
    /// See [`Metric::Identities`].
    #[serde(rename = "i")]
    pub identities: u64,
    /// See [`Metric::Devices`].
    #[serde(rename = "d")]
    pub devices: u64,
    /// See [`Metric::Challenges`].
    #[serde(rename = "c")]
    pub challenges: u64,
    /// See [`Metric::Tokens`].
    #[serde(rename = "t")]
    pub tokens: u64,
    /// See [`Metric::Files`].
    #[serde(rename = "f")]
    pub files: u64,
    /// See [`Metric::ContentBytes`].
    #[serde(rename = "b")]
    pub content_bytes: u64,
    /// See [`Metric::OtherBytes`].
    #[serde(rename = "o")]
    pub other_bytes: u64,
}

impl Amounts {
    /// No limits.
    pub const UNLIMITED: Self = Self {
        identities: u64::MAX,
        devices: u64::MAX,
        challenges: u64::MAX,
        tokens: u64::MAX,
        files: u64::MAX,
        content_bytes: u64::MAX,
        other_bytes: u64::MAX,
    };

    /// The amount of one metric.
    #[must_use]
    pub fn of(&self, metric: Metric) -> u64 {
        match metric {
            Metric::Identities => self.identities,
            Metric::Devices => self.devices,
            Metric::Challenges => self.challenges,
            Metric::Tokens => self.tokens,
            Metric::Files => self.files,
            Metric::ContentBytes => self.content_bytes,
            Metric::OtherBytes => self.other_bytes,
        }
    }

    pub(crate) fn of_mut(&mut self, metric: Metric) -> &mut u64 {
        match metric {
            Metric::Identities => &mut self.identities,
            Metric::Devices => &mut self.devices,
            Metric::Challenges => &mut self.challenges,
            Metric::Tokens => &mut self.tokens,
            Metric::Files => &mut self.files,
            Metric::ContentBytes => &mut self.content_bytes,
            Metric::OtherBytes => &mut self.other_bytes,
        }
    }
}

/// The quotas and limits of a client and its identities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The quota of each identity. [`Metric::Identities`] does not apply to it.
    pub identity: Amounts,
    /// The quota of all identities of the client together. Devices, challenges and [`Metric::OtherBytes`] do not count towards
    /// it, because one identity must not keep the others from working.
    pub client: Amounts,
    /// Maximum time until tokens and files expire; `None` for any time. [`Timestamp::NEVER`](transport::wire::Timestamp::NEVER)
    /// is shortened to it, other later times are refused.
    pub max_lifetime: Option<Duration>,
    /// When identities that own no token and no file are removed; `None` for never.
    pub idle: Option<Idle>,
    /// Time without a further acknowledged byte after which an unfinished upload is removed, if that is before
    /// [`Limits::upload_lifetime`](crate::Limits::upload_lifetime); `None` for that one alone.
    pub upload_idle: Option<Duration>,
    /// Free bytes of the disk that its identities leave to others: their changes are refused when less is free.
    pub disk_reserve: u64,
}

/// When identities that own nothing are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idle {
    /// Time without a login after which they are removed.
    pub after: Duration,
    /// The same for identities that never stored anything, while the client has used more than 90% of its quota of identities.
    pub when_crowded: Duration,
}

impl Terms {
    /// For known applications: limits that normal use does not reach.
    #[must_use]
    pub fn ordinary() -> Self {
        Self {
            identity: Amounts {
                identities: u64::MAX,
                devices: 1_000,
                challenges: 10_000,
                tokens: 10_000_000,
                files: 1_000_000,
                content_bytes: 1024 * GIBIBYTE,
                other_bytes: 16 * GIBIBYTE,
            },
            client: Amounts::UNLIMITED,
            max_lifetime: None,
            idle: None,
            upload_idle: None,
            disk_reserve: 0,
        }
    }

    /// For public clients: enough to receive files and to share some.
    #[must_use]
    pub fn guest() -> Self {
        Self {
            identity: Amounts {
                identities: u64::MAX,
                devices: 10,
                challenges: 20,
                tokens: 1_000,
                files: 100,
                content_bytes: 64 * MEBIBYTE,
                other_bytes: 4 * MEBIBYTE,
            },
            client: Amounts {
                identities: 10_000,
                tokens: 20_000,
                files: 5_000,
                content_bytes: GIBIBYTE,
                ..Amounts::UNLIMITED
            },
            max_lifetime: Some(30 * DAY),
            idle: Some(Idle { after: 30 * DAY, when_crowded: 24 * HOUR }),
            upload_idle: Some(HOUR),
            disk_reserve: 256 * MEBIBYTE,
        }
    }
}
