//! Why a protocol between peers ends without a result.

use super::{CertificateError, FrameError};
use crate::access::{NoUseLeft, Outcome, UnknownClaim};

/// Why a stream ended without a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerError {
    /// The other side sent something that is not a message of the protocol, or too long.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The other side sent a message that has no place here.
    #[error("peer sent a message out of turn")]
    OutOfTurn,
    /// The other side refused.
    #[error("peer refused: {0}")]
    Refused(Refusal),
    /// The certificate of the other side does not hold.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The other side has no proof for its certificate: it does not have the device key, or repeated what it saw elsewhere.
    #[error("peer does not prove the identity that it claims")]
    Proof,
    /// The answer contradicts what was asked, or what is known.
    #[error("answer of the peer contradicts its request: {0}")]
    Contradiction(&'static str),
    /// The two sides have different codes, or somebody is between them.
    #[error("code is wrong; ask for a new one, each can be tried once")]
    WrongCode,
    /// The stream ended before the protocol did.
    #[error("connection to the peer broke")]
    Cut,
    /// The other side did not answer or read in time.
    #[error("peer does not answer in time")]
    TimedOut,
}

/// What one side tells the other when it does not go on. A number on the wire; what is not known is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is nothing for this caller: unknown, expired, deleted, for somebody else, or a wrong password. Not told apart.
    #[error("there is nothing under this ID for this node")]
    NotFound,
    /// There were too many wrong passwords.
    #[error("there were too many wrong passwords")]
    Locked,
    /// The range is not within the content.
    #[error("the range is not within the file")]
    Range,
    /// A limit is reached; later it may work.
    #[error("it is busy; try again later")]
    Busy,
    /// It exists, but its bytes cannot be read now.
    #[error("it cannot read the file now")]
    Unavailable,
    /// Only who has proven an identity may do this.
    #[error("it asks for a proven identity")]
    IdentityRequired,
    /// The certificate or its proof is invalid.
    #[error("it does not accept the certificate")]
    Certificate,
    /// The certificate has expired or is not valid yet, by the clock of the other side.
    #[error("the certificate is not valid by its clock")]
    CertificateTime,
    /// The device was removed from its identity.
    #[error("the device was removed from its identity")]
    Removed,
    /// The code is wrong, and now used up.
    #[error("the code is wrong; ask for a new one, each can be tried once")]
    WrongCode,
    /// As often as the token may be used it was, or is being.
    #[error("no use of the token is left")]
    NoUseLeft,
    /// Whoever shares it does not let it leave by the path of this connection.
    #[error("it does not give this by the path of the connection")]
    OtherPath,
    /// Something that this version does not know.
    #[error("reason {0}")]
    Other(u8),
}

impl Refusal {
    /// The refusals with a number of their own, from 1 on.
    const NUMBERED: [Self; 12] = [
        Self::NotFound,
        Self::Locked,
        Self::Range,
        Self::Busy,
        Self::Unavailable,
        Self::IdentityRequired,
        Self::Certificate,
        Self::CertificateTime,
        Self::Removed,
        Self::WrongCode,
        Self::NoUseLeft,
        Self::OtherPath,
    ];

    /// The number that stands for it.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Other(number) => number,
            known => (1..).zip(Self::NUMBERED).find(|(_, numbered)| *numbered == known).map_or(0, |(number, _)| number),
        }
    }

    /// What a number stands for.
    #[must_use]
    pub fn of_number(number: u8) -> Self {
        number
            .checked_sub(1)
            .and_then(|place| Self::NUMBERED.get(usize::from(place)).copied())
            .unwrap_or(Self::Other(number))
    }

    /// The outcome of a decision by [`access`](crate::access).
    ///
    /// # Errors
    /// What to tell whoever is not shown the token.
    pub fn unless_granted(outcome: Outcome) -> Result<(), Self> {
        match outcome {
            Outcome::Granted => Ok(()),
            Outcome::NotFound => Err(Self::NotFound),
            Outcome::Locked => Err(Self::Locked),
        }
    }
}

impl From<NoUseLeft> for Refusal {
    fn from(error: NoUseLeft) -> Self {
        match error {
            NoUseLeft::Exhausted => Self::NoUseLeft,
            // Some of them end within the time of a lease.
            NoUseLeft::TooManyClaims => Self::Busy,
        }
    }
}

impl From<UnknownClaim> for Refusal {
    fn from(UnknownClaim: UnknownClaim) -> Self {
        Self::NotFound
    }
}

impl From<CertificateError> for Refusal {
    fn from(error: CertificateError) -> Self {
        match error {
            CertificateError::Time => Self::CertificateTime,
            CertificateError::Removed => Self::Removed,
            _ => Self::Certificate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_stands_for_one_refusal() {
        for number in 0..=u8::MAX {
            assert_eq!(Refusal::of_number(number).number(), number);
        }
        assert_eq!(Refusal::of_number(1), Refusal::NotFound);
        assert_eq!(Refusal::of_number(10), Refusal::WrongCode);
        assert_eq!(Refusal::of_number(11), Refusal::NoUseLeft);
        assert_eq!(Refusal::of_number(12), Refusal::OtherPath);
        assert_eq!(Refusal::of_number(13), Refusal::Other(13));
    }
}
