//! The crate's error. Codes and texts are those an integrator of the published connectors already handles.

use transport::wire::Timestamp;

/// Result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. [`Error::code`] is stable; the text is for people.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The record is not in the local store.
    #[error("{0} not found. Make sure the ID exists and the record is not expired.")]
    RecordNotFound(&'static str),
    /// The backbone does not have the record, or does not show it to us. Holds the backbone's text.
    #[error("{0}")]
    RecordNotFoundAtBackbone(String),
    /// A value breaks a rule; the text says which value and which rule.
    #[error("{0}")]
    InvalidPropertyValue(String),
    /// Tags that are not of a known kind, where they have to be.
    #[error("Detected invalidity of the following tags: {}.", quoted(.0))]
    InvalidTags(Vec<String>),
    /// The combination of members is not one the call knows.
    #[error("The given combination of properties in the payload is not supported.")]
    InvalidPayload,
    /// The content of a token is not what the call needs.
    #[error("The given Token has an invalid content for this route.")]
    InvalidTokenContent,
    /// The reference is of the wrong kind.
    #[error("The given reference is invalid for performing the requested action.")]
    InvalidReference,
    /// The reference cannot be read.
    #[error("the reference cannot be read: {0}")]
    InvalidTruncatedReference(String),
    /// Known, but not offered.
    #[error("{0}")]
    NotSupported(String),
    /// Only the owner may do this.
    #[error("Only the owner of the File can perform this action.")]
    FileNotOwnedByYou,
    /// There is no entry under this reference and key.
    #[error("There is no stored IdentityMetadata for the specified combination of reference and key.")]
    IdentityMetadataNotFound,
    /// The address is neither ours nor a peer's.
    #[error(
        "The reference of the IdentityMetadata resolves neither to the address of a peer of a Relationship nor the \
         address of the own Identity."
    )]
    UnfamiliarReferencedIdentity,
    /// An error of the transport layer that has a code of its own; see [`TransportError`].
    #[error("{}: '{reason}' at {at}", kind.code())]
    Transport {
        /// Which one.
        kind: TransportError,
        /// Why, for people.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// The backbone refused or failed.
    #[error("{message}")]
    Backbone {
        /// HTTP status of the answer.
        status: u16,
        /// Its code, `error.platform.…`.
        code: String,
        /// Its text.
        message: String,
        /// `GET /Tokens/…` and the like, for the log.
        request: String,
        /// The backbone's trace id, if it sent one.
        trace_id: Option<String>,
    },
    /// The backbone could not be reached or understood.
    #[error("{message}")]
    Network {
        /// `error.transport.request.…`.
        code: &'static str,
        /// What to look at.
        message: String,
    },
    /// Something in the call failed that has no code of its own.
    #[error("An error was thrown in a UseCase: {0}")]
    Unknown(String),
    /// The local store failed; the text names the next step.
    #[error("{0}")]
    Store(String),
    /// The disk with the data directory has no room. Nothing was changed here; the node goes on when there is room again.
    #[error("{0}")]
    StorageFull(String),
    /// The settings do not fit together; the text names the setting.
    #[error("{0}")]
    Config(String),
}

/// Errors with a code `error.transport.…` that are raised by local checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportError {
    /// `error.transport.recordNotFound`
    RecordNotFound,
    /// `error.transport.general.notIntendedForYou`
    NotIntendedForYou,
    /// `error.transport.general.noIdentityFound`
    NoIdentityFound,
    /// `error.transport.general.platformClientInvalid`
    PlatformClientInvalid,
    /// `error.transport.noPasswordProvided`
    NoPasswordProvided,
    /// `error.transport.tokens.emptyToken`
    EmptyToken,
    /// `error.transport.tokens.invalidTokenContent`
    InvalidTokenContent,
    /// `error.transport.files.cipherMismatch`
    CipherMismatch,
    /// `error.transport.files.plaintextHashMismatch`
    PlaintextHashMismatch,
    /// `error.transport.files.invalidMetadata`
    InvalidFileMetadata,
    /// `error.transport.files.maxFileSizeExceeded`
    MaxFileSizeExceeded,
    /// `error.transport.challenges.challengeTypeRequiresActiveRelationship`
    ChallengeTypeRequiresActiveRelationship,
    /// `error.transport.signatureNotValid`
    SignatureNotValid,
    /// `error.transport.datawallet.insufficientSupportedDatawalletVersion`
    InsufficientSupportedDatawalletVersion,
    /// `error.transport.datawallet.invalid`
    InvalidDatawallet,
}

impl TransportError {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::RecordNotFound => "error.transport.recordNotFound",
            Self::NotIntendedForYou => "error.transport.general.notIntendedForYou",
            Self::NoIdentityFound => "error.transport.general.noIdentityFound",
            Self::PlatformClientInvalid => "error.transport.general.platformClientInvalid",
            Self::NoPasswordProvided => "error.transport.noPasswordProvided",
            Self::EmptyToken => "error.transport.tokens.emptyToken",
            Self::InvalidTokenContent => "error.transport.tokens.invalidTokenContent",
            Self::CipherMismatch => "error.transport.files.cipherMismatch",
            Self::PlaintextHashMismatch => "error.transport.files.plaintextHashMismatch",
            Self::InvalidFileMetadata => "error.transport.files.invalidMetadata",
            Self::MaxFileSizeExceeded => "error.transport.files.maxFileSizeExceeded",
            Self::ChallengeTypeRequiresActiveRelationship => {
                "error.transport.challenges.challengeTypeRequiresActiveRelationship"
            }
            Self::SignatureNotValid => "error.transport.signatureNotValid",
            Self::InsufficientSupportedDatawalletVersion => {
                "error.transport.datawallet.insufficientSupportedDatawalletVersion"
            }
            Self::InvalidDatawallet => "error.transport.datawallet.invalid",
        }
    }
}

fn quoted(texts: &[String]) -> String {
    texts.iter().map(|text| format!("'{text}'")).collect::<Vec<_>>().join(", ")
}

impl Error {
    /// The stable code, `error.runtime.…`, `error.consumption.…`, `error.transport.…`, `error.platform.…` or
    /// `error.core-types.…`.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::RecordNotFound(_) | Self::RecordNotFoundAtBackbone(_) => "error.runtime.recordNotFound",
            Self::InvalidPropertyValue(_) => "error.runtime.validation.invalidPropertyValue",
            Self::InvalidTags(_) => "error.consumption.attributes.invalidTags",
            Self::InvalidPayload => "error.runtime.validation.invalidPayload",
            Self::InvalidTokenContent => "error.runtime.invalidTokenContent",
            Self::InvalidReference => "error.runtime.invalidReference",
            Self::InvalidTruncatedReference(_) => "error.core-types.invalidTruncatedReference",
            Self::NotSupported(_) => "error.runtime.notSupported",
            Self::FileNotOwnedByYou => "error.runtime.files.notOwnedByYou",
            Self::IdentityMetadataNotFound => "error.runtime.identityMetadata.notFound",
            Self::UnfamiliarReferencedIdentity => "error.runtime.identityMetadata.unfamiliarReferencedIdentity",
            Self::Transport { kind, .. } => kind.code(),
            Self::Backbone { code, .. } => code,
            Self::Network { code, .. } => code,
            Self::Unknown(_) => "error.runtime.unknown",
            Self::Store(_) => "error.runtime.store",
            Self::StorageFull(_) => "error.runtime.storageFull",
            Self::Config(_) => "error.runtime.config",
        }
    }
}
