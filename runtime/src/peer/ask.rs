//! What a node asks of its peers: the [`PeerReads`] of a [`PeerNetwork`].

use bytes::Bytes;
use swarm::{Connection, OpenError, Stream};
use transport::crypto::PasswordHash;
use transport::peer::{
    Channel, ContentExpectation, ContentHeader, Conversation, FILE_PROTOCOL, Fetch, FetchMetadata, FileTarget,
    LoadToken, Now, PasswordProof, PeerError, Side, TOKEN_PROTOCOL, TokenRequest,
};
use transport::wire::TokenId;
use transport::wire::backbone::files::FileMetadata;
use transport::wire::backbone::tokens::Token;

use super::drive::{Ended, Incoming, ReadAhead, exchange, while_alive};
use super::network::{PeerNetwork, Shared};
use super::{Path, PeerContent, PeerFailure, PeerReads, Route};

impl PeerReads for PeerNetwork {
    type Content = ArrivingContent;

    async fn token(&self, route: &Route, id: &TokenId, password: Option<&PasswordHash>) -> Result<Token, PeerFailure> {
        let (network, target) = (self.network()?, FileTarget::Token(id.clone()));
        let max_content = sealed_length(network.max_token_content);
        let load = |channel: &Channel, now: Now| {
            let request = TokenRequest { token: id.clone(), proof: proof(channel, &target, password) };
            LoadToken::new(channel, request, max_content, now.time)
        };
        // On the heap, as those below: what awaits these is large already.
        Box::pin(self.ask(route, TOKEN_PROTOCOL, load)).await
    }

    async fn metadata(
        &self,
        route: &Route,
        target: &FileTarget,
        password: Option<&PasswordHash>,
    ) -> Result<FileMetadata, PeerFailure> {
        let fetch = |channel: &Channel, now: Now| {
            FetchMetadata::new(channel, target.clone(), proof(channel, target, password), now.time)
        };
        Box::pin(self.ask(route, FILE_PROTOCOL, fetch)).await
    }

    async fn content(
        &self,
        route: &Route,
        target: &FileTarget,
        range: (u64, Option<u64>),
        expectation: ContentExpectation,
    ) -> Result<ArrivingContent, PeerFailure> {
        Box::pin(self.fetch(route, target, range, expectation)).await
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
        let time = &self.network()?.time;
        let fetch = async |channel: &Channel, connection: Connection, stream: Stream| {
            let proof = proof(channel, target, route.password.as_ref());
            let fetch = Fetch::new(target.clone(), range, proof, expectation.clone(), time.now().instant);
            let incoming = while_alive(&connection, Incoming::begin(stream, fetch, time.clone())).await??;
            Ok(ArrivingContent { incoming: ReadAhead::start(incoming, connection.clone()), connection })
        };
        let mut attempts = Attempts::default();
        loop {
            let (connection, channel, stream) = self.open(route, FILE_PROTOCOL, &mut attempts).await?;
            match fetch(&channel, connection, stream).await {
                Ok(content) => return Ok(content),
                Err(ended) => attempts.after(ended)?,
            }
        }
    }

    /// One exchange on a stream of its own.
    async fn ask<S>(
        &self,
        route: &Route,
        protocol: &'static str,
        side: impl Fn(&Channel, Now) -> Result<S, PeerError> + Send + Sync,
    ) -> Result<S::Outcome, PeerFailure>
    where
        S: Side + Send,
        S::Outcome: Send,
    {
        let time = &self.network()?.time;
        let mut attempts = Attempts::default();
        loop {
            let (connection, channel, stream) = self.open(route, protocol, &mut attempts).await?;
            let now = time.now();
            let conversation = Conversation::new(side(&channel, now)?, now.instant);
            match while_alive(&connection, exchange(stream, conversation, time)).await {
                Ok(Ok(outcome)) => return Ok(outcome),
                Ok(Err(ended)) => attempts.after(ended)?,
                Err(dead) => attempts.after(dead.into())?,
            }
        }
    }

    /// A stream on the best connection to the peer of a route.
    async fn open(
        &self,
        route: &Route,
        protocol: &'static str,
        attempts: &mut Attempts,
    ) -> Result<(Connection, Channel, Stream), PeerFailure> {
        loop {
            let (connection, channel) = self.channel(route).await?;
            match while_alive(&connection, connection.open(protocol)).await {
                Ok(Ok(stream)) => return Ok((connection, channel, stream)),
                Ok(Err(OpenError::Unsupported)) => {
                    return Err(PeerFailure::Unreachable(format!("it does not know {protocol}")));
                }
                Ok(Err(OpenError::TimedOut)) => return Err(PeerError::TimedOut.into()),
                Ok(Err(_)) | Err(_) => attempts.after(Ended { error: PeerError::Cut, was_heard: false })?,
            }
        }
    }

    fn network(&self) -> Result<&Shared, PeerFailure> {
        self.shared()
            .map(|shared| &**shared)
            .ok_or_else(|| PeerFailure::Unreachable("this node has no peers".to_owned()))
    }
}

/// An exchange counts as accepted with its first answer, and is tried once more if there was none (specification, section 11).
#[derive(Default)]
struct Attempts {
    is_last: bool,
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
}

impl PeerContent for ArrivingContent {
    fn header(&self) -> &ContentHeader {
        self.incoming.header()
    }

    fn path(&self) -> Path {
        self.connection.path().into()
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
