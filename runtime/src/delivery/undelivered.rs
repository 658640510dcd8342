//! What users see when nobody brought what they asked for: who was asked, and the next step.

use std::fmt;

use transport::peer::{PeerError, Refusal};

use super::Failure;
use super::direct::{is_nothing, is_used_up};
use crate::Error;
use crate::code::ErrorCode;
use crate::peer::PeerFailure;

/// Neither the node that shares a token or file nor the backbone gave it.
#[derive(Debug, Clone)]
pub struct Undelivered {
    direct: PeerFailure,
    backbone: Option<Error>,
    is_foreign: bool,
    /// Whether the backbone was not asked, or has refused.
    is_backbone_decided: bool,
}

impl Undelivered {
    /// Only the node that shares it was asked.
    pub(super) fn by_peer(direct: PeerFailure) -> Self {
        Self { direct, backbone: None, is_foreign: false, is_backbone_decided: true }
    }

    /// Both were asked. `is_foreign` says that the reference names another backbone, which was not asked.
    pub(crate) fn by_all(direct: PeerFailure, backbone: Failure, is_foreign: bool) -> Self {
        let is_backbone_decided = matches!(backbone, Failure::NotFound(_) | Failure::NoUseLeft(_));
        Self { direct, backbone: Some(backbone.into()), is_foreign, is_backbone_decided }
    }

    /// Whether the node that shares it said that it gives nothing. Otherwise it may have counted a use whose answer was lost.
    pub(super) fn is_refused_by_peer(&self) -> bool {
        is_nothing(&self.direct) || is_used_up(&self.direct)
    }

    /// The same of everybody who was asked.
    pub(super) fn is_refused_by_all(&self) -> bool {
        self.is_refused_by_peer() && self.is_backbone_decided
    }

    /// The error whose code it has: that of the backbone, unless this is not the one that would have it. Nothing tells a share that no backbone knows
    /// from one that its own backbone has removed, so what that one says holds even if the peer may give it yet.
    pub(crate) fn decisive(&self) -> Result<&Error, ErrorCode> {
        match &self.backbone {
            // Each token has one counter, so this is so whatever the backbone says.
            _ if is_used_up(&self.direct) => Err(ErrorCode::TokenExhausted),
            Some(backbone) if !(self.is_foreign && backbone.known_code() == Some(ErrorCode::RecordNotFound)) => {
                Ok(backbone)
            }
            _ => Err(match self.direct {
                PeerFailure::Exchange(PeerError::Refused(Refusal::NotFound)) => ErrorCode::RecordNotFound,
                PeerFailure::Unreachable(_) => ErrorCode::PeerUnreachable,
                PeerFailure::Exchange(_) => ErrorCode::PeerExchange,
            }),
        }
    }

    /// The failure of the backbone, if it was asked.
    #[must_use]
    pub fn backbone(&self) -> Option<&Error> {
        self.backbone.as_ref()
    }

    /// What the node that shares it did, without the next step and without what the backbone says.
    #[must_use]
    pub fn what(&self) -> String {
        what(&self.direct)
    }

    /// Whether the node that shares it was reached, and something came between that may pass, whatever the code is: then nothing
    /// is known yet of passwords, addressees or expiry.
    #[must_use]
    pub fn is_sender_reached(&self) -> bool {
        is_interrupted(&self.direct)
    }

    /// Whether the peer behaved in a way that no honest one does.
    pub(crate) fn is_lie(&self) -> bool {
        self.backbone.is_none() && super::direct::is_lie(&self.direct)
    }

    /// Whether another attempt at the node that shares it may succeed.
    pub(crate) fn may_peer_come_back(&self) -> bool {
        matches!(self.direct, PeerFailure::Unreachable(_)) || self.is_sender_reached()
    }

    /// Whether the node that shares it says that it cannot read it, and no backbone may bring it yet.
    pub(crate) fn is_unreadable(&self) -> bool {
        is_unreadable(&self.direct) && self.is_backbone_decided
    }

    /// Whether what the peer did is more useful to know than what the backbone says.
    fn begins_with_peer(&self) -> bool {
        self.is_foreign || self.is_sender_reached()
    }
}

/// Whether the peer was reached, and something came between that may pass: a limit of its node, for example.
fn is_interrupted(failure: &PeerFailure) -> bool {
    matches!(
        failure,
        PeerFailure::Exchange(
            PeerError::Cut | PeerError::TimedOut | PeerError::Refused(Refusal::Busy | Refusal::Unavailable)
        )
    )
}

/// Whether the peer cannot read the file. It does not tell why: a file that has changed or is gone is no other refusal than one that cannot
/// be read for a moment.
fn is_unreadable(failure: &PeerFailure) -> bool {
    matches!(failure, PeerFailure::Exchange(PeerError::Refused(Refusal::Unavailable)))
}

/// What the peer did, without a full stop.
fn what(failure: &PeerFailure) -> String {
    match failure {
        PeerFailure::Unreachable(reason) => format!("The node that shares it cannot be reached directly ({reason})"),
        PeerFailure::Exchange(PeerError::Refused(Refusal::NotFound)) => {
            "The node that shares it has nothing for you under this reference: it may have expired or been removed, is for \
             somebody else, or needs another password"
                .to_owned()
        }
        PeerFailure::Exchange(PeerError::Refused(Refusal::NoUseLeft)) => {
            "As often as the token may be used it was, or is being".to_owned()
        }
        PeerFailure::Exchange(PeerError::Cut) => {
            "The node that shares it was reached, but the connection ended before it delivered".to_owned()
        }
        PeerFailure::Exchange(_) if is_unreadable(failure) => {
            "The node that shares it was reached, but cannot give it now; the file may have changed or be gone".to_owned()
        }
        PeerFailure::Exchange(error) if is_interrupted(failure) => {
            format!("The node that shares it was reached and did not deliver: {error}")
        }
        PeerFailure::Exchange(error) => format!("The node that shares it did not give it: {error}"),
    }
}

/// What to do about it.
fn next_step(failure: &PeerFailure) -> Option<&'static str> {
    Some(match failure {
        PeerFailure::Unreachable(_) => {
            "make sure that it is running, that both are in the same network or share a relay, and that no firewall blocks it"
        }
        PeerFailure::Exchange(PeerError::Refused(Refusal::NoUseLeft)) => "ask whoever shares it for another one",
        PeerFailure::Exchange(_) if is_unreadable(failure) => "try again, or ask whoever shares it to share it again",
        PeerFailure::Exchange(_) if is_interrupted(failure) => "try again in a moment",
        PeerFailure::Exchange(_) => return None,
    })
}

/// What the peer did, and what to do about it.
struct Direct<'a>(&'a PeerFailure);

impl fmt::Display for Direct<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&what(self.0))?;
        match next_step(self.0) {
            Some(next_step) => write!(f, "; {next_step}."),
            None => f.write_str("."),
        }
    }
}

impl fmt::Display for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.backbone {
            None => write!(f, "{}", Direct(&self.direct)),
            Some(backbone) if self.begins_with_peer() => {
                write!(f, "{} The backbone says: {backbone}", Direct(&self.direct))
            }
            Some(backbone) => write!(f, "{backbone} {}", Direct(&self.direct)),
        }
    }
}

impl std::error::Error for Undelivered {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_both(direct: PeerFailure, is_foreign: bool) -> Error {
        let backbone = Failure::NotFound(Error::RecordNotFound("Token"));
        Error::Undelivered(Box::new(Undelivered::by_all(direct, backbone, is_foreign)))
    }

    #[test]
    fn the_own_backbone_decides_what_is_missing_and_another_one_does_not() {
        let refused = |refusal| PeerError::Refused(refusal);
        let unreachable = || PeerFailure::Unreachable("no address answers".to_owned());
        let (interrupted, missing) = (ErrorCode::PeerExchange, ErrorCode::RecordNotFound);
        for (direct, own, foreign) in [
            (PeerError::Cut.into(), missing, interrupted),
            (PeerError::TimedOut.into(), missing, interrupted),
            (refused(Refusal::Busy).into(), missing, interrupted),
            (refused(Refusal::NotFound).into(), missing, missing),
            (PeerError::OutOfTurn.into(), missing, interrupted),
            (unreachable(), missing, ErrorCode::PeerUnreachable),
        ] {
            let direct: PeerFailure = direct;
            assert_eq!(by_both(direct.clone(), false).known_code(), Some(own), "{direct:?}");
            assert_eq!(by_both(direct.clone(), true).known_code(), Some(foreign), "{direct:?}");
        }
    }

    #[test]
    fn a_peer_that_was_reached_and_may_give_it_yet_comes_first_in_the_text() {
        let text = by_both(PeerError::Cut.into(), false).to_string();
        let reached =
            "The node that shares it was reached, but the connection ended before it delivered; try again in a moment.";
        assert!(text.starts_with(&format!("{reached} The backbone says: ")), "{text}");
        let refused = by_both(PeerError::Refused(Refusal::NotFound).into(), false).to_string();
        assert!(refused.starts_with("Token not found."), "{refused}");
        let lost = by_both(PeerError::Refused(Refusal::Unavailable).into(), true).to_string();
        assert!(lost.contains("may have changed or be gone; try again, or ask whoever shares it"), "{lost}");
    }

    #[test]
    fn it_tells_whether_the_sender_was_reached_without_a_decision() {
        let refused = |refusal| PeerError::Refused(refusal).into();
        for (direct, is_reached) in [
            (PeerError::Cut.into(), true),
            (PeerError::TimedOut.into(), true),
            (refused(Refusal::Busy), true),
            (refused(Refusal::Unavailable), true),
            (refused(Refusal::NotFound), false),
            (refused(Refusal::Locked), false),
            (PeerError::OutOfTurn.into(), false),
            (PeerFailure::Unreachable("the node that shares it was reached".to_owned()), false),
        ] {
            let error = by_both(direct, false);
            let Error::Undelivered(undelivered) = &error else { unreachable!("{error}") };
            assert_eq!(undelivered.is_sender_reached(), is_reached, "{error}");
        }
    }

    #[test]
    fn what_happened_has_neither_the_next_step_nor_the_answer_of_the_backbone() {
        let reason = "a.example; make sure. Try again";
        let undelivered = Undelivered::by_peer(PeerFailure::Unreachable(reason.to_owned()));
        assert_eq!(undelivered.what(), format!("The node that shares it cannot be reached directly ({reason})"));
        let text = undelivered.to_string();
        assert!(text.starts_with(&undelivered.what()) && text.ends_with("no firewall blocks it."), "{text}");
    }
}
