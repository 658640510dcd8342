//! The crate's error. Codes and texts are those an integrator of the published connectors already handles.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use transport::wire::{Address, AddressError, ReferenceError, Timestamp, TokenId};

use crate::backbone_error::BackboneError;
use crate::code::ErrorCode;
use crate::delivery::Undelivered;
use crate::peer::PeersError;
use crate::query::{MAX_PARAMETERS, QueryError};
use crate::source::SourceError;
use crate::store::Failure as StoreFailure;

/// Result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong. Programs decide by [`Error::known_code`]; the text is for people and does not repeat its
/// [source](std::error::Error::source).
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The record is not in the local store. Holds what it would be, for example `File`.
    #[error("{0} not found. {CHECK_ID}")]
    RecordNotFound(&'static str),
    /// The backbone does not have the record, or does not show it to us. Holds the backbone's text.
    #[error("{0}")]
    RecordNotFoundAtBackbone(String),
    /// The same for a reference that names another backbone than the one of this node, which most often explains it.
    #[error("{message} The reference names the backbone {named}, but this node uses {own}.")]
    RecordOfAnotherBackbone {
        /// The backbone's text.
        message: String,
        /// Base URL in the reference.
        named: String,
        /// Base URL of this node's backbone.
        own: String,
    },
    /// A value breaks a rule that has no parts in [`Error::InvalidProperty`]; the text says which value and which rule.
    #[error("{0}")]
    InvalidPropertyValue(String),
    /// A value breaks a rule; the code is that of [`Error::InvalidPropertyValue`]. Faces say it in their own words.
    #[error("{0}")]
    InvalidProperty(InvalidProperty),
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
    /// A local check failed that belongs to the transport layer of the published clients. The text has their form.
    #[error("{code}: '{reason}' at {at}")]
    Transport {
        /// Which one: `error.transport.…`.
        code: ErrorCode,
        /// Why, for people.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// An external event is not known to this program.
    #[error("the event is not known to this program")]
    UnknownEvent,
    /// The backbone refused or failed, or could not be reached or understood.
    #[error(transparent)]
    Backbone(#[from] BackboneError),
    /// Neither the node that shares a token or file nor the backbone gave it; the text names what was tried and the next step.
    #[error(transparent)]
    Undelivered(Box<Undelivered>),
    /// A token is to be replaced, and the new one is made and stored, but the rotation is not complete. The same call completes it. The code is
    /// that of the cause.
    #[error("the new token {new} is made; the same call completes the rotation")]
    Unreplaced {
        /// The new token.
        new: TokenId,
        /// Why.
        #[source]
        cause: Box<Error>,
    },
    /// The node stops, so what was asked for is not done any more.
    #[error("the node is shutting down")]
    Stopped,
    /// A file on this machine that is shared cannot be read, or has changed meanwhile.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Something in the call failed that has no code of its own.
    #[error("An error was thrown in a UseCase: {0}")]
    Unknown(String),
    /// The local store failed; the text names the next step.
    #[error(transparent)]
    Store(StoreFailure),
    /// The disk with the data directory has no room. Nothing was changed here; the node goes on when there is room again.
    #[error(transparent)]
    StorageFull(StoreFailure),
    /// The settings do not fit together; the text names the setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Something with peers failed; the text names the next step.
    #[error(transparent)]
    Peers(#[from] PeersError),
}

/// The next step after an ID that is not found.
pub const CHECK_ID: &str = "Make sure the ID exists and the record is not expired.";

/// Why settings cannot work.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No client of the backbone can be made of them.
    #[error(transparent)]
    Client(Arc<transport::backbone::ConfigError>),
    /// References cannot carry the URL of the backbone.
    #[error("the URL of the backbone cannot be part of a reference")]
    BaseUrl(#[source] ReferenceError),
    /// Addresses cannot have this domain.
    #[error("the domain '{domain}' cannot be part of an address")]
    Domain {
        /// The domain.
        domain: String,
        /// Why.
        #[source]
        source: AddressError,
    },
    /// The backbone returned an address that does not follow from the key of the identity.
    #[error("the backbone returned the address {0}, which does not belong to this identity")]
    ForeignAddress(Address),
    /// The backbone has another domain than the settings say.
    #[error(
        "the domain of new addresses is set to '{wanted}', but the backbone's is '{theirs}'; correct or remove the setting"
    )]
    OtherDomain {
        /// The domain in the settings.
        wanted: String,
        /// The backbone's.
        theirs: String,
    },
    /// A lock was handed in that belongs to another directory.
    #[error("the lock holds {}, not the data directory {}", held.display(), wanted.display())]
    OtherLock {
        /// The directory of the lock.
        held: PathBuf,
        /// The data directory.
        wanted: PathBuf,
    },
    /// A setting of peers is to have addresses, and has another text.
    #[error("the setting '{setting}' of peers has '{text}', which is not a multiaddr such as /ip4/0.0.0.0/tcp/4001")]
    PeerAddress {
        /// The setting.
        setting: &'static str,
        /// The text.
        text: String,
    },
    /// Peers cannot connect at an address: another program has its port, for example.
    #[error("cannot listen on {address} for peers: {reason}; choose another address, or port 0 for any free port")]
    PeerListen {
        /// The address.
        address: String,
        /// What the system says.
        reason: String,
    },
    /// The network of peers cannot start.
    #[error("the network of peers does not start")]
    PeerNetwork(#[source] Arc<swarm::StartError>),
}

/// A value that breaks a rule. The text, which can be read back, is the one that clients of the published connectors know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidProperty {
    /// Which value.
    pub property: Property,
    /// Which rule.
    pub rule: PropertyRule,
}

/// A value that a caller gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Property {
    /// `content` of a file or token.
    Content,
    /// `expiresAt`.
    ExpiresAt,
    /// The filter of a list.
    Query,
}

/// A rule for a value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PropertyRule {
    /// A time that lies in the future.
    InFuture,
    /// Not larger than this node allows.
    NotTooLarge,
    /// Not more than this, in words.
    AtMost(String),
    /// Known members only.
    NoOtherMembers,
    /// As many bytes as the list of files with which it begins says.
    AsListed,
}

const IN_FUTURE: &str = "must be in the future";
const TOO_LARGE: &str = "is too large";
const AT_MOST: &str = "must NOT have more than ";
const NO_OTHER_MEMBERS: &str = "must NOT have additional properties";
const AS_LISTED: &str = "must have as many bytes as its list of files says";

impl Property {
    const ALL: [Self; 3] = [Self::Content, Self::ExpiresAt, Self::Query];

    fn as_str(self) -> &'static str {
        match self {
            Self::Content => "'content'",
            Self::ExpiresAt => "'expiresAt'",
            Self::Query => "query",
        }
    }
}

impl fmt::Display for PropertyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InFuture => f.write_str(IN_FUTURE),
            Self::NotTooLarge => f.write_str(TOO_LARGE),
            Self::AtMost(bound) => write!(f, "{AT_MOST}{bound}"),
            Self::NoOtherMembers => f.write_str(NO_OTHER_MEMBERS),
            Self::AsListed => f.write_str(AS_LISTED),
        }
    }
}

impl fmt::Display for InvalidProperty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.property.as_str(), self.rule)
    }
}

/// A text that is not the one of an [`InvalidProperty`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text does not name a value and its rule")]
pub struct OtherText;

impl FromStr for InvalidProperty {
    type Err = OtherText;

    /// Reads what [`Display`](fmt::Display) writes, as a client of a face gets it.
    fn from_str(text: &str) -> Result<Self, OtherText> {
        let split = |property: Property| Some((property, text.strip_prefix(property.as_str())?.strip_prefix(' ')?));
        let (property, rule) = Property::ALL.into_iter().find_map(split).ok_or(OtherText)?;
        let rule = match rule {
            IN_FUTURE => PropertyRule::InFuture,
            TOO_LARGE => PropertyRule::NotTooLarge,
            NO_OTHER_MEMBERS => PropertyRule::NoOtherMembers,
            AS_LISTED => PropertyRule::AsListed,
            other => PropertyRule::AtMost(other.strip_prefix(AT_MOST).ok_or(OtherText)?.to_owned()),
        };
        Ok(Self { property, rule })
    }
}

impl From<transport::backbone::ConfigError> for Error {
    fn from(error: transport::backbone::ConfigError) -> Self {
        Self::Config(ConfigError::Client(Arc::new(error)))
    }
}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::UnknownField => Self::invalid_property(Property::Query, PropertyRule::NoOtherMembers),
            QueryError::TooManyParameters => {
                Self::invalid_property(Property::Query, PropertyRule::AtMost(format!("{MAX_PARAMETERS} values")))
            }
            QueryError::InvalidValue { field, rule } => Self::InvalidPropertyValue(format!("query/{field} {rule}")),
            QueryError::InvalidPattern(reason) => Self::Unknown(reason),
        }
    }
}

fn quoted(texts: &[String]) -> String {
    texts.iter().map(|text| format!("'{text}'")).collect::<Vec<_>>().join(", ")
}

impl Error {
    /// A value that breaks a rule.
    pub(crate) fn invalid_property(property: Property, rule: PropertyRule) -> Self {
        Self::InvalidProperty(InvalidProperty { property, rule })
    }

    /// The text of the stable code, `error.runtime.…`, `error.transport.…`, `error.platform.…` or `error.core-types.…`.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Backbone(error) => error.code().as_str(),
            Self::Unreplaced { cause, .. } => cause.code(),
            Self::Undelivered(error) => match error.decisive() {
                Ok(decisive) => decisive.code(),
                Err(code) => code.as_str(),
            },
            other => other.known_code().unwrap_or(ErrorCode::Unknown).as_str(),
        }
    }

    /// The stable code, unless it is one of a backbone that this program does not know.
    #[must_use]
    pub fn known_code(&self) -> Option<ErrorCode> {
        Some(match self {
            Self::RecordNotFound(_) | Self::RecordNotFoundAtBackbone(_) | Self::RecordOfAnotherBackbone { .. } => {
                ErrorCode::RecordNotFound
            }
            Self::InvalidPropertyValue(_) | Self::InvalidProperty(_) => ErrorCode::InvalidPropertyValue,
            Self::InvalidTags(_) => ErrorCode::InvalidTags,
            Self::InvalidPayload => ErrorCode::InvalidPayload,
            Self::InvalidTokenContent => ErrorCode::InvalidTokenContent,
            Self::InvalidReference => ErrorCode::InvalidReference,
            Self::InvalidTruncatedReference(_) => ErrorCode::InvalidTruncatedReference,
            Self::NotSupported(_) => ErrorCode::NotSupported,
            Self::FileNotOwnedByYou => ErrorCode::FileNotOwnedByYou,
            Self::IdentityMetadataNotFound => ErrorCode::IdentityMetadataNotFound,
            Self::UnfamiliarReferencedIdentity => ErrorCode::UnfamiliarReferencedIdentity,
            Self::Transport { code, .. } => *code,
            Self::UnknownEvent => ErrorCode::UnknownEvent,
            Self::Backbone(error) => return error.code().known(),
            Self::Unreplaced { cause, .. } => return cause.known_code(),
            Self::Undelivered(error) => return error.decisive().map_or_else(Some, Self::known_code),
            Self::Stopped => ErrorCode::Aborted,
            Self::Source(_) | Self::Unknown(_) => ErrorCode::Unknown,
            Self::Store(_) => ErrorCode::Store,
            Self::StorageFull(_) => ErrorCode::StorageFull,
            Self::Config(_) => ErrorCode::Config,
            Self::Peers(error) => error.code(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_property_can_be_read_back_from_its_text() {
        let rules = [
            PropertyRule::InFuture,
            PropertyRule::NotTooLarge,
            PropertyRule::AtMost("5 values".to_owned()),
            PropertyRule::NoOtherMembers,
        ];
        for property in Property::ALL {
            for rule in rules.clone() {
                let invalid = InvalidProperty { property, rule };
                assert_eq!(invalid.to_string().parse(), Ok(invalid));
            }
        }
        for other in ["", "'content'", "'content'x", "'content' is blue", "'title' must be in the future"] {
            assert_eq!(other.parse::<InvalidProperty>(), Err(OtherText), "{other}");
        }
    }

    #[test]
    fn texts_are_those_that_clients_know() {
        let error = Error::invalid_property(Property::ExpiresAt, PropertyRule::InFuture);
        assert_eq!(
            (error.code(), error.to_string().as_str()),
            ("error.runtime.validation.invalidPropertyValue", "'expiresAt' must be in the future")
        );
        let not_found = Error::RecordNotFound("File");
        assert_eq!(not_found.to_string(), "File not found. Make sure the ID exists and the record is not expired.");
        let reason = "The token isn't yours".to_owned();
        let error = Error::Transport { code: ErrorCode::NotIntendedForYou, reason, at: Timestamp::NEVER };
        assert_eq!(
            error.to_string(),
            "error.transport.general.notIntendedForYou: 'The token isn't yours' at 9999-12-31T00:00:00.000Z"
        );
    }

    #[test]
    fn causes_are_kept_and_not_repeated() {
        use std::error::Error as _;
        let cause = transport::wire::reference::BaseUrl::parse("x|y").unwrap_err();
        let error = Error::from(ConfigError::BaseUrl(cause));
        let source = error.source().unwrap().to_string();
        assert!(!error.to_string().contains(&source), "{error}: {source}");
    }
}
