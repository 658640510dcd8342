//! The receiver's side. What arrives is in the right place and not more than was asked for; whether it is right is for those to
//! verify who know the hashes.

use std::fmt;
use std::time::{Duration, Instant};

use super::super::answer::{PIECE_LENGTH, STALL_LIMIT};
use super::super::request::{FileTarget, Format};
use super::super::{
    Channel, FileRequestV2, FrameError, FrameReader, Message as _, Now, PasswordProof, PeerError, Refusal, Side, Turn,
};
use super::{ContentAnswer, ContentHeader, FileRequest, MetadataAnswer};
use crate::wire::backbone::files::FileMetadata;
use crate::wire::{Address, ClaimId, FileId, Timestamp};

/// How long the owner may take to decide.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// What a receiver knows of a file before it asks.
#[derive(Debug, Clone)]
pub struct ContentExpectation {
    /// The file, if it is known.
    pub file: Option<FileId>,
    /// Bytes of the body or blob, if they are known.
    pub length: Option<u64>,
    /// Bytes of the longest body or blob that it takes.
    pub limit: u64,
}

impl ContentExpectation {
    fn check(&self, header: &ContentHeader, start: u64, end: Option<u64>) -> Result<(), PeerError> {
        if self.file.as_ref().is_some_and(|file| *file != header.file) {
            return Err(PeerError::Contradiction("it is about another file"));
        }
        if header.length > self.limit || self.length.is_some_and(|length| length != header.length) {
            return Err(PeerError::Contradiction("the file has another length"));
        }
        let expected = match header.format {
            Format::V1 => (0, header.length),
            Format::V2 => (start, end.unwrap_or(header.length)),
        };
        if (header.start, header.end) == expected {
            Ok(())
        } else {
            Err(PeerError::Contradiction("it is another range"))
        }
    }
}

/// What a receiver gets out of bytes that arrived.
#[derive(Debug, PartialEq, Eq)]
pub enum Fetched<'a> {
    /// Nothing yet.
    Nothing,
    /// The content comes now.
    Header(ContentHeader),
    /// Bytes of the content, from this position of the body or blob on. Nothing is left out or comes twice.
    Bytes(u64, &'a [u8]),
}

/// A request for content and its answer.
///
/// A driver writes [`outgoing`](Self::outgoing), then reads at most [`wants`](Self::wants) bytes and hands them to
/// [`receive`](Self::receive), as fast as it can use what comes of it: what it does not read, the owner does not send.
pub struct Fetch {
    request: Option<FileRequest>,
    claim: Option<ClaimId>,
    range: (u64, Option<u64>),
    expectation: ContentExpectation,
    reader: FrameReader,
    /// The position of the next byte and that behind the last one, once the header is there.
    content: Option<(u64, u64)>,
    /// With the byte before this position, a whole piece has come within the time limit, and the time of the next one begins.
    piece_end: u64,
    deadline: Instant,
    end: Option<Result<(), PeerError>>,
}

impl Fetch {
    /// Asks for bytes of a content: from the first position to that behind the last byte, or to the end.
    #[must_use]
    pub fn new(
        target: FileTarget,
        (start, end): (u64, Option<u64>),
        proof: Option<PasswordProof>,
        expectation: ContentExpectation,
        now: Instant,
    ) -> Self {
        let request = FileRequest::Content { target, start, end, proof };
        Self {
            request: Some(request),
            claim: None,
            range: (start, end),
            expectation,
            reader: FrameReader::new(ContentAnswer::MAX_LENGTH),
            content: None,
            piece_end: 0,
            deadline: now + ANSWER_LIMIT,
            end: None,
        }
    }

    /// The same as this use of the token that is the target, which is a request by [`FILE_PROTOCOL_V2`](super::super::FILE_PROTOCOL_V2).
    /// Without a claim it is one of version 1.
    #[must_use]
    pub fn under(self, claim: Option<&ClaimId>) -> Self {
        Self { claim: claim.cloned(), ..self }
    }

    /// Bytes to write now, each once.
    pub fn outgoing(&mut self) -> Option<Vec<u8>> {
        self.request.take().map(|request| to_frame(request, self.claim.clone()))
    }

    /// How many bytes to read at most; 0 at the end.
    #[must_use]
    pub fn wants(&self) -> usize {
        match (self.end, self.content) {
            (Some(_), _) => 0,
            (None, None) => self.reader.wants(),
            (None, Some((position, end))) => usize::try_from((end - position).min(PIECE_LENGTH)).unwrap_or(usize::MAX),
        }
    }

    /// Takes bytes of the owner: all of them if they are not more than it [`wants`](Self::wants), else as many.
    pub fn receive<'a>(&mut self, bytes: &'a [u8], now: Instant) -> Fetched<'a> {
        let bytes = &bytes[..bytes.len().min(self.wants())];
        if bytes.is_empty() {
            return Fetched::Nothing;
        }
        let Some((position, end)) = self.content else { return self.receive_header(bytes, now) };
        let next = position + bytes.len() as u64;
        self.content = Some((next, end));
        if next >= self.piece_end {
            self.begin_piece(next, now);
        }
        if next == end {
            self.end = Some(Ok(()));
        }
        Fetched::Bytes(position, bytes)
    }

    /// A few bytes now and then are not enough: the owner has the same time for a whole piece.
    fn begin_piece(&mut self, position: u64, now: Instant) {
        self.piece_end = position.saturating_add(PIECE_LENGTH);
        self.deadline = now + STALL_LIMIT;
    }

    /// The owner has closed or reset the stream, or the connection is gone.
    pub fn cut(&mut self) {
        self.end.get_or_insert(Err(PeerError::Cut));
    }

    /// This side reads again after it did not: the owner has its whole time from now on.
    pub fn resume(&mut self, now: Instant) {
        if self.content.is_some() {
            self.deadline = now + STALL_LIMIT;
        }
    }

    /// When to call [`tick`](Self::tick) at the latest.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Ends it if too little has come for too long.
    pub fn tick(&mut self, now: Instant) {
        if now >= self.deadline {
            self.end.get_or_insert(Err(PeerError::TimedOut));
        }
    }

    /// How it ended, if it did. Complete means that there is nothing more to read.
    #[must_use]
    pub fn end(&self) -> Option<Result<(), PeerError>> {
        self.end
    }

    /// The position of the next byte: from where to go on elsewhere if it ended too early.
    #[must_use]
    pub fn position(&self) -> Option<u64> {
        self.content.map(|(position, _)| position)
    }

    fn receive_header(&mut self, bytes: &[u8], now: Instant) -> Fetched<'static> {
        match self.read_header(bytes) {
            Ok(None) => Fetched::Nothing,
            Ok(Some(header)) => {
                self.content = Some((header.start, header.end));
                self.begin_piece(header.start, now);
                if header.start == header.end {
                    self.end = Some(Ok(()));
                }
                Fetched::Header(header)
            }
            Err(error) => {
                self.end = Some(Err(error));
                Fetched::Nothing
            }
        }
    }

    fn read_header(&mut self, bytes: &[u8]) -> Result<Option<ContentHeader>, PeerError> {
        self.reader.receive(bytes)?;
        let Some(message) = self.reader.take() else { return Ok(None) };
        match ContentAnswer::decode(&message)? {
            ContentAnswer::Refused(refusal) => Err(PeerError::Refused(refusal)),
            ContentAnswer::Header(header) => {
                self.expectation.check(&header, self.range.0, self.range.1)?;
                Ok(Some(header))
            }
        }
    }
}

/// Shows progress.
impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch").field("content", &self.content).field("end", &self.end).finish_non_exhaustive()
    }
}

/// A request without a claim is one of version 1.
fn to_frame(request: FileRequest, claim: Option<ClaimId>) -> Vec<u8> {
    match claim {
        None => request.to_frame(),
        claim => FileRequestV2 { request, claim }.to_frame(),
    }
}

/// A request for metadata and its answer.
#[derive(Debug)]
pub struct FetchMetadata {
    target: FileTarget,
    proof: Option<PasswordProof>,
    claim: Option<ClaimId>,
    owner: Address,
}

impl FetchMetadata {
    /// Asks the other side of a channel for the metadata of a file that it owns and has made.
    ///
    /// # Errors
    /// [`PeerError::Refused`] with [`Refusal::IdentityRequired`] if the other side has proven no identity: then nobody can
    /// say whose file it is.
    pub fn new(
        channel: &Channel,
        target: FileTarget,
        proof: Option<PasswordProof>,
        now: Timestamp,
    ) -> Result<Self, PeerError> {
        let owner = channel.caller(now).ok_or(PeerError::Refused(Refusal::IdentityRequired))?.clone();
        Ok(Self { target, proof, claim: None, owner })
    }

    /// The same as this use of the token that is the target, which is a request by [`FILE_PROTOCOL_V2`](super::super::FILE_PROTOCOL_V2).
    /// Without a claim it is one of version 1.
    #[must_use]
    pub fn under(self, claim: Option<&ClaimId>) -> Self {
        Self { claim: claim.cloned(), ..self }
    }

    fn read(&self, message: &[u8]) -> Result<FileMetadata, PeerError> {
        match MetadataAnswer::decode(message).map_err(|error: FrameError| PeerError::Frame(error))? {
            MetadataAnswer::Refused(refusal) => Err(PeerError::Refused(refusal)),
            MetadataAnswer::Metadata(metadata) => match &self.target {
                FileTarget::File(id) if *id != metadata.id => Err(PeerError::Contradiction("it is about another file")),
                _ if metadata.owner != self.owner || metadata.created_by != self.owner => {
                    Err(PeerError::Contradiction("the file belongs to somebody else"))
                }
                _ => Ok(*metadata),
            },
        }
    }
}

impl Side for FetchMetadata {
    type Outcome = FileMetadata;

    const TIME_LIMIT: Duration = ANSWER_LIMIT;

    fn open(&mut self) -> Option<Vec<u8>> {
        let request = FileRequest::Metadata { target: self.target.clone(), proof: self.proof };
        Some(to_frame(request, self.claim.clone()))
    }

    fn bound(&self) -> usize {
        MetadataAnswer::MAX_LENGTH
    }

    fn receive(&mut self, message: &[u8], _: Now) -> Turn<FileMetadata> {
        self.read(message).map_or_else(Turn::fail, Turn::finish)
    }
}
