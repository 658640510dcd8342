//! Answers that do not open: nobody who answers wrongly has a load fail that the other side would have answered.

use std::future::Future;

use super::{Failure, Sources};
use crate::peer::Origin;
use crate::{Error, Result};

/// What an answer says, once it has opened.
pub(crate) struct Opened<T> {
    /// What it says.
    pub(crate) value: T,
    /// Who answered something else before, and why that did not open.
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
    for (sources, other) in [(Sources::Backbone, Origin::Peer), (Sources::Peer, Origin::Backbone)] {
        match ask(sources).await.map(&open) {
            Ok(Ok(value)) => return Ok(Opened { value, refused: Some((other, reason)) }),
            Ok(Err(error)) if sources == Sources::Backbone => reason = error,
            // Who has nothing, or cannot be asked, contradicts nobody.
            Ok(Err(_)) | Err(_) => {}
        }
    }
    Err(reason)
}
