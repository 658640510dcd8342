//! What a node asks of another one.

use std::future::Future;

use bytes::Bytes;
use transport::access::ClaimEnd;
use transport::crypto::PasswordHash;
use transport::peer::{ContentExpectation, ContentHeader, FileTarget, PeerError, PeerId};
use transport::wire::backbone::files::FileMetadata;
use transport::wire::backbone::tokens::Token;
use transport::wire::{ClaimId, TokenId};

use super::{Path, Route};

/// Loads tokens and files from the nodes that share them.
///
/// # Contract
///
/// The other node is not trusted: what is loaded has the form of its type, fits into its bounds and is about what was asked
/// for; everything else is for the caller to verify. A connection is made if there is none, within a bounded time, and used
/// again. Every future can be dropped and ends by itself.
///
/// What is asked for by a token is asked for under the [claim](Route::claim) of the route. A peer that knows no claims is asked as before there were any.
pub(crate) trait PeerReads: Send + Sync {
    /// The bytes of a file on their way.
    type Content: PeerContent;

    /// A token with its sealed content.
    fn token(
        &self,
        route: &Route,
        id: &TokenId,
        password: Option<&PasswordHash>,
    ) -> impl Future<Output = Result<Token, PeerFailure>> + Send;

    /// What is known of a file without its content.
    fn metadata(
        &self,
        route: &Route,
        target: &FileTarget,
        password: Option<&PasswordHash>,
    ) -> impl Future<Output = Result<FileMetadata, PeerFailure>> + Send;

    /// Bytes of a file from a position to that behind the last byte, or to the end.
    fn content(
        &self,
        route: &Route,
        target: &FileTarget,
        range: (u64, Option<u64>),
        expectation: ContentExpectation,
    ) -> impl Future<Output = Result<Self::Content, PeerFailure>> + Send;

    /// Ends a use of a token. A peer that knows no claims answers as one that does not know this one.
    fn end_claim(
        &self,
        route: &Route,
        id: &TokenId,
        claim: &ClaimId,
        end: ClaimEnd,
    ) -> impl Future<Output = Result<(), PeerFailure>> + Send;
}

/// Bytes of a file that come from a peer. Nothing of them has been verified.
pub(crate) trait PeerContent: Send {
    /// What the peer says of them.
    fn header(&self) -> &ContentHeader;

    /// The device that sends them.
    fn peer(&self) -> PeerId;

    /// By which path they come now.
    fn path(&self) -> Path;

    /// Whether a new request to the same peer would take a better path by now.
    fn has_better_path(&self) -> bool;

    /// The next bytes, at most 256 KiB; none behind the last one of the header. Cancel-safe.
    fn chunk(&mut self) -> impl Future<Output = Result<Option<Bytes>, PeerFailure>> + Send;
}

/// Why a peer has given nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum PeerFailure {
    /// It was not reached.
    #[error("the peer cannot be reached: {0}")]
    Unreachable(String),
    /// It was reached, and the exchange failed: refused, cut, timed out or against the protocol.
    #[error(transparent)]
    Exchange(#[from] PeerError),
}
