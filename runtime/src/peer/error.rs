//! What users see when peers fail.

use std::fmt;

use transport::peer::{PeerError, Refusal};
use transport::wire::ReferenceError;

use super::PeerFailure;
use crate::code::ErrorCode;

/// Why something with peers failed. The texts name the next step; [`what`](Self::what) and [`next_step`](Self::next_step) are its parts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeersError {
    /// The node has no peers by its settings.
    Off,
    /// A text is not a peer id.
    InvalidId(String),
    /// A text is not an address.
    InvalidAddress(String),
    /// The peer cannot be reached.
    Unreachable(String),
    /// The peer was reached, and the exchange failed.
    Exchange(PeerError),
    /// A text is not a code.
    InvalidCode(String),
    /// As many codes wait as a node offers.
    TooManyCodes,
    /// The reference cannot be passed on by a code.
    Reference(#[source] ReferenceError),
    /// Nobody who was found offers the code.
    CodeNotFound {
        /// Where it was looked for.
        tried: String,
    },
    /// The code is wrong, and used up.
    WrongCode,
    /// The connection broke after the code was used.
    CodeInterrupted(PeerError),
}

impl fmt::Display for PeersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what())?;
        self.next_step().map_or(Ok(()), |next_step| write!(f, "; {next_step}"))
    }
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

    /// What happened.
    #[must_use]
    pub fn what(&self) -> String {
        match self {
            Self::Off => "this node reaches no peers directly".to_owned(),
            Self::InvalidId(text) => format!("'{text}' is not the ID of a peer, which begins with 12D3KooW"),
            Self::InvalidAddress(text) => format!("'{text}' is not a multiaddr such as /ip4/192.0.2.1/tcp/4001"),
            Self::Unreachable(reason) => format!("the peer cannot be reached: {reason}"),
            Self::Exchange(error) => format!("the exchange with the peer failed: {error}"),
            Self::InvalidCode(text) => {
                format!("'{text}' is not a code of a number and two words, such as 7-amber-violin")
            }
            Self::TooManyCodes => "as many codes wait as a node offers at a time".to_owned(),
            Self::Reference(_) => "the reference cannot be passed on by a code".to_owned(),
            Self::CodeNotFound { tried } => format!("nobody offers this code ({tried})"),
            Self::WrongCode => "the code is wrong".to_owned(),
            Self::CodeInterrupted(error) => format!("the connection broke before the reference arrived ({error})"),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn next_step(&self) -> Option<&'static str> {
        Some(match self {
            Self::Off => "enable peers in its settings and start it again",
            Self::Unreachable(_) => "make sure that it is online and that no firewall blocks its address",
            Self::InvalidCode(_) => "check the spelling",
            Self::TooManyCodes => "withdraw one first",
            Self::CodeNotFound { .. } => {
                "make sure that the other side still waits, that the number is right, and that both are in the same network or \
                 use the same rendezvous server"
            }
            Self::WrongCode => "ask for a new one, each can be tried once",
            Self::CodeInterrupted(_) => "ask for a new code, this one is used up",
            Self::InvalidId(_) | Self::InvalidAddress(_) | Self::Exchange(_) | Self::Reference(_) => return None,
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_what_happened_and_then_the_next_step_whatever_a_value_has() {
        let invalid = PeersError::InvalidId("a; b".to_owned());
        assert_eq!((invalid.to_string(), invalid.next_step()), (invalid.what(), None));
        assert_eq!(invalid.what(), "'a; b' is not the ID of a peer, which begins with 12D3KooW");
        let off = PeersError::Off.to_string();
        assert_eq!(off, "this node reaches no peers directly; enable peers in its settings and start it again");
    }
}
