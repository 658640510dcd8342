//! Answers that do not open: nobody who answers wrongly has a load fail that the other side would have answered.

use std::future::Future;

use super::{Failure, Sources};
use crate::peer::Origin;
use crate::{Error, Result};

/// What an answer says, once it has opened.
pub(crate) struct Opened<T> {
    /// What it says.
    pub(crate) value: T,
    /// Who answered something else before, and why that did not open; none if that may have been whoever answers now.
    pub(crate) refused: Option<(Origin, Error)>,
}

/// What the first answer says; if it does not open and a peer may have sent it, what the backbone or else the peer says to the same
/// question.
///
/// Only the side whose answer opens says something about the other one: of a reference with the wrong key no answer opens.
///
/// # Errors
/// That of the backbone's answer if it was asked again, else that of the first one.
pub(crate) async fn opened<A, T, F>(
    first: A,
    is_peer_asked: bool,
    ask: impl Fn(Sources) -> F,
    open: impl Fn(A) -> Result<T>,
) -> Result<Opened<T>>
where
    F: Future<Output = std::result::Result<A, Failure>>,
{
    let mut reason = match open(first) {
        Ok(value) => return Ok(Opened { value, refused: None }),
        Err(reason) if !is_peer_asked => return Err(reason),
        Err(reason) => reason,
    };
    // Who has nothing, or cannot be asked, contradicts nobody.
    let is_backbone_wrong = match ask(Sources::Backbone).await.map(&open) {
        Ok(Ok(value)) => return Ok(Opened { value, refused: Some((Origin::Peer, reason)) }),
        Ok(Err(error)) => {
            reason = error;
            true
        }
        Err(_) => false,
    };
    match ask(Sources::Peer).await.map(&open) {
        Ok(Ok(value)) => Ok(Opened { value, refused: is_backbone_wrong.then_some((Origin::Backbone, reason)) }),
        Ok(Err(_)) | Err(_) => Err(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRONG: u8 = 0;

    fn open(answer: u8) -> Result<u8> {
        if answer == WRONG { Err(Error::Unknown("wrong".to_owned())) } else { Ok(answer) }
    }

    /// Who is blamed if the first answer is wrong, and backbone and peer answer this then.
    async fn blamed(backbone: Option<u8>, peer: u8) -> Option<Origin> {
        let ask = |sources| async move {
            let answer = if sources == Sources::Backbone { backbone } else { Some(peer) };
            answer.ok_or_else(|| Failure::NotFound(Error::Unknown("nothing".to_owned())))
        };
        opened(WRONG, true, ask, open).await.unwrap().refused.map(|(origin, _)| origin)
    }

    #[tokio::test]
    async fn only_who_has_answered_is_blamed() {
        assert_eq!(blamed(Some(1), WRONG).await, Some(Origin::Peer));
        assert_eq!(blamed(Some(WRONG), 1).await, Some(Origin::Backbone));
        assert_eq!(blamed(None, 1).await, None, "the backbone has said nothing");
    }
}
