//! What a node asks of its peers: the [`PeerReads`] of a [`PeerNetwork`].

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use swarm::{Connection, OpenError, PathKind, Stream};
use transport::access::ClaimEnd;
use transport::crypto::PasswordHash;
use transport::peer::{
    Channel, ContentExpectation, ContentHeader, Conversation, EndClaim, FILE_PROTOCOL, FILE_PROTOCOL_V2, Fetch,
    FetchMetadata, FileTarget, LoadToken, Now, PasswordProof, PeerError, PeerId, Refusal, Side, TOKEN_PROTOCOL,
    TOKEN_PROTOCOL_V2, TokenRequest,
};
use transport::wire::backbone::files::FileMetadata;
use transport::wire::backbone::tokens::Token;
use transport::wire::{ClaimId, TokenId};

use super::drive::{Ended, Incoming, ReadAhead, exchange, while_alive};
use super::network::{PeerNetwork, Shared};
use super::{Path, PeerContent, PeerFailure, PeerReads, Route};

impl PeerReads for PeerNetwork {
    type Content = ArrivingContent;

    async fn token(&self, route: &Route, id: &TokenId, password: Option<&PasswordHash>) -> Result<Token, PeerFailure> {
        let target = FileTarget::Token(id.clone());
        let max_content = sealed_length(self.network()?.max_token_content);
        let load = |channel: &Channel, now: Now, claim: Option<&ClaimId>| {
            let request = TokenRequest { token: id.clone(), proof: proof(channel, &target, password) };
            Ok(LoadToken::new(channel, request, max_content, now.time)?.under(claim))
        };
        self.first_of(route, password, |route| {
            async move { self.ask(&route, Protocol::of_token(route.claim.as_ref()), load).await }.boxed()
        })
        .await
    }

    async fn metadata(
        &self,
        route: &Route,
        target: &FileTarget,
        password: Option<&PasswordHash>,
    ) -> Result<FileMetadata, PeerFailure> {
        let fetch = |channel: &Channel, now: Now, claim: Option<&ClaimId>| {
            let proof = proof(channel, target, password);
            Ok(FetchMetadata::new(channel, target.clone(), proof, now.time)?.under(claim))
        };
        self.first_of(route, password, |route| {
            async move { self.ask(&route, Protocol::of_file(&route, target), fetch).await }.boxed()
        })
        .await
    }

    async fn content(
        &self,
        route: &Route,
        target: &FileTarget,
        range: (u64, Option<u64>),
        expectation: ContentExpectation,
    ) -> Result<ArrivingContent, PeerFailure> {
        self.first_of(route, route.password.as_ref(), |route| {
            let expectation = expectation.clone();
            async move { self.fetch(&route, target, range, expectation).await }.boxed()
        })
        .await
    }

    /// Only the device that made the token counts its uses.
    async fn end_claim(&self, route: &Route, id: &TokenId, claim: &ClaimId, end: ClaimEnd) -> Result<(), PeerFailure> {
        let protocol = Protocol { versions: &[TOKEN_PROTOCOL_V2], claim: Some(claim) };
        let side = |_: &Channel, _: Now, _: Option<&ClaimId>| Ok(EndClaim::new(id.clone(), claim.clone(), end));
        match Box::pin(self.ask_by(route, protocol, side)).await {
            Err(NotAsked::Unsupported(_)) => Err(PeerError::Refused(Refusal::NotFound).into()),
            outcome => Ok(outcome?),
        }
    }
}

/// By which versions of a protocol a request may be made. Only version 2 has claims.
#[derive(Clone, Copy)]
struct Protocol<'a> {
    /// The best one first.
    versions: &'static [&'static str],
    claim: Option<&'a ClaimId>,
}

impl<'a> Protocol<'a> {
    /// What is no counted use is asked for by version 1, which all peers know.
    fn of(all: &'static [&'static str; 2], claim: Option<&'a ClaimId>) -> Self {
        Self { versions: if claim.is_some() { all } else { &all[1..] }, claim }
    }

    fn of_token(claim: Option<&'a ClaimId>) -> Self {
        Self::of(&[TOKEN_PROTOCOL_V2, TOKEN_PROTOCOL], claim)
    }

    /// A claim is one of the token. A file by its own id has none.
    fn of_file(route: &'a Route, target: &FileTarget) -> Self {
        let claim = route.claim.as_ref().filter(|_| matches!(target, FileTarget::Token(_)));
        Self::of(&[FILE_PROTOCOL_V2, FILE_PROTOCOL], claim)
    }
}

/// A stream to the peer of a route.
struct Opened<'a> {
    connection: Connection,
    channel: Channel,
    stream: Stream,
    /// If the protocol of the stream has claims.
    claim: Option<&'a ClaimId>,
}

/// Why a peer was not asked, or has not answered.
enum NotAsked {
    /// It knows no version of the protocol, of which this is the last one.
    Unsupported(&'static str),
    Failed(PeerFailure),
}

impl From<PeerFailure> for NotAsked {
    fn from(failure: PeerFailure) -> Self {
        Self::Failed(failure)
    }
}

impl From<PeerError> for NotAsked {
    fn from(error: PeerError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<NotAsked> for PeerFailure {
    fn from(not_asked: NotAsked) -> Self {
        match not_asked {
            NotAsked::Unsupported(protocol) => Self::Unreachable(format!("it does not know {protocol}")),
            NotAsked::Failed(failure) => failure,
        }
    }
}

impl PeerNetwork {
    async fn fetch(
        &self,
        route: &Route,
        target: &FileTarget,
        range: (u64, Option<u64>),
        expectation: ContentExpectation,
    ) -> Result<ArrivingContent, PeerFailure> {
        let shared = self.shared().cloned().ok_or_else(no_peers)?;
        let time = &shared.time;
        let fetch = async |Opened { connection, channel, stream, claim }: Opened<'_>| {
            let proof = proof(&channel, target, route.password.as_ref());
            let fetch = Fetch::new(target.clone(), range, proof, expectation.clone(), time.now().instant).under(claim);
            let incoming = while_alive(&connection, Incoming::begin(stream, fetch, time.clone())).await??;
            Ok((ReadAhead::start(incoming, connection.clone()), connection))
        };
        let mut attempts = Attempts::default();
        loop {
            let opened = self.open(route, Protocol::of_file(route, target), &mut attempts).await?;
            let connection = opened.connection.clone();
            match fetch(opened).await {
                Ok((incoming, connection)) => {
                    let is_turned = attempts.relayed.is_some();
                    return Ok(ArrivingContent { incoming, connection, is_turned, shared: shared.clone() });
                }
                Err(ended) if self.turn(&mut attempts, &ended, &connection) => {}
                Err(ended) => attempts.after(ended)?,
            }
        }
    }

    /// One exchange on a stream of its own.
    async fn ask<S>(
        &self,
        route: &Route,
        protocol: Protocol<'_>,
        side: impl Fn(&Channel, Now, Option<&ClaimId>) -> Result<S, PeerError> + Send + Sync,
    ) -> Result<S::Outcome, PeerFailure>
    where
        S: Side + Send,
        S::Outcome: Send,
    {
        Ok(self.ask_by(route, protocol, side).await?)
    }

    async fn ask_by<S>(
        &self,
        route: &Route,
        protocol: Protocol<'_>,
        side: impl Fn(&Channel, Now, Option<&ClaimId>) -> Result<S, PeerError> + Send + Sync,
    ) -> Result<S::Outcome, NotAsked>
    where
        S: Side + Send,
        S::Outcome: Send,
    {
        let time = &self.network()?.time;
        let mut attempts = Attempts::default();
        loop {
            let Opened { connection, channel, stream, claim } = self.open(route, protocol, &mut attempts).await?;
            let now = time.now();
            let conversation = Conversation::new(side(&channel, now, claim)?, now.instant);
            match while_alive(&connection, exchange(stream, conversation, time)).await {
                Ok(Ok(outcome)) => return Ok(outcome),
                Ok(Err(ended)) if self.turn(&mut attempts, &ended, &connection) => {}
                Ok(Err(ended)) => attempts.after(ended)?,
                Err(dead) => attempts.after(dead.into())?,
            }
        }
    }

    /// A stream on the best connection to the peer of a route, by the best version that it knows.
    async fn open<'a>(
        &self,
        route: &Route,
        Protocol { mut versions, claim }: Protocol<'a>,
        attempts: &mut Attempts,
    ) -> Result<Opened<'a>, NotAsked> {
        loop {
            let (connection, channel) = match attempts.relayed.clone() {
                Some(relayed) => relayed,
                None => self.channel(route).await?,
            };
            let version = versions[0];
            match while_alive(&connection, connection.open(version)).await {
                Ok(Ok(stream)) => {
                    let claim = claim.filter(|_| [TOKEN_PROTOCOL_V2, FILE_PROTOCOL_V2].contains(&version));
                    return Ok(Opened { connection, channel, stream, claim });
                }
                Ok(Err(OpenError::Unsupported)) if versions.len() > 1 => versions = &versions[1..],
                Ok(Err(OpenError::Unsupported)) => return Err(NotAsked::Unsupported(version)),
                Ok(Err(OpenError::TimedOut)) => return Err(PeerError::TimedOut.into()),
                Ok(Err(_)) | Err(_) => attempts.after(Ended { error: PeerError::Cut, was_heard: false })?,
            }
        }
    }

    /// Whether the peer is to be asked once more, on a connection through a relay that is open: a better one was made meanwhile, by which
    /// it does not give what is asked for.
    fn turn(&self, attempts: &mut Attempts, ended: &Ended, connection: &Connection) -> bool {
        let is_turned = ended.error == PeerError::Refused(Refusal::OtherPath)
            && connection.path() != PathKind::Relayed
            && attempts.relayed.is_none();
        if is_turned {
            attempts.relayed = self.shared().and_then(|shared| shared.connections.relayed(&connection.peer()));
        }
        is_turned && attempts.relayed.is_some()
    }

    fn network(&self) -> Result<&Shared, PeerFailure> {
        self.shared().map(|shared| &**shared).ok_or_else(no_peers)
    }
}

fn no_peers() -> PeerFailure {
    PeerFailure::Unreachable("this node has no peers".to_owned())
}

/// An exchange counts as accepted with its first answer, and is tried once more if there was none (specification, section 11).
#[derive(Default)]
struct Attempts {
    is_last: bool,
    /// The connection on which to ask, if the best one will not do.
    relayed: Option<(Connection, Channel)>,
}

impl Attempts {
    /// Whether there is another attempt after one that failed.
    fn after(&mut self, ended: Ended) -> Result<(), PeerFailure> {
        let may_be_lost = ended.error == PeerError::Cut && !ended.was_heard;
        if may_be_lost && !std::mem::replace(&mut self.is_last, true) { Ok(()) } else { Err(ended.error.into()) }
    }
}

/// The content of a file that comes from a peer.
pub(crate) struct ArrivingContent {
    incoming: ReadAhead,
    connection: Connection,
    /// Whether the peer does not give it by a better path.
    is_turned: bool,
    shared: Arc<Shared>,
}

impl PeerContent for ArrivingContent {
    fn header(&self) -> &ContentHeader {
        self.incoming.header()
    }

    fn peer(&self) -> PeerId {
        self.connection.peer()
    }

    fn path(&self) -> Path {
        self.connection.path().into()
    }

    fn has_better_path(&self) -> bool {
        !self.is_turned && self.shared.connections.has_better(&self.connection)
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, PeerFailure> {
        Ok(self.incoming.chunk().await?)
    }
}

/// The proof of the password of a token. A file by its own id has none.
fn proof(channel: &Channel, target: &FileTarget, password: Option<&PasswordHash>) -> Option<PasswordProof> {
    match (target, password) {
        (FileTarget::Token(id), Some(hash)) => Some(PasswordProof::new(hash, channel.binding(), id)),
        _ => None,
    }
}

/// Bytes of the longest sealed content, which is in base64 within JSON, for one with so many bytes of plaintext.
fn sealed_length(plaintext: usize) -> usize {
    (plaintext / 3).saturating_mul(4).saturating_add(1024)
}
