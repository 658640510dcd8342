//! Reads from the node that shares something, as failures of a delivery.

use bytes::Bytes;
use transport::peer::{ContentExpectation, FileTarget, PeerError, PeerId, Refusal};
use transport::wire::FileId;
use transport::wire::backbone::files::FileMetadata;

use super::{Failure, Incoming, Undelivered};
use crate::Error;
use crate::core::Core;
use crate::peer::{Path, PeerContent, PeerFailure, PeerReads, Route};

/// Bytes of a file that come from a peer.
pub(crate) struct FromPeer<C> {
    content: C,
    offset: u64,
    length: u64,
    received: u64,
}

impl<C: PeerContent> FromPeer<C> {
    fn new(content: C) -> Self {
        let header = content.header();
        let (offset, length) = (header.start, header.end - header.start);
        Self { content, offset, length, received: 0 }
    }
}

impl<C: PeerContent> Incoming for FromPeer<C> {
    fn peer(&self) -> Option<PeerId> {
        Some(self.content.peer())
    }

    fn path(&self) -> Path {
        self.content.path()
    }

    fn has_better_path(&self) -> bool {
        self.content.has_better_path()
    }

    fn offset(&self) -> u64 {
        self.offset
    }

    fn length(&self) -> Option<u64> {
        Some(self.length)
    }

    fn received(&self) -> u64 {
        self.received
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        let piece = self.content.chunk().await?;
        match &piece {
            Some(piece) => self.received += piece.len() as u64,
            None if self.received < self.length => return Err(PeerFailure::from(PeerError::Cut).into()),
            None => {}
        }
        if self.received > self.length {
            return Err(PeerFailure::from(PeerError::Contradiction("it sends more than it announced")).into());
        }
        Ok(piece)
    }
}

/// Starts to read bytes of a file, from a position to that behind the last byte, or to the end.
pub(super) async fn content<P: PeerReads>(
    peers: &P,
    route: &Route,
    id: &FileId,
    range: (u64, Option<u64>),
    limit: u64,
) -> Result<FromPeer<P::Content>, PeerFailure> {
    let expectation = || ContentExpectation { file: Some(id.clone()), length: None, limit };
    let by_token = peers.content(route, &route.target(id), range, expectation()).await;
    let found = match by_token {
        // The token may have expired; who has proven an identity finds the file by its own id, as at a backbone.
        Err(failure) if is_nothing(&failure) && route.token.is_some() => {
            peers.content(route, &FileTarget::File(id.clone()), range, expectation()).await.map_err(|_| failure)
        }
        outcome => outcome,
    };
    found.map(FromPeer::new)
}

/// Reads what is known of a file without its content.
pub(super) async fn metadata<P: PeerReads>(
    peers: &P,
    core: &Core,
    route: &Route,
    id: &FileId,
) -> Result<FileMetadata, PeerFailure> {
    let metadata = peers.metadata(route, &route.target(id), route.password.as_ref()).await?;
    let own = core.account.address();
    // What an identity owns it knows from its datawallet and its backbone. Nobody else can say so.
    if metadata.id != *id || metadata.owner == *own || metadata.created_by == *own {
        return Err(PeerError::Contradiction("it is about another file").into());
    }
    Ok(metadata)
}

/// Whether a peer says that it has nothing for this node.
pub(super) fn is_nothing(failure: &PeerFailure) -> bool {
    matches!(failure, PeerFailure::Exchange(PeerError::Refused(Refusal::NotFound)))
}

/// Whether a peer says that no use of the token is left.
pub(super) fn is_used_up(failure: &PeerFailure) -> bool {
    matches!(failure, PeerFailure::Exchange(PeerError::Refused(Refusal::NoUseLeft)))
}

/// Whether a peer behaves in a way that no honest one does.
pub(super) fn is_lie(failure: &PeerFailure) -> bool {
    matches!(failure, PeerFailure::Exchange(PeerError::Frame(_) | PeerError::OutOfTurn | PeerError::Contradiction(_)))
}

impl From<PeerFailure> for Failure {
    fn from(failure: PeerFailure) -> Self {
        let kind = match &failure {
            failure if is_used_up(failure) => Self::NoUseLeft,
            failure if is_nothing(failure) => Self::NotFound,
            _ => Self::Failed,
        };
        kind(Error::Undelivered(Box::new(Undelivered::by_peer(failure))))
    }
}
