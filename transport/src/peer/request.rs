//! What is asked of the node that shares something, who asks, and who answers (specification, section 6).
//!
//! Only the node that owns a token or file serves it. It decides as a backbone would, by [`access`](crate::access), about the
//! identity that was proven on the channel.

use std::net::IpAddr;
use std::ops::Range;
use std::time::Duration;

use libp2p_identity::PeerId;

use super::cbor::Array;
use super::{Channel, Conversation, Message, Now, PasswordProof, PeerError, Refusal, Side, Turn, Via};
use crate::access::ClaimEnd;
use crate::crypto::PasswordHash;
use crate::wire::backbone::files::FileMetadata;
use crate::wire::backbone::tokens::Token;
use crate::wire::{Address, ClaimId, FileId, Timestamp, TokenId};

/// Who asks, and how they prove that they know a password. Whoever decides about access decides by this.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    channel: &'a Channel,
    proof: Option<PasswordProof>,
    claim: Option<&'a ClaimId>,
    now: Timestamp,
}

impl<'a> Caller<'a> {
    /// The other side of a channel at a time.
    #[must_use]
    pub fn new(channel: &'a Channel, proof: Option<PasswordProof>, now: Timestamp) -> Self {
        Self { channel, proof, claim: None, now }
    }

    /// The same, for a request that is this use of the token.
    #[must_use]
    pub fn under(self, claim: Option<&'a ClaimId>) -> Self {
        Self { claim, ..self }
    }

    /// The identity that the other side has proven; `None` for a stranger. It is
    /// [`Attempt::caller`](crate::access::Attempt::caller).
    #[must_use]
    pub fn address(&self) -> Option<&'a Address> {
        self.channel.caller(self.now)
    }

    /// The peer at the other end, whoever it is.
    #[must_use]
    pub fn peer(&self) -> &'a PeerId {
        self.channel.remote()
    }

    /// The host that the connection comes from, if it is known.
    #[must_use]
    pub fn host(&self) -> Option<IpAddr> {
        self.channel.host()
    }

    /// How the connection gets here, if it is known.
    #[must_use]
    pub fn via(&self) -> Option<Via> {
        self.channel.via()
    }

    /// Whether the password of a token is proven, on this channel, for this token; true if the token has none. It is
    /// [`Attempt::password_fits`](crate::access::Attempt::password_fits).
    #[must_use]
    pub fn password_fits(&self, token: &TokenId, hash: Option<&PasswordHash>) -> bool {
        let Some(hash) = hash else { return true };
        self.proof == Some(PasswordProof::new(hash, self.channel.binding(), token))
    }

    /// The use of the token that this request is, if the other side has said so.
    #[must_use]
    pub fn claim(&self) -> Option<&'a ClaimId> {
        self.claim
    }

    /// The time of the decision.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }
}

/// What a node shares, as the protocols ask for it.
///
/// # Contract
///
/// - **Access.** A call with a token id judges an [`Attempt`](crate::access::Attempt) made from the [`Caller`], and settles it
///   with the [`Ledger`](crate::access::Ledger) of the token before it returns: the same ledger that any other way to this node
///   uses. [`Refusal::unless_granted`] is the answer. A file by its own id is shown to those to whom a backbone shows it.
/// - **Uses.** A token whose uses are counted is given to others than its creator under a [claim](Caller::claim) only, and only if whoever
///   allocates its uses has stored that content is sent under it. So it is for the metadata and each range of its file. Without a
///   claim such a token is [`Refusal::NotFound`]; without a use left it is [`Refusal::NoUseLeft`], which only those are told who may
///   load the token otherwise.
/// - **Paths.** What its owner does not let leave by a [path](Caller::via) is [`Refusal::OtherPath`] there, which only those are told who may
///   load it otherwise, whatever the password; nothing is counted then.
/// - **What is told.** What does not exist, has expired, was deleted or is for somebody else is [`Refusal::NotFound`].
/// - **Bytes.** They are those that a backbone would have: the body of a format `v1` file, the blob of a format `v2` content. A
///   [`Content`] gives the same bytes at the same place, or fails.
/// - **Cancellation.** A future that is dropped may have counted an attempt; it has shown nothing.
pub trait Holder: Send + Sync {
    /// Bytes of a file.
    type Content: Content;

    /// A token with its sealed content.
    fn token(&self, id: &TokenId, caller: Caller<'_>) -> impl Future<Output = Result<Token, Refusal>> + Send;

    /// What is known of a file without its content.
    fn metadata(
        &self,
        target: &FileTarget,
        caller: Caller<'_>,
    ) -> impl Future<Output = Result<FileMetadata, Refusal>> + Send;

    /// The bytes of a file, none of which are read yet.
    fn content(
        &self,
        target: &FileTarget,
        caller: Caller<'_>,
    ) -> impl Future<Output = Result<HeldContent<Self::Content>, Refusal>> + Send;

    /// Ends a use, at whoever allocates the uses of the token. Whoever knows the claim may, and again it changes nothing. What
    /// is not known is [`Refusal::NotFound`].
    fn end_claim(
        &self,
        id: &TokenId,
        claim: &ClaimId,
        end: ClaimEnd,
        caller: Caller<'_>,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;
}

/// The bytes of a file that may be served.
#[derive(Debug)]
pub struct HeldContent<C> {
    /// The file.
    pub file: FileId,
    /// Its format.
    pub format: Format,
    /// Bytes of the body or blob.
    pub length: u64,
    /// Where to read them.
    pub content: C,
}

/// Reads bytes of a file where they are asked for.
pub trait Content: Send {
    /// Exactly these bytes, which are within the content and at most [`PIECE_LENGTH`](super::PIECE_LENGTH).
    fn read(&mut self, range: Range<u64>) -> impl Future<Output = Result<bytes::Bytes, Refusal>> + Send;

    /// The first `length` bytes of what was read last have been handed to the connection: all of them, or fewer if it broke. Whether they have
    /// arrived only the other side knows.
    fn was_sent(&mut self, length: u64) {
        let _ = length;
    }
}

/// A file, or the token that shares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileTarget {
    /// The file that a token is for.
    Token(TokenId),
    /// A file.
    File(FileId),
}

impl FileTarget {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Token(id) => id.as_str(),
            Self::File(id) => id.as_str(),
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        text.parse().map(Self::Token).or_else(|_| text.parse().map(Self::File)).ok()
    }
}

/// How the bytes of a file are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One ciphertext, which is served as a whole.
    V1 = 1,
    /// Chunks, any range of which is served.
    V2 = 2,
}

/// The proof of a password as it travels.
pub(super) type WireProof = Option<Array<{ PasswordProof::LENGTH }>>;

pub(super) fn to_wire(proof: Option<PasswordProof>) -> WireProof {
    proof.map(|proof| Array(*proof.as_bytes()))
}

pub(super) fn from_wire(proof: WireProof) -> Option<PasswordProof> {
    proof.map(|proof| PasswordProof::from_bytes(proof.0))
}

/// The side of a stream that waits for one request. What follows from it is the answer's.
#[derive(Debug)]
pub struct AwaitRequest<M>(std::marker::PhantomData<M>);

impl<M: Message> AwaitRequest<M> {
    /// Waits for a request from now on.
    #[must_use]
    pub fn begin(now: Now) -> Conversation<Self> {
        Conversation::new(Self(std::marker::PhantomData), now.instant)
    }
}

impl<M: Message> Side for AwaitRequest<M> {
    type Outcome = M;

    const TIME_LIMIT: Duration = Duration::from_secs(15);

    fn open(&mut self) -> Option<Vec<u8>> {
        None
    }

    fn bound(&self) -> usize {
        M::MAX_LENGTH
    }

    fn receive(&mut self, message: &[u8], _: Now) -> Turn<M> {
        match M::decode(message) {
            Ok(request) => Turn::finish(request),
            Err(error) => Turn::fail(PeerError::Frame(error)),
        }
    }
}
