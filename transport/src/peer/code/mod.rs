//! `/enlace/code/1`: a reference for somebody who was told a short code (specification, section 9).
//!
//! ```text
//! receiver                                        sharer
//!     start   [1, number, element]             ->
//!                                              <- reply     [2, element]
//!     confirm [3, confirmation]                ->
//!                                              <- reference [4, sealed]
//!                                              <- refused   [5, number], at any time
//! ```
//!
//! The elements are those of SPAKE2, so they tell nothing about the code. The receiver proves first that it has the right one,
//! and that is its only guess: the [`CodeOffer`] ends with it. The names of the sides are their peer ids, so whoever passes
//! messages on between two connections has the wrong key on both.

mod exchange;
mod offer;
mod text;
mod words;

pub use exchange::{CodeReceiver, CodeSharer, Fingerprint, ReceivedReference, TakenBy};
pub use offer::{CodeOffer, DEFAULT_CODE_LIFETIME, MAX_CODE_LIFETIME, MAX_EXCHANGES, OfferState};
pub use text::{Code, InvalidCode, MAX_NAMEPLATE};
pub use words::{WORD_COUNT, code_words};

use super::cbor::{self, Array, Bytes};
use super::{FrameError, Message, Refusal};
use crate::crypto::{ELEMENT_LENGTH, NONCE_LENGTH, TAG_LENGTH};
use crate::wire::reference::MAX_REFERENCE_LENGTH;

/// The name of the protocol.
pub const CODE_PROTOCOL: &str = "/enlace/code/1";

/// Bytes of the longest sealed reference.
const MAX_SEALED_LENGTH: usize = MAX_REFERENCE_LENGTH + NONCE_LENGTH + TAG_LENGTH;

/// A message of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeMessage {
    /// The receiver wants the reference behind the code with this number.
    Start {
        /// The number of the code.
        nameplate: u16,
        /// Of side B of SPAKE2.
        element: [u8; ELEMENT_LENGTH],
    },
    /// The sharer has such a code.
    Reply {
        /// Of side A of SPAKE2.
        element: [u8; ELEMENT_LENGTH],
    },
    /// The receiver has the same key, or guesses.
    Confirm {
        /// `KDF("code confirmation", key)`.
        confirmation: [u8; 32],
    },
    /// The reference.
    Reference {
        /// Nonce (24 bytes), ciphertext and tag under `KDF("code reference", key)`.
        sealed: Vec<u8>,
    },
    /// The sharer does not go on.
    Refused(Refusal),
}

impl Message for CodeMessage {
    const MAX_LENGTH: usize = MAX_SEALED_LENGTH + 16;

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Start { nameplate, element } => cbor::encode(&(1_u8, nameplate, Array(*element))),
            Self::Reply { element } => cbor::encode(&(2_u8, Array(*element))),
            Self::Confirm { confirmation } => cbor::encode(&(3_u8, Array(*confirmation))),
            Self::Reference { sealed } => cbor::encode(&(4_u8, Bytes(sealed.clone()))),
            Self::Refused(refusal) => cbor::encode(&(5_u8, refusal.number())),
        }
    }

    fn read(bytes: &[u8]) -> Result<Self, FrameError> {
        match cbor::kind(bytes)? {
            1 => {
                let (_, nameplate, element): (u8, u16, Array<ELEMENT_LENGTH>) = cbor::decode(bytes)?;
                Ok(Self::Start { nameplate, element: element.0 })
            }
            2 => {
                cbor::decode(bytes).map(|(_, element): (u8, Array<ELEMENT_LENGTH>)| Self::Reply { element: element.0 })
            }
            3 => cbor::decode(bytes).map(|(_, proof): (u8, Array<32>)| Self::Confirm { confirmation: proof.0 }),
            4 => cbor::decode(bytes).map(|(_, sealed): (u8, Bytes)| Self::Reference { sealed: sealed.0 }),
            5 => cbor::decode(bytes).map(|(_, number): (u8, u8)| Self::Refused(Refusal::of_number(number))),
            _ => Err(FrameError::Malformed),
        }
    }
}
