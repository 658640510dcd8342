//! What users see when peers fail.

use transport::peer::{PeerError, Refusal};
use transport::wire::ReferenceError;

use super::PeerFailure;
use crate::code::ErrorCode;

/// Why something with peers failed. The texts name the next step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeersError {
    /// The node has no peers by its settings.
    #[error("this node reaches no peers directly; enable peers in its settings and start it again")]
    Off,
    /// A text is not a peer id.
    #[error("'{0}' is not the ID of a peer, which begins with 12D3KooW")]
    InvalidId(String),
    /// A text is not an address.
    #[error("'{0}' is not a multiaddr such as /ip4/192.0.2.1/tcp/4001")]
    InvalidAddress(String),
    /// The peer cannot be reached.
    #[error("the peer cannot be reached: {0}; make sure that it is online and that no firewall blocks its address")]
    Unreachable(String),
    /// The peer was reached, and the exchange failed.
    #[error("the exchange with the peer failed: {0}")]
    Exchange(PeerError),
    /// A text is not a code.
    #[error("'{0}' is not a code of a number and two words, such as 7-amber-violin; check the spelling")]
    InvalidCode(String),
    /// As many codes wait as a node offers.
    #[error("as many codes wait as a node offers at a time; withdraw one first")]
    TooManyCodes,
    /// The reference cannot be passed on by a code.
    #[error("the reference cannot be passed on by a code")]
    Reference(#[source] ReferenceError),
    /// Nobody who was found offers the code.
    #[error(
        "nobody offers this code ({tried}); make sure that the other side still waits, that the number is right, and that both \
         are in the same network or use the same rendezvous server"
    )]
    CodeNotFound {
        /// Where it was looked for.
        tried: String,
    },
    /// The code is wrong, and used up.
    #[error("the code is wrong; ask for a new one, each can be tried once")]
    WrongCode,
    /// The connection broke after the code was used.
    #[error("the connection broke before the reference arrived ({0}); ask for a new code, this one is used up")]
    CodeInterrupted(PeerError),
}

impl PeersError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Off => ErrorCode::PeersOff,
            Self::InvalidId(_) | Self::InvalidAddress(_) => ErrorCode::InvalidPropertyValue,
            Self::Unreachable(_) => ErrorCode::PeerUnreachable,
            Self::Exchange(_) => ErrorCode::PeerExchange,
            Self::InvalidCode(_) => ErrorCode::InvalidCode,
            Self::TooManyCodes => ErrorCode::TooManyCodes,
            Self::Reference(_) => ErrorCode::InvalidReference,
            Self::CodeNotFound { .. } => ErrorCode::CodeNotFound,
            Self::WrongCode => ErrorCode::WrongCode,
            Self::CodeInterrupted(_) => ErrorCode::CodeInterrupted,
        }
    }

    /// Why an exchange about a code failed after the code was used.
    pub(super) fn after_guess(error: PeerError) -> Self {
        match error {
            PeerError::WrongCode | PeerError::Refused(Refusal::WrongCode | Refusal::NotFound) => Self::WrongCode,
            error => Self::CodeInterrupted(error),
        }
    }
}

impl From<PeerFailure> for PeersError {
    fn from(failure: PeerFailure) -> Self {
        match failure {
            PeerFailure::Unreachable(reason) => Self::Unreachable(reason),
            PeerFailure::Exchange(error) => Self::Exchange(error),
        }
    }
}
