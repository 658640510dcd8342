//! How tokens and files reach this node and leave it.
//!
//! Everything that is shared passes through [`Delivery`]: six reads (a token, the metadata of a file, all bytes of a file, a
//! range of them, what is shown of a file whose upload goes on, and its bytes as they come) and six writes (a new token, a use of
//! one that a peer makes here, the renewal and the end of a use, a new file at once, a new file piece by piece, which may go on after an
//! interruption). [`of`] chooses the implementation: [`several::Several`]
//! reads from the node that shares something and from the [`backbone`](backbone::Backbone), and writes to the latter. Where a
//! peer has what is in [`learn`]. Tests have a backbone and peers in memory. `conformance.rs` tests the contract below for each.
//!
//! What only the backbone can say is not delivery and asks the session of the account: login, challenges, the datawallet,
//! external events, who owns a file, deleting, unlocking.
//!
//! # Contract
//!
//! The other side of a delivery is not trusted. An implementation moves sealed bytes; it opens, hashes and stores nothing.
//!
//! | Who | Verifies |
//! |---|---|
//! | the side that holds a token | who may load it: expiry, lock, addressee, password, in the order of [`transport::access`]; it counts wrong passwords |
//! | the implementation | that an answer has the form of its type and fits into its bounds, and that the expiry in it is not later than the one that was asked for |
//! | the caller of a read | that the answer is about the id it asked for; that a token is for this identity; that the key of the reference opens it; sizes, hashes and the authentication tag of a file, before the first byte of plaintext is handed out |
//! | the caller of a write | that the id is new here ([`Core::remember`]); it keeps keys, hashes and sizes as it made them, whatever the answer says |
//!
//! **Sizes.** Each answer has a bound that holds before it is decoded: the content of a token the setting for it, metadata
//! and answers to writes those of the wire format, the bytes of a file the limit that the caller gives. What is larger fails
//! with [`Failure::TooLarge`], as soon as it is announced or seen. An implementation holds at most one chunk of a file in
//! memory.
//!
//! **Streaming.** The bytes of a file come in order, in chunks of any size, once ([`Incoming`]). A stream that ends early is
//! an error, not a short file. A range may be answered with everything from the first byte on: [`Incoming::offset`] says
//! where the bytes begin. The content of an upload can be read again from its start, so a write may be sent twice if the
//! first one certainly had no effect (a refused access token). The pieces of an [`Outgoing`] come once: an implementation
//! keeps one until the other side has acknowledged it, and goes on behind what is acknowledged if the connection breaks. It
//! gives up after a bounded number of attempts without progress. Not a byte is ever sent in another form: one key seals one
//! content.
//!
//! **Uses.** Whoever allocates the uses of a token counts them: its backbone, or the node that made it. A node that serves a token whose uses
//! the backbone allocates reads it there under the same claim first. So who reads under a claim is one use, whichever way it takes; the
//! content of the file that the token is for belongs to it ([`Route::claim`](crate::peer::Route::claim)).
//!
//! **Resuming.** Before the first byte of an upload leaves, [`Outgoing::begun`] is told its id. If that content can be made again,
//! the upload stays at the other side when its future is dropped or fails with an error that [may pass](may_pass), and a later
//! call goes on with it, also of another process: [`Delivery::upload_state`] says behind which byte, and
//! [`Delivery::upload_pieces`] gets all pieces from the first one again and sends none of the acknowledged bytes. The caller
//! sees to it that there is one writer, and that the bytes are the same.
//!
//! **Cancellation.** Every future can be dropped. A read that is dropped has no effect here; at the other side it may have
//! counted a wrong password or an allocation. A write that is dropped or fails leaves at most something whose id nobody
//! knows; pieces of an upload that is neither finished nor resumed are removed by the other side, at once or when they expire. [`Incoming::chunk`] is cancel-safe: what was not handed out comes with the next call.
//!
//! **Time.** A call ends by itself: each has a time-out, and so does a stream from which nothing comes.
//!
//! **Paths.** [`Incoming::path`] says by which path bytes come. A stream has one origin and breaks with it; the caller says so
//! ([`Routes::failed`]), asks again from where it broke, and then gets whoever is there. It also says whose bytes were wrong
//! ([`dropped`]): they are not asked for this file again. Bytes of several origins may be of one chunk; if such a chunk is wrong, it is asked
//! for again as a whole, which shows who sends wrong bytes.
//!
//! **Errors.** [`Failure`] separates what callers treat differently. It carries the error that users see, with the next step,
//! without secrets, bodies or queries.

mod backbone;
#[cfg(test)]
mod choice;
pub(crate) mod claims;
#[cfg(test)]
mod conformance;
mod direct;
#[cfg(test)]
pub(crate) mod fake_peers;
pub(crate) mod learn;
#[cfg(test)]
pub(crate) mod memory;
mod opened;
mod pieces;
mod retries;
mod several;
mod undelivered;

use std::future::Future;
use std::ops::Range;

use bytes::Bytes;
use transport::access::ClaimEnd;
use transport::backbone::{UploadContent, UploadFile, UploadObserver};
use transport::peer::PeerId;
use transport::token::TokenContent;
use transport::wire::backbone::files::{CreatedFile, FileMetadata};
use transport::wire::backbone::previews::{CreatedPreview, FilePreview, NewPreview};
use transport::wire::backbone::token_terms::CreateTokenWithTerms;
use transport::wire::backbone::tokens::{CreatedToken, Token};
use transport::wire::{ClaimId, FileId, TokenId, UploadId};

pub(crate) use self::opened::{Opened, opened};
pub(crate) use self::retries::Retries;
pub use self::undelivered::Undelivered;
use crate::core::Core;
use crate::event::{Event, EventBus};
use crate::logging::short;
use crate::peer::{Origin, Path, Routes, Sender};
use crate::source::SourceError;
use crate::{Error, Result as NodeResult};

/// The bytes of a file that a backbone sends.
#[cfg(not(test))]
type FromBackbone = transport::backbone::Download;

/// The bytes of a file that a backbone sends, but within [`memory::Holder::scope`] the holder.
#[cfg(test)]
type FromBackbone = choice::Choice<transport::backbone::Download, memory::HeldContent>;

/// The peers of a node.
#[cfg(not(test))]
type Peers = crate::peer::PeerNetwork;

/// The peers of a node, but within [`fake_peers::FakePeers::scope`] those of the test.
#[cfg(test)]
type Peers = fake_peers::PeersInTest;

/// The bytes of a file on the way by which a node receives.
pub(crate) type Arriving = several::Arriving<FromBackbone, Peers>;

/// Whom a node asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sources {
    /// Peers and its backbone.
    All,
    /// The peer that shares a token or its file only, if there is one: what the backbone answers does not open.
    Peer,
    /// Its backbone only. What it fetches in order to serve it to others comes from there: they must not have it ask peers.
    Backbone,
}

/// The way by which a node delivers and receives.
pub(crate) fn of(core: &Core) -> impl Delivery<FileContent = Arriving> {
    by(core, Sources::All)
}

/// The way by which a node delivers and receives from these sources.
#[cfg(not(test))]
pub(crate) fn by(core: &Core, sources: Sources) -> impl Delivery<FileContent = Arriving> {
    several::Several::new(core, backbone::Backbone::of(core), core.peers.clone(), sources)
}

/// The way by which a node delivers and receives from these sources, or what the scope of the test says.
#[cfg(test)]
pub(crate) fn by(core: &Core, sources: Sources) -> impl Delivery<FileContent = Arriving> {
    several::Several::new(core, choice::Choice::of(core), fake_peers::PeersInTest::of(core), sources)
}

/// Bytes of a file were wrong that came from this sender: leaves it for this file, says so, and returns whether somebody else can
/// be asked. If it is not known which one of several devices it was, all of them are left.
pub(crate) fn dropped(
    events: &EventBus,
    routes: &Routes,
    id: &FileId,
    Sender { origin, peer, path }: Sender,
    reason: &dyn std::fmt::Display,
) -> bool {
    let Some(route) = routes.to_file(id) else { return false };
    let device = peer.or_else(|| route.only_peer()).filter(|_| origin == Origin::Peer);
    let is_other_left = match device {
        Some(device) => routes.drop_device(id, device),
        None => routes.drop_origin(id, origin),
    };
    let peer = device.map(|device| device.to_base58());
    let by = path.map_or("", Path::name);
    tracing::warn!(file = short(id), path = by, peer, %reason, is_other_left, "wrong bytes of a file were refused");
    events.publish(Event::PathDropped { file: id.clone(), path, peer });
    is_other_left
}

/// A token did not open that this peer, or the backbone if there is none, sent: says so, if the token shares a file.
pub(crate) fn token_refused(core: &Core, content: &TokenContent, peer: Option<PeerId>, reason: &Error) {
    let peer = peer.map(|peer| peer.to_base58());
    tracing::warn!(peer, %reason, "a token that does not open was refused");
    if let TokenContent::File { file_id, .. } = content {
        core.events.publish(Event::PathDropped { file: file_id.clone(), path: None, peer });
    }
}

/// A way by which tokens and files come and go; see the [module](self) for the contract.
pub(crate) trait Delivery: Send + Sync {
    /// The bytes of a file on their way.
    type FileContent: Incoming;

    /// Reads a token, by the hash of its password if it has one. An identity that has read it before needs none.
    ///
    /// With a `claim` it is this use of the token, if the other side counts uses: reading again under it is the same use. The caller
    /// stores the claim before, and [ends](Self::end_claim) it later. [`Failure::NoUseLeft`] says that there is none.
    ///
    /// `named` is the backbone that the reference names; it is for the text of [`Failure::NotFound`] only.
    fn token(
        &self,
        id: &TokenId,
        password_hash: Option<&str>,
        claim: Option<&ClaimId>,
        named: Option<&str>,
    ) -> impl Future<Output = Result<Token, Failure>> + Send;

    /// Whether somebody who is asked for this token counts its uses.
    fn counts_uses(&self, id: &TokenId) -> impl Future<Output = Result<bool, Failure>> + Send;

    /// Has a use of an own token counted, before its content is given to a peer from here: nothing may be given unless this succeeds.
    ///
    /// [`Failure::NotFound`] and [`Failure::NoUseLeft`] as for [`token`](Self::token); [`Failure::Failed`] if nobody who is asked
    /// counts uses.
    fn count_use(&self, id: &TokenId, claim: &ClaimId) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Keeps a use of a token under which it was read from lapsing for another while. A peer needs nothing of it: there each request under
    /// the use does that.
    fn renew_claim(&self, id: &TokenId, claim: &ClaimId) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Ends a use of a token: commits it once the whole content was verified, or gives it back. Can be repeated.
    ///
    /// [`Failure::NotFound`] says that nobody who was asked knows the claim: nobody counts it, or it has lapsed.
    fn end_claim(
        &self,
        id: &TokenId,
        claim: &ClaimId,
        end: ClaimEnd,
    ) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Reads what is known of a file without its content. `named` as for [`token`](Self::token).
    fn file_metadata(
        &self,
        id: &FileId,
        named: Option<&str>,
    ) -> impl Future<Output = Result<FileMetadata, Failure>> + Send;

    /// Starts to read the bytes of a file: at most `limit` bytes of ciphertext.
    fn file_content(&self, id: &FileId, limit: u64) -> impl Future<Output = Result<Self::FileContent, Failure>> + Send;

    /// Starts to read some bytes of a file, which has at most `limit` bytes of ciphertext. Who does not know ranges sends
    /// everything: the caller looks at [`Incoming::offset`], and stops when it has what it wants.
    fn file_range(
        &self,
        id: &FileId,
        range: Range<u64>,
        limit: u64,
    ) -> impl Future<Output = Result<Self::FileContent, Failure>> + Send;

    /// Reads what is shown of a file whose upload goes on, or has ended.
    fn file_preview(&self, id: &FileId) -> impl Future<Output = Result<FilePreview, Failure>> + Send;

    /// Follows an upload: bytes from `offset` on, at most `limit` of them, as they come. They end without an error when the file
    /// is there and these were all of them; else with one that another attempt may follow.
    fn follow_file(
        &self,
        id: &FileId,
        offset: u64,
        limit: u64,
    ) -> impl Future<Output = Result<Self::FileContent, Failure>> + Send;

    /// Creates a token. One with terms only if the other side has them. The answer says which expiry holds: the one that was asked for if it says nothing, else one that is
    /// not later.
    fn create_token(&self, token: &CreateTokenWithTerms) -> impl Future<Output = Result<CreatedToken, Failure>> + Send;

    /// Uploads a file. The answer says which expiry holds, which is not later than the one that was asked for.
    ///
    /// `observer` is told of the bytes that are on their way, which may exceed the length if the content is sent twice.
    fn upload_file(
        &self,
        file: &UploadFile,
        content: &UploadContent,
        observer: Option<UploadObserver>,
    ) -> impl Future<Output = Result<CreatedFile, Failure>> + Send;

    /// How files can be uploaded piece by piece; `None` if they cannot, then there is [`upload_file`](Self::upload_file).
    fn piece_support(&self) -> impl Future<Output = Result<Option<PieceSupport>, Failure>> + Send;

    /// Uploads a file whose length and description are known at its end only. The file exists with all its bytes when this
    /// returns, or it does not. The answer says which expiry holds, as for [`upload_file`](Self::upload_file).
    ///
    /// `resumed` is an upload that this node has begun before, as [`upload_state`](Self::upload_state) found it: what is
    /// acknowledged of the same pieces is not sent again, and a file that it has become is not made again.
    ///
    /// `observer` is told of the bytes that are on their way, those before them included; a number is told again after a
    /// connection broke.
    fn upload_pieces<O: Outgoing>(
        &self,
        content: &mut O,
        resumed: Option<ResumedUpload>,
        observer: Option<UploadObserver>,
    ) -> impl Future<Output = Result<CreatedFile, Failure>> + Send;

    /// What has become of an upload that this node has begun.
    fn upload_state(&self, id: &UploadId) -> impl Future<Output = Result<UploadState, Failure>> + Send;

    /// Removes an upload that this node has begun and does not go on with. If that fails it expires.
    fn remove_upload(&self, id: &UploadId) -> impl Future<Output = ()> + Send;
}

/// An upload that is to be continued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResumedUpload {
    /// Its id.
    pub(crate) id: UploadId,
    /// Bytes that the other side keeps; all of them if the upload has become a file.
    pub(crate) acknowledged: u64,
}

/// What has become of an upload.
#[derive(Debug)]
pub(crate) enum UploadState {
    /// The other side has so many bytes of it and takes more.
    Unfinished {
        /// Bytes that it keeps.
        acknowledged: u64,
    },
    /// It is the file with these metadata.
    Finished(Box<FileMetadata>),
    /// The other side knows nothing of it: it has expired, was removed, or never was.
    Gone,
}

/// How files can be uploaded piece by piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PieceSupport {
    /// Bytes of ciphertext of the largest file, if the other side says so.
    pub(crate) max_length: Option<u64>,
}

/// A file on its way out, whose bytes are made while they are sent.
pub(crate) trait Outgoing: Send {
    /// The next bytes of ciphertext, each once; none at the end. What was lost with a dropped call does not come again.
    ///
    /// # Errors
    /// Why there are no more, which ends the upload.
    fn piece(&mut self) -> impl Future<Output = NodeResult<Option<Bytes>>> + Send;

    /// What others are shown of the file while it is uploaded, if anything. Asked for once, before the first piece is sent.
    ///
    /// # Errors
    /// Why there is no such file, which ends the upload.
    fn preview(&mut self) -> NodeResult<Option<NewPreview>> {
        Ok(None)
    }

    /// Others are shown that. Not called if the other side cannot do it.
    fn shown(&mut self, _shown: CreatedPreview) {}

    /// What the file is. Asked for once, behind the last piece.
    ///
    /// # Errors
    /// Why there is no such file, which ends the upload.
    fn describe(&mut self) -> NodeResult<UploadFile>;

    /// The other side has begun an upload for it, of which no byte has left. Whether the same pieces can be made again later: then
    /// it stays when it is interrupted.
    ///
    /// # Errors
    /// Why nothing may leave, which ends the upload.
    fn begun(&mut self, _upload: &UploadId) -> impl Future<Output = NodeResult<bool>> + Send {
        std::future::ready(Ok(false))
    }

    /// Whether a file with the right bytes, which the upload has become without an answer, is described as it should be.
    fn is_described_by(&self, _found: &FileMetadata) -> bool {
        false
    }
}

/// Whether an upload that failed may succeed if it is continued later.
pub(crate) fn may_pass(error: &Error) -> bool {
    match error {
        Error::Stopped | Error::Store(_) | Error::StorageFull(_) => true,
        // The disk with it may come back. One that has changed is another source.
        Error::Source(SourceError::Unreadable { .. }) => true,
        Error::Backbone(error) => pieces::may_pass(error.cause()),
        _ => false,
    }
}

/// The bytes of a file on their way. Nothing of them has been verified.
pub(crate) trait Incoming: Send {
    /// The device that sends them, unless it is the backbone.
    fn peer(&self) -> Option<PeerId> {
        None
    }

    /// By which path they come now.
    fn path(&self) -> Path {
        Path::Backbone
    }

    /// Whether a new request to the same origin would take a better path by now.
    fn has_better_path(&self) -> bool {
        false
    }

    /// Who sends them, and by which path now.
    fn sender(&self) -> Sender {
        let path = self.path();
        Sender { origin: path.origin(), peer: self.peer(), path: Some(path) }
    }

    /// How many bytes of the file are before the first one: 0, or where the range begins.
    fn offset(&self) -> u64;

    /// How many bytes there will be, if the other side says so.
    fn length(&self) -> Option<u64>;

    /// How many bytes were handed out.
    fn received(&self) -> u64;

    /// The next bytes; none at the end. Cancel-safe.
    ///
    /// # Errors
    /// [`Failure::TooLarge`] beyond the limit of the call, [`Failure::Failed`] if the stream ends early or nothing comes.
    fn chunk(&mut self) -> impl Future<Output = Result<Option<Bytes>, Failure>> + Send;
}

/// Why nothing was delivered.
#[derive(Debug)]
pub(crate) enum Failure {
    /// There is nothing under this id for this node. Whether it is unknown, expired, deleted, for somebody else, or needs
    /// another password is not told.
    NotFound(Error),
    /// The token may not be used any more, or not now: as many uses as there may be count or are open.
    NoUseLeft(Error),
    /// The answer is larger than its bound.
    TooLarge(Error),
    /// The other side refused for another reason, or could not be asked or understood.
    Failed(Error),
}

impl Failure {
    /// The error that users see.
    pub(crate) fn error(&self) -> &Error {
        match self {
            Self::NotFound(error) | Self::NoUseLeft(error) | Self::TooLarge(error) | Self::Failed(error) => error,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotFound(error)
            | Failure::NoUseLeft(error)
            | Failure::TooLarge(error)
            | Failure::Failed(error) => error,
        }
    }
}
