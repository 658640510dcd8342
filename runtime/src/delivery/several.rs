//! Reads from the node that shares something, and from the backbone; writes to the backbone.
//!
//! Where a peer has a token or file is in [`Core::routes`]. Without a route everything is as if there were the backbone only.
//!
//! - **Tokens and metadata.** The peer is asked first, and after [`HEAD_START`] or its failure the backbone, too; the first good
//!   answer wins. The answers of both count: what one does not have the other one may. There are two exceptions, in which the peer answers first and alone.
//!   If the reference names another backbone than the one of this node, this one hardly has it. And with a password a node asks
//!   one side only, if this one decides: a wrong password is counted once.
//! - **Bytes.** One origin brings a range. The peer comes first, and the backbone if the peer fails or does not answer within
//!   [`PeerConfig::patience`](crate::PeerConfig); a peer that is slow goes on being reached meanwhile, for a later range. Who failed or was
//!   slow is asked after the other one for a growing time. A break in the middle is for the caller, who knows where to go on ([`Routes::failed`](crate::peer::Routes::failed)).
//! - **Failures.** Only if nobody is left there is one, and it says what both answered.

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _, TryFutureExt as _};
use tokio::time::{Instant, timeout};
use tracing::{debug, info};
use transport::access::ClaimEnd;
use transport::backbone::{UploadContent, UploadFile, UploadObserver};
use transport::crypto::PasswordHash;
use transport::peer::PeerId;
use transport::wire::backbone::files::{CreatedFile, FileMetadata};
use transport::wire::backbone::previews::FilePreview;
use transport::wire::backbone::token_terms::CreateTokenWithTerms;
use transport::wire::backbone::tokens::{CreatedToken, Token};
use transport::wire::bytes::from_base64;
use transport::wire::{ClaimId, FileId, TokenId, UploadId};

use super::direct::{self, FromPeer};
use super::{Delivery, Failure, Incoming, Outgoing, PieceSupport, ResumedUpload, Sources, Undelivered, UploadState};
use crate::Error;
use crate::blocking::joined;
use crate::core::Core;
use crate::logging::short;
use crate::peer::{Origin, Path, PeerContent, PeerFailure, PeerReads, REDIAL_PAUSE, Route, Sender};

/// For how long the peer is asked for a token or metadata before the backbone is asked, too.
const HEAD_START: Duration = Duration::from_millis(300);
/// For how long the peer is asked for a token with a password before the backbone is asked instead.
const PASSWORD_PATIENCE: Duration = REDIAL_PAUSE.saturating_add(Duration::from_secs(3));
/// For how long a slow peer goes on being reached, and for how long the other origin is asked first then.
const REACHING_LIMIT: Duration = Duration::from_secs(15);

/// The backbone `B` of a node, and its peers `P`.
pub(crate) struct Several<'a, B, P> {
    core: &'a Core,
    backbone: B,
    peers: P,
    sources: Sources,
}

impl<'a, B, P> Several<'a, B, P> {
    pub(super) fn new(core: &'a Core, backbone: B, peers: P, sources: Sources) -> Self {
        Self { core, backbone, peers, sources }
    }

    /// The peer that has a token, if it may be asked.
    fn route_to_token(&self, id: &TokenId) -> Option<Route> {
        (self.sources != Sources::Backbone).then(|| self.core.routes.to_token(id)).flatten()
    }

    /// The peer that has a file, if it may be asked.
    fn route_to_file(&self, id: &FileId) -> Option<Route> {
        (self.sources != Sources::Backbone).then(|| self.core.routes.to_file(id)).flatten()
    }
}

/// Bytes of a file that are wanted: from a position to that behind the last byte or to the end, of a file with at most `limit` bytes.
#[derive(Clone, Copy)]
struct Wanted {
    start: u64,
    end: Option<u64>,
    limit: u64,
}

impl<B, P> Several<'_, B, P>
where
    B: Delivery,
    P: PeerReads + Clone + 'static,
    P::Content: 'static,
{
    /// Whether a reference names another backbone than that of this node.
    fn is_foreign(&self, named: Option<&str>) -> bool {
        named.is_some_and(|named| !super::backbone::is_same_backbone(named, self.core.base_url()))
    }

    /// Asks the peer, after a head start the backbone, too, and takes the first good answer.
    async fn race<T: Send>(
        &self,
        from_peer: impl Future<Output = Result<T, PeerFailure>> + Send,
        from_backbone: impl Future<Output = Result<T, Failure>> + Send,
    ) -> Result<T, Failure> {
        let (mut from_peer, mut from_backbone) = (pin!(from_peer), pin!(from_backbone));
        let direct = match timeout(HEAD_START, from_peer.as_mut()).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(direct)) => direct,
            Err(_) => tokio::select! {
                found = from_peer.as_mut() => match found {
                    Ok(found) => return Ok(found),
                    Err(direct) => direct,
                },
                answer = from_backbone.as_mut() => match answer {
                    Ok(found) => return Ok(found),
                    Err(failure) => {
                        return from_peer.await.map_err(|direct| both(direct, failure, false));
                    }
                },
            },
        };
        from_backbone.await.map_err(|failure| both(direct, failure, false))
    }

    /// Asks the peer, and the backbone after it or at the same time.
    async fn in_turn_or_race<T: Send>(
        &self,
        from_peer: impl Future<Output = Result<T, PeerFailure>> + Send,
        from_backbone: impl Future<Output = Result<T, Failure>> + Send,
        named: Option<&str>,
    ) -> Result<T, Failure> {
        if !self.is_foreign(named) {
            return self.race(from_peer, from_backbone).await;
        }
        match from_peer.await {
            Ok(found) => Ok(found),
            Err(direct) => from_backbone.await.map_err(|failure| both(direct, failure, true)),
        }
    }

    /// Asks for a token where each side may count a wrong password.
    async fn token_with_password(
        &self,
        route: &Route,
        id: &TokenId,
        password_hash: &str,
        named: Option<&str>,
    ) -> Result<Token, Failure> {
        let is_foreign = self.is_foreign(named);
        let asked = || self.backbone.token(id, Some(password_hash), route.claim.as_ref(), named);
        // A backbone takes any text; the owner knows hashes.
        let Some(hash) = read_hash(password_hash) else { return asked().await };
        let from_peer = self.peers.token(route, id, Some(&hash));
        let patience = if is_foreign { Duration::MAX } else { PASSWORD_PATIENCE };
        match timeout(patience, from_peer).await {
            Ok(Ok(token)) => Ok(token),
            Ok(Err(direct)) if direct::is_nothing(&direct) => Err(direct.into()),
            Ok(Err(direct)) => asked().await.map_err(|failure| both(direct, failure, is_foreign)),
            Err(_) => asked().await.map_err(|failure| both(slow(), failure, is_foreign)),
        }
    }

    /// Bytes of a file from the first origin that gives them.
    async fn bytes(&self, id: &FileId, wanted: Wanted) -> Result<Arriving<B::FileContent, P>, Failure> {
        let Some(route) = self.route_to_file(id) else { return self.of_backbone(id, wanted).await };
        let is_foreign = self.is_foreign(route.backbone.as_deref());
        let origins = self.core.routes.origins(id, Instant::now());
        let (mut asked, mut failures) = (FuturesUnordered::new(), Failures::default());
        for (place, origin) in origins.iter().enumerate() {
            asked.push(self.ask(*origin, id, &route, wanted));
            let is_last = is_foreign || place + 1 == origins.len();
            let patience = if is_last { Duration::MAX } else { self.patience() };
            match timeout(patience, failures.until_one_brings(&mut asked)).await {
                Ok(Some(content)) => return Ok(content),
                Ok(None) => {}
                Err(_) => {
                    debug!(file = short(id), ?origin, "an origin of a file is slow to answer");
                    self.core.routes.pause(id, *origin, Instant::now() + REACHING_LIMIT);
                }
            }
        }
        Err(failures.into_failure(is_foreign))
    }

    /// For how long one origin is asked for bytes before the other one is asked, too.
    fn patience(&self) -> Duration {
        self.core.config.peers.as_ref().map_or(Duration::MAX, |peers| peers.patience)
    }

    fn ask<'b>(
        &'b self,
        origin: Origin,
        id: &'b FileId,
        route: &'b Route,
        wanted: Wanted,
    ) -> BoxFuture<'b, Brought<Arriving<B::FileContent, P>>> {
        match origin {
            Origin::Backbone => self.of_backbone(id, wanted).map_err(NotBrought::ByBackbone).boxed(),
            Origin::Peer => self.of_peer(id, route, wanted).map_ok(OneOf::Peer).map_err(NotBrought::ByPeer).boxed(),
        }
    }

    async fn of_backbone(&self, id: &FileId, wanted: Wanted) -> Result<Arriving<B::FileContent, P>, Failure> {
        let Wanted { start, end, limit } = wanted;
        let content = match end {
            Some(end) => self.backbone.file_range(id, start..end, limit).await,
            None if start == 0 => self.backbone.file_content(id, limit).await,
            None => self.backbone.file_range(id, start..limit, limit).await,
        };
        if content.is_err() {
            self.core.routes.failed(id, Origin::Backbone, Instant::now());
        }
        content.map(OneOf::Backbone)
    }

    /// Asks the peer on a task that goes on if nobody waits for it any more, so that a later request finds a connection.
    async fn of_peer(&self, id: &FileId, route: &Route, wanted: Wanted) -> Result<FromPeer<P::Content>, PeerFailure> {
        let (peers, routes, events) = (self.peers.clone(), self.core.routes.clone(), self.core.events.clone());
        let (id, route, Wanted { start, end, limit }) = (id.clone(), route.clone(), wanted);
        let mut reaching = tokio::spawn(async move {
            let asked = Box::pin(direct::content(&peers, &route, &id, (start, end), limit));
            let answer = timeout(REACHING_LIMIT, asked).await.unwrap_or_else(|_| Err(slow()));
            match &answer {
                Ok(_) => routes.reached(&id, Origin::Peer),
                Err(failure) if direct::is_lie(failure) => {
                    // Only what the device that made the token says becomes a failure of all.
                    let maker = Sender { peer: Some(route.direct.peer_id), ..Sender::one_of(Origin::Peer) };
                    super::dropped(&events, &routes, &id, maker, failure);
                }
                Err(failure) => {
                    info!(file = short(&id), %failure, "the file does not come directly");
                    routes.failed(&id, Origin::Peer, Instant::now());
                }
            }
            answer
        });
        joined(&mut reaching).await
    }
}

/// Bytes of a file on their way, or why they are not.
type Brought<T> = Result<T, NotBrought>;

/// Who did not bring bytes of a file.
enum NotBrought {
    ByPeer(PeerFailure),
    ByBackbone(Failure),
}

/// What each origin said that did not bring bytes of a file.
#[derive(Default)]
struct Failures {
    direct: Option<PeerFailure>,
    backbone: Option<Failure>,
}

impl Failures {
    /// The first good answer of those that are asked; none if all have failed. Cancel-safe.
    async fn until_one_brings<T>(&mut self, asked: &mut FuturesUnordered<BoxFuture<'_, Brought<T>>>) -> Option<T> {
        while let Some(answer) = asked.next().await {
            match answer {
                Ok(content) => return Some(content),
                Err(NotBrought::ByPeer(failure)) => self.direct = Some(failure),
                Err(NotBrought::ByBackbone(failure)) => self.backbone = Some(failure),
            }
        }
        None
    }

    fn into_failure(self, is_foreign: bool) -> Failure {
        match (self.direct, self.backbone) {
            (Some(direct), Some(backbone)) => both(direct, backbone, is_foreign),
            (Some(direct), None) => direct.into(),
            (None, Some(backbone)) => backbone,
            (None, None) => Failure::Failed(Error::Unknown("nobody has the file".to_owned())),
        }
    }
}

fn slow() -> PeerFailure {
    PeerFailure::Unreachable("it does not answer in time".to_owned())
}

/// What both sides answered. The kind is that of the backbone, whose failures callers tell apart. But each token has one
/// counter, so whoever says that no use is left is right.
fn both(direct: PeerFailure, backbone: Failure, is_foreign: bool) -> Failure {
    let kind = match &backbone {
        _ if direct::is_used_up(&direct) => Failure::NoUseLeft,
        Failure::NotFound(_) => Failure::NotFound,
        Failure::NoUseLeft(_) => Failure::NoUseLeft,
        Failure::TooLarge(_) => Failure::TooLarge,
        Failure::Failed(_) => Failure::Failed,
    };
    kind(Error::Undelivered(Box::new(Undelivered::by_all(direct, backbone, is_foreign))))
}

fn read_hash(text: &str) -> Option<PasswordHash> {
    from_base64(text).ok()?.try_into().ok().map(PasswordHash::from_bytes)
}

impl<B, P> Delivery for Several<'_, B, P>
where
    B: Delivery,
    P: PeerReads + Clone + 'static,
    P::Content: 'static,
{
    type FileContent = Arriving<B::FileContent, P>;

    /// Both sides are asked under the same claim, so it is one use whoever answers first.
    async fn token(
        &self,
        id: &TokenId,
        password_hash: Option<&str>,
        claim: Option<&ClaimId>,
        named: Option<&str>,
    ) -> Result<Token, Failure> {
        let route = self.route_to_token(id).map(|route| Route { claim: claim.cloned(), ..route });
        match (route, password_hash) {
            (Some(route), hash) if self.sources == Sources::Peer => {
                let hash = hash.and_then(read_hash);
                Ok(Box::pin(self.peers.token(&route, id, hash.as_ref())).await?)
            }
            (None, _) => self.backbone.token(id, password_hash, claim, named).await,
            (Some(route), Some(hash)) => Box::pin(self.token_with_password(&route, id, hash, named)).await,
            (Some(route), None) => {
                let from_peer = self.peers.token(&route, id, None);
                let from_backbone = self.backbone.token(id, None, claim, named);
                Box::pin(self.in_turn_or_race(from_peer, from_backbone, named)).await
            }
        }
    }

    /// A peer may count the uses of what it has made itself.
    async fn counts_uses(&self, id: &TokenId) -> Result<bool, Failure> {
        if self.route_to_token(id).is_some() { Ok(true) } else { self.backbone.counts_uses(id).await }
    }

    /// No peer counts the uses of own tokens.
    async fn count_use(&self, id: &TokenId, claim: &ClaimId) -> Result<(), Failure> {
        self.backbone.count_use(id, claim).await
    }

    /// A peer renews a use with each request under it, also at the backbone if that allocates it.
    async fn renew_claim(&self, id: &TokenId, claim: &ClaimId) -> Result<(), Failure> {
        let is_foreign = self.route_to_token(id).is_some_and(|route| self.is_foreign(route.backbone.as_deref()));
        match is_foreign || self.sources == Sources::Peer {
            true => Ok(()),
            false => self.backbone.renew_claim(id, claim).await,
        }
    }

    /// Asks whoever allocates the uses of the token, which the receiver does not know: the backbone first, because it hardly ever is
    /// the peer; if that is another backbone, the peer, which passes it on there.
    async fn end_claim(&self, id: &TokenId, claim: &ClaimId, end: ClaimEnd) -> Result<(), Failure> {
        let Some(route) = self.route_to_token(id) else { return self.backbone.end_claim(id, claim, end).await };
        let at_peer = async { self.peers.end_claim(&route, id, claim, end).await };
        if self.sources == Sources::Peer {
            return Ok(Box::pin(at_peer).await?);
        }
        if self.is_foreign(route.backbone.as_deref()) {
            let Err(direct) = Box::pin(at_peer).await else { return Ok(()) };
            let ended = self.backbone.end_claim(id, claim, end).await;
            return ended.map_err(|failure| both(direct, failure, true));
        }
        match self.backbone.end_claim(id, claim, end).await {
            Ok(()) => Ok(()),
            Err(failure) => Box::pin(at_peer).await.map_err(|direct| both(direct, failure, false)),
        }
    }

    async fn file_metadata(&self, id: &FileId, named: Option<&str>) -> Result<FileMetadata, Failure> {
        let from_backbone = self.backbone.file_metadata(id, named);
        let Some(route) = self.route_to_file(id) else { return from_backbone.await };
        let from_peer = direct::metadata(&self.peers, self.core, &route, id);
        if self.sources == Sources::Peer {
            return Ok(Box::pin(from_peer).await?);
        }
        Box::pin(self.in_turn_or_race(from_peer, from_backbone, named)).await
    }

    async fn file_content(&self, id: &FileId, limit: u64) -> Result<Self::FileContent, Failure> {
        Box::pin(self.bytes(id, Wanted { start: 0, end: None, limit })).await
    }

    async fn file_range(&self, id: &FileId, range: Range<u64>, limit: u64) -> Result<Self::FileContent, Failure> {
        Box::pin(self.bytes(id, Wanted { start: range.start, end: Some(range.end), limit })).await
    }

    async fn file_preview(&self, id: &FileId) -> Result<FilePreview, Failure> {
        self.backbone.file_preview(id).await
    }

    async fn follow_file(&self, id: &FileId, offset: u64, limit: u64) -> Result<Self::FileContent, Failure> {
        self.backbone.follow_file(id, offset, limit).await.map(OneOf::Backbone)
    }

    async fn create_token(&self, token: &CreateTokenWithTerms) -> Result<CreatedToken, Failure> {
        self.backbone.create_token(token).await
    }

    async fn upload_file(
        &self,
        file: &UploadFile,
        content: &UploadContent,
        observer: Option<UploadObserver>,
    ) -> Result<CreatedFile, Failure> {
        self.backbone.upload_file(file, content, observer).await
    }

    async fn piece_support(&self) -> Result<Option<PieceSupport>, Failure> {
        self.backbone.piece_support().await
    }

    async fn upload_pieces<O: Outgoing>(
        &self,
        content: &mut O,
        resumed: Option<ResumedUpload>,
        observer: Option<UploadObserver>,
    ) -> Result<CreatedFile, Failure> {
        self.backbone.upload_pieces(content, resumed, observer).await
    }

    async fn upload_state(&self, id: &UploadId) -> Result<UploadState, Failure> {
        self.backbone.upload_state(id).await
    }

    async fn remove_upload(&self, id: &UploadId) {
        self.backbone.remove_upload(id).await;
    }
}

/// The bytes of a file from one of several origins.
pub(crate) enum OneOf<B, P> {
    Backbone(B),
    Peer(P),
}

/// The bytes of a file by a [`Several`] whose backbone brings a `C`.
pub(crate) type Arriving<C, P> = OneOf<C, FromPeer<<P as PeerReads>::Content>>;

impl<B: Incoming, C: PeerContent> Incoming for OneOf<B, FromPeer<C>> {
    fn peer(&self) -> Option<PeerId> {
        match self {
            Self::Backbone(content) => content.peer(),
            Self::Peer(content) => content.peer(),
        }
    }

    fn path(&self) -> Path {
        match self {
            Self::Backbone(content) => content.path(),
            Self::Peer(content) => content.path(),
        }
    }

    fn has_better_path(&self) -> bool {
        match self {
            Self::Backbone(content) => content.has_better_path(),
            Self::Peer(content) => content.has_better_path(),
        }
    }

    fn offset(&self) -> u64 {
        match self {
            Self::Backbone(content) => content.offset(),
            Self::Peer(content) => content.offset(),
        }
    }

    fn length(&self) -> Option<u64> {
        match self {
            Self::Backbone(content) => content.length(),
            Self::Peer(content) => content.length(),
        }
    }

    fn received(&self) -> u64 {
        match self {
            Self::Backbone(content) => content.received(),
            Self::Peer(content) => content.received(),
        }
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        match self {
            Self::Backbone(content) => content.chunk().await,
            Self::Peer(content) => content.chunk().await,
        }
    }
}
