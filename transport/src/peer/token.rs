//! `/enlace/token/1`: a token with its sealed content from the node that made it (specification, section 7). One stream for each
//! request.
//!
//! ```text
//! receiver                              owner
//!     load [1, token, proof?]        ->
//!                                    <- token [2, …] or refused [3, number]
//! ```

use std::time::Duration;

use super::answer::Answer;
use super::cbor::{self, Bytes};
use super::file::{encode_refusal, read_refusal};
use super::request::{Caller, Holder, WireProof, from_wire, to_wire};
use super::{
    Channel, ClaimAnswer, FrameError, Message, Now, PasswordProof, PeerError, Refusal, Side, TokenRequestV2, Turn,
};
use crate::wire::backbone::tokens::Token;
use crate::wire::{Address, ClaimId, DeviceId, Timestamp, TokenId};

/// The name of the protocol.
pub const TOKEN_PROTOCOL: &str = "/enlace/token/1";

/// Bytes of the longest sealed content of a token that travels between peers.
pub const MAX_TOKEN_CONTENT_LENGTH: usize = 16 * 1024 * 1024;

/// What a receiver asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// The token.
    pub token: TokenId,
    /// If it has a password.
    pub proof: Option<PasswordProof>,
}

impl Message for TokenRequest {
    const MAX_LENGTH: usize = 64;

    fn encode(&self) -> Vec<u8> {
        cbor::encode(&(1_u8, &self.token, to_wire(self.proof)))
    }

    fn read(bytes: &[u8]) -> Result<Self, FrameError> {
        let (kind, token, proof): (u8, TokenId, WireProof) = cbor::decode(bytes)?;
        if kind == 1 { Ok(Self { token, proof: from_wire(proof) }) } else { Err(FrameError::Malformed) }
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenAnswer {
    /// The token.
    Token(Box<Token>),
    /// There is none.
    Refused(Refusal),
}

/// Kind, id, created by, by device, for identity, created at, expiry, content, has a password.
type WireToken = (u8, TokenId, Option<Address>, Option<DeviceId>, Option<Address>, i64, i64, Option<Bytes>, bool);

impl Message for TokenAnswer {
    const MAX_LENGTH: usize = MAX_TOKEN_CONTENT_LENGTH + 512;

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Token(token) => {
                let wire: WireToken = (
                    2,
                    token.id.clone(),
                    token.created_by.clone(),
                    token.created_by_device.clone(),
                    token.for_identity.clone(),
                    token.created_at.as_unix_milliseconds(),
                    token.expires_at.as_unix_milliseconds(),
                    token.content.as_ref().map(|content| Bytes(content.0.clone())),
                    token.is_password_protected,
                );
                cbor::encode(&wire)
            }
            Self::Refused(refusal) => encode_refusal(*refusal),
        }
    }

    fn read(bytes: &[u8]) -> Result<Self, FrameError> {
        match cbor::kind(bytes)? {
            2 => {
                let (_, id, created_by, created_by_device, for_identity, created, expires, content, protected): WireToken =
                    cbor::decode(bytes)?;
                Ok(Self::Token(Box::new(Token {
                    id,
                    created_by,
                    created_by_device,
                    for_identity,
                    created_at: Timestamp::from_unix_milliseconds(created),
                    expires_at: Timestamp::from_unix_milliseconds(expires),
                    content: content.map(|content| content.0.into()),
                    is_password_protected: protected,
                })))
            }
            3 => read_refusal(bytes).map(Self::Refused),
            _ => Err(FrameError::Malformed),
        }
    }
}

/// Decides about a request of either version, and answers it.
pub async fn serve_token<H: Holder>(holder: &H, channel: &Channel, request: &TokenRequestV2, now: Now) -> Answer {
    let frame = match request {
        TokenRequestV2::Load { request, claim } => {
            let caller = Caller::new(channel, request.proof, now.time).under(claim.as_ref());
            answer_token(holder.token(&request.token, caller).await)
        }
        TokenRequestV2::End { token, claim, end } => {
            let caller = Caller::new(channel, None, now.time).under(Some(claim));
            match holder.end_claim(token, claim, *end, caller).await {
                Ok(()) => ClaimAnswer::Ended.to_frame(),
                Err(refusal) => ClaimAnswer::Refused(refusal).to_frame(),
            }
        }
    };
    Answer::new(frame, 0..0, now.instant)
}

fn answer_token(token: Result<Token, Refusal>) -> Vec<u8> {
    let answer = match token {
        Ok(token) => TokenAnswer::Token(Box::new(token)),
        Err(refusal) => TokenAnswer::Refused(refusal),
    };
    let answer = if answer.is_within_bounds() { answer } else { TokenAnswer::Refused(Refusal::Unavailable) };
    answer.to_frame()
}

/// A request and its answer.
#[derive(Debug)]
pub struct LoadToken {
    request: TokenRequest,
    claim: Option<ClaimId>,
    creator: Address,
    max_content: usize,
}

impl LoadToken {
    /// Asks the other side of a channel for a token that it has made, with a sealed content of at most `max_content` bytes.
    ///
    /// # Errors
    /// [`PeerError::Refused`] with [`Refusal::IdentityRequired`] if the other side has proven no identity: then nobody can
    /// say whose token it is.
    pub fn new(
        channel: &Channel,
        request: TokenRequest,
        max_content: usize,
        now: Timestamp,
    ) -> Result<Self, PeerError> {
        let creator = channel.caller(now).ok_or(PeerError::Refused(Refusal::IdentityRequired))?.clone();
        Ok(Self { request, claim: None, creator, max_content: max_content.min(MAX_TOKEN_CONTENT_LENGTH) })
    }

    /// The same as this use of the token, which is a request by [`TOKEN_PROTOCOL_V2`](super::TOKEN_PROTOCOL_V2).
    /// Without a claim it is one of version 1.
    #[must_use]
    pub fn under(self, claim: Option<&ClaimId>) -> Self {
        Self { claim: claim.cloned(), ..self }
    }

    fn read(&self, message: &[u8]) -> Result<Token, PeerError> {
        let token = match TokenAnswer::decode(message)? {
            TokenAnswer::Token(token) => *token,
            TokenAnswer::Refused(refusal) => return Err(PeerError::Refused(refusal)),
        };
        if token.id != self.request.token {
            return Err(PeerError::Contradiction("it is about another token"));
        }
        if token.created_by.as_ref() != Some(&self.creator) {
            return Err(PeerError::Contradiction("the token was made by somebody else"));
        }
        if token.content.as_ref().is_some_and(|content| content.0.len() > self.max_content) {
            return Err(PeerError::Frame(FrameError::TooLong));
        }
        Ok(token)
    }
}

impl Side for LoadToken {
    type Outcome = Token;

    const TIME_LIMIT: Duration = Duration::from_secs(60);

    fn open(&mut self) -> Option<Vec<u8>> {
        let (request, claim) = (self.request.clone(), self.claim.clone());
        Some(match claim {
            None => request.to_frame(),
            claim => TokenRequestV2::Load { request, claim }.to_frame(),
        })
    }

    fn bound(&self) -> usize {
        self.max_content + 512
    }

    fn receive(&mut self, message: &[u8], _: Now) -> Turn<Token> {
        self.read(message).map_or_else(Turn::fail, Turn::finish)
    }
}
