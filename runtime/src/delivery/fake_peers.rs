//! Peers in memory, for tests: one holder of tokens and files, which does what a script says.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use transport::access::{ClaimEnd, Uses};
use transport::crypto::PasswordHash;
use transport::peer::{
    ContentExpectation, ContentHeader, FileTarget, Format, PIECE_LENGTH, PeerError, PeerId, Refusal,
};
use transport::wire::backbone::files::FileMetadata;
use transport::wire::backbone::tokens::Token;
use transport::wire::{ClaimId, FileId, TokenId};

use crate::core::Core;
use crate::peer::{Path, PeerContent, PeerFailure, PeerNetwork, PeerReads, Route};

tokio::task_local! {
    static PEERS: FakePeers;
    static NETWORK: PeerNetwork;
}

/// Runs `future`, in which nodes use this network.
pub(crate) async fn with_network<F: Future>(network: PeerNetwork, future: F) -> F::Output {
    NETWORK.scope(network, future).await
}

/// What the holder does with a request for content.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    /// Serves it.
    Serve,
    /// Is not there.
    Unreachable,
    /// Refuses.
    Refuse(Refusal),
    /// Does not answer before this time, then serves.
    Slow(Duration),
    /// Breaks the stream behind so many bytes.
    Cut(u64),
    /// Sends so many bytes, then nothing until the time limit of the protocol.
    Stall(u64),
    /// Sends so many bytes, and breaks the stream a long time later, as one does from which bytes come very slowly.
    Trickle(u64),
    /// Changes the byte at this position of the body or blob, if it is asked for.
    Alter(u64),
    /// Announces all, and ends behind so many bytes as if it were all.
    EndEarly(u64),
    /// Sends more than it announces.
    Overrun,
    /// Answers about another file.
    AnotherFile,
}

/// The holder. Clones share what it has.
#[derive(Clone, Default)]
pub(crate) struct FakePeers(Arc<Mutex<State>>);

/// What the holder has, and what was asked.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) tokens: HashMap<TokenId, (Token, Option<PasswordHash>)>,
    /// Which file a token is for.
    pub(crate) shared: HashMap<TokenId, FileId>,
    pub(crate) files: HashMap<FileId, (FileMetadata, Format, Bytes)>,
    /// What becomes of the next requests for content; afterwards all are served, or what `otherwise` says.
    pub(crate) script: VecDeque<Act>,
    pub(crate) otherwise: Option<Act>,
    /// Which of the devices of a route serve the next requests for content; the first one afterwards.
    pub(crate) turns: VecDeque<usize>,
    /// Devices that change the byte at this position, whatever the script says.
    pub(crate) altered_by: HashMap<PeerId, u64>,
    /// The devices that have served contents.
    pub(crate) served_by: Vec<PeerId>,
    pub(crate) path: Option<Path>,
    /// How long it takes to answer requests for tokens and metadata.
    pub(crate) delay: Duration,
    /// Refuses requests for tokens and metadata with this.
    pub(crate) refusal: Option<Refusal>,
    /// Whether its answers to requests for tokens are lost.
    pub(crate) loses_answers: bool,
    /// Whether nobody can reach it.
    pub(crate) is_away: bool,
    /// Requests for tokens.
    pub(crate) tokens_asked: usize,
    /// Wrong passwords.
    pub(crate) wrong_passwords: usize,
    /// Bytes of contents that were sent, in this order.
    pub(crate) sent: Vec<Range<u64>>,
    /// Requests for content.
    pub(crate) requests: usize,
    pub(crate) targets: Vec<FileTarget>,
    /// The claims of requests for tokens and contents.
    pub(crate) claims: Vec<Option<ClaimId>>,
    /// Uses that it allocates.
    pub(crate) uses: HashMap<TokenId, Uses>,
}

impl FakePeers {
    /// Runs `future`, in which nodes reach this holder.
    pub(crate) async fn scope<F: Future>(&self, future: F) -> F::Output {
        PEERS.scope(self.clone(), future).await
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By which path it answers now.
    fn path(&self) -> Path {
        self.state().path.unwrap_or(Path::Direct)
    }

    fn act(&self) -> Act {
        let mut state = self.state();
        state.requests += 1;
        if state.is_away {
            return Act::Unreachable;
        }
        let otherwise = state.otherwise.unwrap_or(Act::Serve);
        state.script.pop_front().unwrap_or(otherwise)
    }

    /// Waits, and refuses if it is told to.
    async fn answer(&self) -> Result<(), PeerFailure> {
        let (is_away, delay, refusal) = {
            let state = self.state();
            (state.is_away, state.delay, state.refusal)
        };
        if is_away {
            return Err(PeerFailure::Unreachable("nobody listens".to_owned()));
        }
        if delay > Duration::ZERO {
            tokio::time::sleep(delay).await;
        }
        refusal.map_or(Ok(()), |refusal| Err(PeerError::Refused(refusal).into()))
    }

    fn file_of(&self, target: &FileTarget) -> Option<FileId> {
        let mut state = self.state();
        state.targets.push(target.clone());
        match target {
            FileTarget::Token(token) => state.shared.get(token).cloned(),
            FileTarget::File(file) => Some(file.clone()),
        }
    }
}

impl State {
    /// The device of a route whose turn it is, and which byte it changes.
    fn device_of(&mut self, route: &Route) -> (PeerId, Option<u64>) {
        let devices: Vec<_> = route.devices().map(|device| device.peer_id).collect();
        let turn = self.turns.pop_front().unwrap_or_default();
        let peer = devices[turn.min(devices.len() - 1)];
        self.served_by.push(peer);
        (peer, self.altered_by.get(&peer).copied())
    }
}

fn nothing() -> PeerFailure {
    PeerError::Refused(Refusal::NotFound).into()
}

impl PeerReads for FakePeers {
    type Content = FakeContent;

    async fn token(&self, route: &Route, id: &TokenId, password: Option<&PasswordHash>) -> Result<Token, PeerFailure> {
        self.state().tokens_asked += 1;
        self.answer().await?;
        let mut state = self.state();
        state.claims.push(route.claim.clone());
        let (token, expected) = state.tokens.get(id).cloned().ok_or_else(nothing)?;
        if expected.is_some() && expected.as_ref() != password {
            state.wrong_passwords += 1;
            return Err(nothing());
        }
        if let Some(uses) = state.uses.get_mut(id) {
            let claim = route.claim.as_ref().ok_or_else(nothing)?;
            let _ = uses.read(claim, token.created_at).map_err(|error| PeerError::Refused(error.into()))?;
        }
        if state.loses_answers {
            return Err(PeerError::Cut.into());
        }
        Ok(token)
    }

    async fn end_claim(&self, _: &Route, id: &TokenId, claim: &ClaimId, end: ClaimEnd) -> Result<(), PeerFailure> {
        self.answer().await?;
        let mut state = self.state();
        let now = state.tokens.get(id).map(|(token, _)| token.created_at).ok_or_else(nothing)?;
        let uses = state.uses.get_mut(id).ok_or_else(nothing)?;
        uses.end(claim, end, now).map_err(|_| nothing())
    }

    async fn metadata(
        &self,
        _: &Route,
        target: &FileTarget,
        _: Option<&PasswordHash>,
    ) -> Result<FileMetadata, PeerFailure> {
        let id = self.file_of(target);
        self.answer().await?;
        let state = self.state();
        id.and_then(|id| state.files.get(&id)).map(|(metadata, ..)| metadata.clone()).ok_or_else(nothing)
    }

    async fn content(
        &self,
        route: &Route,
        target: &FileTarget,
        (start, end): (u64, Option<u64>),
        expectation: ContentExpectation,
    ) -> Result<FakeContent, PeerFailure> {
        let act = self.act();
        self.state().claims.push(route.claim.clone());
        match act {
            Act::Unreachable => return Err(PeerFailure::Unreachable("nobody listens".to_owned())),
            Act::Refuse(refusal) => return Err(PeerError::Refused(refusal).into()),
            Act::AnotherFile => return Err(PeerError::Contradiction("it is about another file").into()),
            Act::Slow(time) => tokio::time::sleep(time).await,
            _ => {}
        }
        let id = self.file_of(target).ok_or_else(nothing)?;
        let (format, body) =
            self.state().files.get(&id).map(|(_, format, body)| (*format, body.clone())).ok_or_else(nothing)?;
        let length = body.len() as u64;
        if length > expectation.limit {
            return Err(PeerError::Contradiction("the file has another length").into());
        }
        let (start, end) = match format {
            Format::V1 => (0, length),
            Format::V2 => (start, end.unwrap_or(length)),
        };
        if start > end || end > length {
            return Err(PeerError::Refused(Refusal::Range).into());
        }
        let header = ContentHeader { file: id, format, length, start, end };
        let path = self.path();
        let (peer, altered) = self.state().device_of(route);
        Ok(FakeContent { peers: self.clone(), peer, altered, body, position: start, header, path, act })
    }
}

/// Bytes that the holder sends.
pub(crate) struct FakeContent {
    peers: FakePeers,
    peer: PeerId,
    altered: Option<u64>,
    body: Bytes,
    position: u64,
    header: ContentHeader,
    path: Path,
    act: Act,
}

fn place(position: u64) -> usize {
    usize::try_from(position).unwrap()
}

impl PeerContent for FakeContent {
    fn header(&self) -> &ContentHeader {
        &self.header
    }

    fn peer(&self) -> PeerId {
        self.peer
    }

    fn path(&self) -> Path {
        self.path
    }

    fn has_better_path(&self) -> bool {
        self.peers.path() < self.path
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, PeerFailure> {
        let (start, mut end) = (self.position, self.header.end.min(self.position + PIECE_LENGTH));
        let sent = start - self.header.start;
        match self.act {
            Act::Cut(after) | Act::Stall(after) | Act::Trickle(after) | Act::EndEarly(after) if sent >= after => {
                return match self.act {
                    Act::Cut(_) => Err(PeerError::Cut.into()),
                    Act::Stall(_) => {
                        tokio::time::sleep(transport::peer::STALL_LIMIT).await;
                        Err(PeerError::TimedOut.into())
                    }
                    Act::Trickle(_) => {
                        tokio::time::sleep(transport::peer::STALL_LIMIT * 4).await;
                        Err(PeerError::Cut.into())
                    }
                    _ => Ok(None),
                };
            }
            Act::Cut(after) | Act::Stall(after) | Act::Trickle(after) | Act::EndEarly(after) => {
                end = end.min(self.header.start + after);
            }
            _ => {}
        }
        if start == end {
            return Ok(matches!(self.act, Act::Overrun).then(|| Bytes::from_static(b"more")));
        }
        let mut bytes = self.body.slice(place(start)..place(end));
        let by_script = if let Act::Alter(at) = self.act { Some(at) } else { None };
        if let Some(at) = self.altered.or(by_script)
            && (start..end).contains(&at)
        {
            let mut altered = bytes.to_vec();
            altered[place(at - start)] ^= 1;
            bytes = altered.into();
        }
        self.position = end;
        self.peers.state().sent.push(start..end);
        Ok(Some(bytes))
    }
}

/// The peers of a node in tests: its network, or the holder of the scope.
#[derive(Clone)]
pub(crate) enum PeersInTest {
    Network(PeerNetwork),
    Fake(FakePeers),
}

impl PeersInTest {
    pub(super) fn of(core: &Core) -> Self {
        let network = || NETWORK.try_with(PeerNetwork::clone).unwrap_or_else(|_| core.peers.clone());
        PEERS.try_with(FakePeers::clone).map_or_else(|_| Self::Network(network()), Self::Fake)
    }
}

impl PeerReads for PeersInTest {
    type Content = ContentInTest;

    async fn token(&self, route: &Route, id: &TokenId, password: Option<&PasswordHash>) -> Result<Token, PeerFailure> {
        match self {
            Self::Network(peers) => peers.token(route, id, password).await,
            Self::Fake(peers) => peers.token(route, id, password).await,
        }
    }

    async fn metadata(
        &self,
        route: &Route,
        target: &FileTarget,
        password: Option<&PasswordHash>,
    ) -> Result<FileMetadata, PeerFailure> {
        match self {
            Self::Network(peers) => peers.metadata(route, target, password).await,
            Self::Fake(peers) => peers.metadata(route, target, password).await,
        }
    }

    async fn content(
        &self,
        route: &Route,
        target: &FileTarget,
        range: (u64, Option<u64>),
        expectation: ContentExpectation,
    ) -> Result<ContentInTest, PeerFailure> {
        Ok(match self {
            Self::Network(peers) => {
                ContentInTest::Network(Box::new(peers.content(route, target, range, expectation).await?))
            }
            Self::Fake(peers) => ContentInTest::Fake(Box::new(peers.content(route, target, range, expectation).await?)),
        })
    }

    async fn end_claim(&self, route: &Route, id: &TokenId, claim: &ClaimId, end: ClaimEnd) -> Result<(), PeerFailure> {
        match self {
            Self::Network(peers) => peers.end_claim(route, id, claim, end).await,
            Self::Fake(peers) => peers.end_claim(route, id, claim, end).await,
        }
    }
}

/// What they send.
pub(crate) enum ContentInTest {
    Network(Box<<PeerNetwork as PeerReads>::Content>),
    Fake(Box<FakeContent>),
}

impl PeerContent for ContentInTest {
    fn header(&self) -> &ContentHeader {
        match self {
            Self::Network(content) => content.header(),
            Self::Fake(content) => content.header(),
        }
    }

    fn peer(&self) -> PeerId {
        match self {
            Self::Network(content) => content.peer(),
            Self::Fake(content) => content.peer(),
        }
    }

    fn path(&self) -> Path {
        match self {
            Self::Network(content) => content.path(),
            Self::Fake(content) => content.path(),
        }
    }

    fn has_better_path(&self) -> bool {
        match self {
            Self::Network(content) => content.has_better_path(),
            Self::Fake(content) => content.has_better_path(),
        }
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, PeerFailure> {
        match self {
            Self::Network(content) => content.chunk().await,
            Self::Fake(content) => content.chunk().await,
        }
    }
}
