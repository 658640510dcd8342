//! Why a request is refused.

use std::fmt;

use listener::turns::TooMany;
use transport::access::NoUseLeft;

use super::resumable::UploadRefusal;
use crate::error::StoreError;
use crate::rates::TooOften;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The input cannot be parsed.
    #[error("{0}")]
    Unreadable(String),
    /// One property of the input is invalid.
    #[error("'{property}': {problem}")]
    Invalid {
        /// Name of the property in the protocol.
        property: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The record does not exist, has expired, or is not visible to the caller.
    #[error("{0} not found. Make sure the id exists, has not expired, and is meant for you.")]
    NotFound(Record),
    /// The record is visible to the caller, but the operation is not allowed.
    #[error("this is for the creator or owner only")]
    Forbidden,
    /// Its source sent too many requests.
    #[error(transparent)]
    TooOften(#[from] TooOften),
    /// It breaks a rule of the resource.
    #[error("{rule}{}", detail_text(.detail))]
    Rule {
        /// Which one.
        rule: Rule,
        /// Figures or names that help to understand the refusal.
        detail: String,
    },
    /// The uses of a token have run out.
    #[error("{0}; {next}", next = next_step(*.0))]
    NoUseLeft(#[from] NoUseLeft),
    /// A rule of uploads that are resumed.
    #[error(transparent)]
    Upload(#[from] UploadRefusal),
    /// Too many wait for what this takes.
    #[error(transparent)]
    TooManyWaiting(#[from] TooMany),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn next_step(reason: NoUseLeft) -> &'static str {
    match reason {
        NoUseLeft::Exhausted => "ask its creator for more, or for another token",
        NoUseLeft::TooManyClaims => "try again when some of them have ended",
    }
}

fn detail_text(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(" ({detail})") }
}

impl Refusal {
    /// A property is invalid.
    pub(crate) fn invalid(property: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid { property, problem: problem.into() }
    }

    /// It breaks a rule, with figures or names that help to understand the refusal.
    pub(crate) fn rule(rule: Rule, detail: impl Into<String>) -> Self {
        Self::Rule { rule, detail: detail.into() }
    }
}

impl From<Rule> for Refusal {
    fn from(rule: Rule) -> Self {
        Self::rule(rule, "")
    }
}

/// Kinds of records by their names in the protocol. Some clients read the first words of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record {
    Identity,
    Device,
    Challenge,
    Token,
    File,
    Datawallet,
    SyncRun,
    Upload,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

macro_rules! rules {
    ($($name:ident = $code:literal, $message:literal;)*) => {
        /// Rules of single resources, each with the stable code that clients read.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Rule {
            $(#[doc = $message] $name,)*
        }

        impl Rule {
            /// The code after `error.platform.`.
            pub(crate) fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }
        }

        impl fmt::Display for Rule {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$name => $message,)* })
            }
        }
    };
}

rules! {
    UnknownClient = "unauthorized", "client id or client secret is wrong";
    InvalidPageSize = "validation.pagination.invalidPageSize", "the page size is too large";
    InvalidLanguage = "validation.invalidDeviceCommunicationLanguage", "not a two-letter ISO 639-1 language code";
    RegistrationFailed = "validation.device.registrationFailed", "the device password is too weak";
    AddressAlreadyExists = "validation.device.addressAlreadyExists", "an identity with this key exists already";
    InvalidSignature = "validation.device.invalidSignature", "the signature does not fit the challenge and the key";
    ChallengeHasExpired = "validation.device.challengeHasExpired", "the challenge has expired or was used already";
    ClientReachedIdentitiesLimit = "validation.device.clientReachedIdentitiesLimit",
        "this client may not create further identities";
    ChangePasswordFailed = "validation.device.changePasswordFailed", "the password was not changed";
    OnlyOneBackupDevice = "validation.device.onlyOneBackupDeviceCanExist", "there is a backup device already";
    DeviceCannotBeDeleted = "validation.device.deviceCannotBeDeleted",
        "only own devices that never logged in can be deleted";
    TooManyFailedPasswordAttempts = "token.tooManyFailedPasswordAttempts",
        "the token is locked after too many wrong passwords";
    ContentAlreadyExists = "token.contentUpdateNotPossibleBecauseContentAlreadyExists",
        "the token has a content already";
    CannotClaimOwnFile = "validation.file.cannotClaimOwnershipOfOwnFile", "the file is yours already";
    DatawalletNotUpToDate = "validation.datawallet.datawalletNotUpToDate",
        "there are modifications that the sender does not know; pull them first";
    NoPushDuringSyncRun = "validation.datawallet.cannotPushDatawalletModificationsDuringActiveSyncRun",
        "no modifications can be pushed while a sync run is open";
    InsufficientDatawalletVersion = "validation.datawallet.insufficientSupportedDatawalletVersion",
        "the datawallet is of a newer version than the client supports";
    CannotDowngrade = "datawallet.cannotDowngrade", "the datawallet has a higher version already";
    ModificationVersionTooHigh = "datawallet.datawalletVersionOfModificationTooHigh",
        "a modification has a higher version than the datawallet";
    IdentityIsToBeDeleted = "validation.syncRun.cannotStartSyncRunWhileIdentityIsToBeDeleted",
        "no sync run can be started while the identity waits for its deletion";
    AnotherSyncRunIsRunning = "validation.syncRun.cannotStartSyncRunWhenAnotherSyncRunIsRunning",
        "another sync run is open";
    SyncRunAlreadyFinalized = "validation.syncRun.syncRunAlreadyFinalized", "the sync run is finalized or cancelled";
    EventsOfAnotherDevice = "validation.syncRun.cannotReadExternalEventsOfASyncRunStartedByAnotherDevice",
        "another device started this sync run";
    FinalizeOfAnotherDevice = "validation.syncRun.cannotFinalizeSyncRunStartedByAnotherDevice",
        "another device started this sync run";
    UnexpectedSyncRunType = "validation.syncRun.unexpectedSyncRunType", "the sync run is of another type";
}
