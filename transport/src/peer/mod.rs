//! Protocols between two nodes that reach each other over libp2p, as state machines without input, output or clock.
//! `docs/peer-protocols.md` is their specification; the modules follow its sections.
//!
//! A driver accepts and opens streams, reads and writes bytes, knows the time and the randomness; everything else is decided
//! here. What a peer sends is read by [`Message::decode`] within the bound of its protocol, and nothing a peer sends is believed
//! before it is proven on this [`Channel`].
//!
//! ```
//! # use std::time::Instant;
//! use transport::peer::{Conversation, IdentityExchange, Now, PeerKey};
//! # use transport::crypto::{SignatureKeypair, random};
//! # use transport::wire::Timestamp;
//! # let now = Now { instant: Instant::now(), time: Timestamp::from_unix_milliseconds(0) };
//!
//! // two nodes after the handshake of the transport; these two are strangers to each other
//! let [a, b] = [1, 2].map(|seed| PeerKey::derive(&SignatureKeypair::from_seed(&[seed; 32])).peer_id());
//! let nobody_is_removed = |_: &_, _: &_| false;
//! let one = IdentityExchange::initiator([a, b], random::bytes(), None, nobody_is_removed);
//! let other = IdentityExchange::responder([b, a], random::bytes(), None, nobody_is_removed);
//! let (mut one, mut other) = (Conversation::new(one, now.instant), Conversation::new(other, now.instant));
//!
//! // a stream, without a network
//! let channel = loop {
//!     if let Some(bytes) = one.outgoing() {
//!         other.receive(&bytes[..4], now);
//!         other.receive(&bytes[4..], now);
//!     }
//!     if let Some(bytes) = other.outgoing() {
//!         one.receive(&bytes[..4], now);
//!         one.receive(&bytes[4..], now);
//!     }
//!     if let Some(end) = one.end() {
//!         break end?;
//!     }
//! };
//! assert_eq!(channel.caller(now.time), None);
//! # Ok::<(), transport::peer::PeerError>(())
//! ```

mod answer;
mod cbor;
mod certificate;
mod certificate_request;
mod channel;
mod claims;
mod code;
mod conversation;
mod direct;
mod direct_text;
mod error;
mod file;
mod frame;
mod identity;
mod inbox;
mod key;
mod request;
mod token;

pub use libp2p_identity::PeerId;

pub use answer::{Answer, PIECE_LENGTH, Piece, STALL_LIMIT};
pub use certificate::{
    CLOCK_TOLERANCE, CertificateError, Claims, DeviceCertificate, MAX_VALIDITY, VerifiedCertificate,
};
pub use certificate_request::{
    CertificateRequest, MAX_REQUEST_AGE, RequestClaims, RequestError, VerifiedRequest, of_property, to_property,
};
pub use channel::{Channel, ChannelBinding, NONCE_LENGTH, PasswordProof, ProvenIdentity, Via};
pub use claims::{ClaimAnswer, EndClaim, FILE_PROTOCOL_V2, FileRequestV2, TOKEN_PROTOCOL_V2, TokenRequestV2};
pub use code::{
    CODE_PROTOCOL, Code, CodeMessage, CodeOffer, CodeReceiver, CodeSharer, DEFAULT_CODE_LIFETIME, Fingerprint,
    InvalidCode, MAX_CODE_LIFETIME, MAX_EXCHANGES, MAX_NAMEPLATE, OfferState, ReceivedReference, TakenBy, WORD_COUNT,
    code_words,
};
pub use conversation::{Conversation, Now, Side, Turn};
pub use direct::{Direct, DirectDevices, MAX_ADDRESS_TEXT_LENGTH, MAX_ADDRESSES, MAX_DEVICES, MultiaddrText};
pub use error::{PeerError, Refusal};
pub use file::{
    ContentAnswer, ContentExpectation, ContentHeader, FILE_PROTOCOL, Fetch, FetchMetadata, Fetched, FileRequest,
    MetadataAnswer, serve_file,
};
pub use frame::{FrameError, FrameReader, LENGTH_PREFIX, Message};
pub use identity::{
    Credentials, Disclosure, IDENTITY_PROTOCOL, IdentityExchange, IdentityMessage, IdentityProof, Role,
};
pub use inbox::{
    HINT_INTERVAL, HintGate, INBOX_PROTOCOL, InboxMessage, MAX_HEARD, ReceiveHint, SYNC_INTERVAL, SendHint,
};
pub use key::PeerKey;
pub use request::{AwaitRequest, Caller, Content, FileTarget, Format, HeldContent, Holder};
pub use token::{LoadToken, MAX_TOKEN_CONTENT_LENGTH, TOKEN_PROTOCOL, TokenAnswer, TokenRequest, serve_token};
