//! `/enlace/token/2` and `/enlace/file/2`: requests that are uses of a token, and the end of a use (specification, section 7.1).
//!
//! Version 2 differs from version 1 by its requests only. A request of version 1 is one of version 2 without a claim.
//!
//! ```text
//! receiver                                                  owner
//!     load     [1, token, proof?, claim?]                ->
//!                                                        <- as in /enlace/token/1
//!     commit   [4, token, claim]                         ->
//!     release  [5, token, claim]                         ->
//!                                                        <- ended [6] or refused [3, number]
//!
//!     content  [1, target, start, end?, proof?, claim?]  ->
//!     metadata [2, target, proof?, claim?]               ->
//!                                                        <- as in /enlace/file/1
//! ```

use std::time::Duration;

use super::cbor;
use super::file::{FileRequest, REFUSED, encode_refusal, read_refusal};
use super::request::{FileTarget, WireProof, from_wire, to_wire};
use super::{FrameError, Message, Now, PeerError, Refusal, Side, TokenRequest, Turn};
use crate::access::ClaimEnd;
use crate::wire::{ClaimId, TokenId};

/// The name of the protocol for tokens that are loaded under a claim.
pub const TOKEN_PROTOCOL_V2: &str = "/enlace/token/2";

/// The name of the protocol for files that are loaded under a claim.
pub const FILE_PROTOCOL_V2: &str = "/enlace/file/2";

/// What a receiver asks for by [`TOKEN_PROTOCOL_V2`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenRequestV2 {
    /// A token.
    Load {
        /// Which one, as in version 1.
        request: TokenRequest,
        /// The use that this is; none for a token whose uses are not counted.
        claim: Option<ClaimId>,
    },
    /// The end of a use.
    End {
        /// The token.
        token: TokenId,
        /// The use.
        claim: ClaimId,
        /// How it ends.
        end: ClaimEnd,
    },
}

impl From<TokenRequest> for TokenRequestV2 {
    fn from(request: TokenRequest) -> Self {
        Self::Load { request, claim: None }
    }
}

const LOAD: u8 = 1;
const COMMIT: u8 = 4;
const RELEASE: u8 = 5;
const ENDED: u8 = 6;

impl Message for TokenRequestV2 {
    const MAX_LENGTH: usize = 96;

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Load { request: TokenRequest { token, proof }, claim } => {
                cbor::encode(&(LOAD, token, to_wire(*proof), claim))
            }
            Self::End { token, claim, end: ClaimEnd::Commit } => cbor::encode(&(COMMIT, token, claim)),
            Self::End { token, claim, end: ClaimEnd::Release } => cbor::encode(&(RELEASE, token, claim)),
        }
    }

    fn read(bytes: &[u8]) -> Result<Self, FrameError> {
        let end = match cbor::kind(bytes)? {
            LOAD => {
                let (_, token, proof, claim): (u8, TokenId, WireProof, Option<ClaimId>) = cbor::decode(bytes)?;
                return Ok(Self::Load { request: TokenRequest { token, proof: from_wire(proof) }, claim });
            }
            COMMIT => ClaimEnd::Commit,
            RELEASE => ClaimEnd::Release,
            _ => return Err(FrameError::Malformed),
        };
        let (_, token, claim): (u8, TokenId, ClaimId) = cbor::decode(bytes)?;
        Ok(Self::End { token, claim, end })
    }
}

/// The answer to the end of a use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimAnswer {
    /// It has ended, now or before.
    Ended,
    /// There is no such use.
    Refused(Refusal),
}

impl Message for ClaimAnswer {
    const MAX_LENGTH: usize = 8;

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ended => cbor::encode(&(ENDED,)),
            Self::Refused(refusal) => encode_refusal(*refusal),
        }
    }

    fn read(bytes: &[u8]) -> Result<Self, FrameError> {
        match cbor::kind(bytes)? {
            ENDED => cbor::decode(bytes).map(|(_,): (u8,)| Self::Ended),
            REFUSED => read_refusal(bytes).map(Self::Refused),
            _ => Err(FrameError::Malformed),
        }
    }
}

/// What a receiver asks for by [`FILE_PROTOCOL_V2`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRequestV2 {
    /// As in version 1.
    pub request: FileRequest,
    /// The use of the token that is the target; none if its uses are not counted.
    pub claim: Option<ClaimId>,
}

impl From<FileRequest> for FileRequestV2 {
    fn from(request: FileRequest) -> Self {
        Self { request, claim: None }
    }
}

impl Message for FileRequestV2 {
    const MAX_LENGTH: usize = 128;

    fn encode(&self) -> Vec<u8> {
        let Self { request, claim } = self;
        match request {
            FileRequest::Content { target, start, end, proof } => {
                cbor::encode(&(1_u8, target.as_str(), *start, *end, to_wire(*proof), claim))
            }
            FileRequest::Metadata { target, proof } => cbor::encode(&(2_u8, target.as_str(), to_wire(*proof), claim)),
        }
    }

    fn read(bytes: &[u8]) -> Result<Self, FrameError> {
        type Content = (u8, String, u64, Option<u64>, WireProof, Option<ClaimId>);
        let target = |text: String| FileTarget::parse(&text).ok_or(FrameError::Malformed);
        match cbor::kind(bytes)? {
            1 => {
                let (_, text, start, end, proof, claim): Content = cbor::decode(bytes)?;
                let (target, proof) = (target(text)?, from_wire(proof));
                Ok(Self { request: FileRequest::Content { target, start, end, proof }, claim })
            }
            2 => {
                let (_, text, proof, claim): (u8, String, WireProof, Option<ClaimId>) = cbor::decode(bytes)?;
                let (target, proof) = (target(text)?, from_wire(proof));
                Ok(Self { request: FileRequest::Metadata { target, proof }, claim })
            }
            _ => Err(FrameError::Malformed),
        }
    }
}

/// The end of a use at the node that made its token, by [`TOKEN_PROTOCOL_V2`]. Can be repeated.
#[derive(Debug)]
pub struct EndClaim {
    token: TokenId,
    claim: ClaimId,
    end: ClaimEnd,
}

impl EndClaim {
    /// Commits or releases a use.
    #[must_use]
    pub fn new(token: TokenId, claim: ClaimId, end: ClaimEnd) -> Self {
        Self { token, claim, end }
    }
}

impl Side for EndClaim {
    type Outcome = ();

    const TIME_LIMIT: Duration = Duration::from_secs(60);

    fn open(&mut self) -> Option<Vec<u8>> {
        let Self { token, claim, end } = self;
        Some(TokenRequestV2::End { token: token.clone(), claim: claim.clone(), end: *end }.to_frame())
    }

    fn bound(&self) -> usize {
        ClaimAnswer::MAX_LENGTH
    }

    fn receive(&mut self, message: &[u8], _: Now) -> Turn<()> {
        match ClaimAnswer::decode(message) {
            Ok(ClaimAnswer::Ended) => Turn::finish(()),
            Ok(ClaimAnswer::Refused(refusal)) => Turn::fail(PeerError::Refused(refusal)),
            Err(error) => Turn::fail(PeerError::Frame(error)),
        }
    }
}
