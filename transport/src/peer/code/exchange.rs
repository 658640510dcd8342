//! Both sides of the exchange.

use std::fmt;
use std::time::Duration;

use libp2p_identity::PeerId;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{Code, CodeMessage, CodeOffer};
use crate::crypto::{
    Cipher, CipherNonce, ELEMENT_LENGTH, ExchangeSide, HashContext, NONCE_LENGTH, PasswordExchange, RANDOMNESS_LENGTH,
    SecretKey, derive_for,
};
use crate::peer::{FrameError, Message, Now, PeerError, Refusal, Side, Turn};
use crate::wire::{AnyReference, TokenReference};

/// How long a whole exchange may take. Nobody has to type anything during it.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// What two persons can compare: equal at both ends means that nobody is between them, with 40 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 5]);

impl Fingerprint {
    fn of(key: &SecretKey) -> Self {
        let hash = derive_for(HashContext::CodeFingerprint, key);
        Self(std::array::from_fn(|at| hash[at]))
    }
}

/// Eight characters in two groups, without those that look or sound alike: `0-9` and `a-z` without `i`, `l`, `o` and `u`.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        let bits = self.0.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        let text: String =
            (0..8).rev().map(|place| char::from(ALPHABET[(bits >> (5 * place) & 31) as usize])).collect();
        write!(f, "{}-{}", &text[..4], &text[4..])
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Who has taken an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenBy {
    /// The peer.
    pub peer_id: PeerId,
    /// To compare.
    pub fingerprint: Fingerprint,
}

/// What a receiver gets for a code.
#[derive(Clone, PartialEq, Eq)]
pub struct ReceivedReference {
    /// The reference.
    pub reference: TokenReference,
    /// The reference in the form in which it was offered.
    pub text: Zeroizing<String>,
    /// To compare.
    pub fingerprint: Fingerprint,
}

/// Shows the fingerprint only.
impl fmt::Debug for ReceivedReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedReference").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

/// The side that knows the reference. One for each stream on which somebody tries a code.
pub struct CodeSharer {
    offer: CodeOffer,
    local: PeerId,
    remote: PeerId,
    randomness: ([u8; RANDOMNESS_LENGTH], [u8; NONCE_LENGTH]),
    key: Option<SecretKey>,
}

impl CodeSharer {
    /// Answers a peer. The randomness must be fresh: 64 bytes for the exchange, 24 for sealing the reference.
    #[must_use]
    pub fn new(
        offer: CodeOffer,
        [local, remote]: [PeerId; 2],
        randomness: ([u8; RANDOMNESS_LENGTH], [u8; NONCE_LENGTH]),
    ) -> Self {
        Self { offer, local, remote, randomness, key: None }
    }

    fn start(&mut self, nameplate: u16, element: &[u8; ELEMENT_LENGTH], now: Now) -> Turn<TakenBy> {
        if let Err(refusal) = self.offer.begin(nameplate, now.instant) {
            return refuse(refusal, PeerError::Refused(refusal));
        }
        let names = names(&self.local, &self.remote);
        let (exchange, mine) = start(ExchangeSide::A, self.offer.code(), &names, self.randomness.0);
        match exchange.finish(element) {
            Ok(key) => {
                self.key = Some(key);
                Turn::reply(CodeMessage::Reply { element: mine }.to_frame())
            }
            Err(_) => Turn::fail(FrameError::Malformed),
        }
    }

    fn confirm(&self, key: &SecretKey, confirmation: &[u8; 32], now: Now) -> Turn<TakenBy> {
        let is_right = confirmation_of(key).ct_eq(confirmation).into();
        match self.offer.guess(is_right, now.instant) {
            Ok(reference) => {
                let fingerprint = Fingerprint::of(key);
                let frame = CodeMessage::Reference { sealed: seal(key, reference, self.randomness.1) }.to_frame();
                Turn::reply_and_finish(frame, TakenBy { peer_id: self.remote, fingerprint })
            }
            Err(PeerError::Refused(refusal)) => refuse(refusal, PeerError::Refused(refusal)),
            Err(error) => refuse(Refusal::WrongCode, error),
        }
    }
}

impl Side for CodeSharer {
    type Outcome = TakenBy;

    const TIME_LIMIT: Duration = TIME_LIMIT;

    fn open(&mut self) -> Option<Vec<u8>> {
        None
    }

    fn bound(&self) -> usize {
        // Only the sharer sends a long message.
        64
    }

    fn receive(&mut self, message: &[u8], now: Now) -> Turn<TakenBy> {
        match (CodeMessage::decode(message), self.key.take()) {
            (Err(error), _) => Turn::fail(error),
            (Ok(CodeMessage::Start { nameplate, element }), None) => self.start(nameplate, &element, now),
            (Ok(CodeMessage::Confirm { confirmation }), Some(key)) => self.confirm(&key, &confirmation, now),
            (Ok(_), _) => Turn::fail(PeerError::OutOfTurn),
        }
    }
}

/// The side that was told the code. A code is for one exchange: once [`has_guessed`](Self::has_guessed), a second one would give
/// a second guess to whoever is at the other end.
pub struct CodeReceiver {
    code: Code,
    exchange: Option<PasswordExchange>,
    element: [u8; ELEMENT_LENGTH],
    key: Option<SecretKey>,
}

impl CodeReceiver {
    /// Asks a peer. The randomness must be fresh.
    #[must_use]
    pub fn new(code: Code, [local, remote]: [PeerId; 2], randomness: [u8; RANDOMNESS_LENGTH]) -> Self {
        let (exchange, element) = start(ExchangeSide::B, &code, &names(&remote, &local), randomness);
        Self { code, exchange: Some(exchange), element, key: None }
    }

    /// Whether the other side has been told something that depends on the code. Before that, the same code may be tried with
    /// another peer.
    #[must_use]
    pub fn has_guessed(&self) -> bool {
        self.exchange.is_none()
    }

    fn reply(&mut self, exchange: PasswordExchange, element: &[u8; ELEMENT_LENGTH]) -> Turn<ReceivedReference> {
        let Ok(key) = exchange.finish(element) else { return Turn::fail(FrameError::Malformed) };
        let frame = CodeMessage::Confirm { confirmation: confirmation_of(&key) }.to_frame();
        self.key = Some(key);
        Turn::reply(frame)
    }
}

impl Side for CodeReceiver {
    type Outcome = ReceivedReference;

    const TIME_LIMIT: Duration = TIME_LIMIT;

    fn open(&mut self) -> Option<Vec<u8>> {
        let (nameplate, element) = (self.code.nameplate(), self.element);
        Some(CodeMessage::Start { nameplate, element }.to_frame())
    }

    fn bound(&self) -> usize {
        CodeMessage::MAX_LENGTH
    }

    fn receive(&mut self, message: &[u8], _: Now) -> Turn<ReceivedReference> {
        let message = match CodeMessage::decode(message) {
            Ok(message) => message,
            Err(error) => return Turn::fail(error),
        };
        match (message, self.key.take()) {
            (CodeMessage::Refused(Refusal::WrongCode), _) => Turn::fail(PeerError::WrongCode),
            (CodeMessage::Refused(refusal), _) => Turn::fail(PeerError::Refused(refusal)),
            (CodeMessage::Reply { element }, None) => match self.exchange.take() {
                Some(exchange) => self.reply(exchange, &element),
                None => Turn::fail(PeerError::OutOfTurn),
            },
            (CodeMessage::Reference { sealed }, Some(key)) => open(&key, &sealed).map_or_else(Turn::fail, Turn::finish),
            _ => Turn::fail(PeerError::OutOfTurn),
        }
    }
}

/// The names of both sides: of the sharer, which is side A, and of the receiver.
fn names(sharer: &PeerId, receiver: &PeerId) -> [Vec<u8>; 2] {
    [("sharer", sharer), ("receiver", receiver)]
        .map(|(role, peer_id)| [b"enlace code 1 ", role.as_bytes(), b"\0", &peer_id.to_bytes()].concat())
}

fn start(
    side: ExchangeSide,
    code: &Code,
    [sharer, receiver]: &[Vec<u8>; 2],
    randomness: [u8; RANDOMNESS_LENGTH],
) -> (PasswordExchange, [u8; ELEMENT_LENGTH]) {
    PasswordExchange::start(side, code.expose(), [sharer, receiver], randomness)
}

fn confirmation_of(key: &SecretKey) -> [u8; 32] {
    derive_for(HashContext::CodeConfirmation, key)
}

fn sealing_key(key: &SecretKey) -> SecretKey {
    SecretKey::from_bytes(derive_for(HashContext::CodeReference, key))
}

fn seal(key: &SecretKey, reference: &str, nonce: [u8; NONCE_LENGTH]) -> Vec<u8> {
    let cipher = sealing_key(key).encrypt_with_nonce(reference.as_bytes(), nonce);
    [&nonce[..], cipher.ciphertext()].concat()
}

/// A reference that opens was sealed by somebody who has the same key: the sharer proves itself by it.
fn open(key: &SecretKey, sealed: &[u8]) -> Result<ReceivedReference, PeerError> {
    let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LENGTH>().ok_or(FrameError::Malformed)?;
    let cipher = Cipher::new(ciphertext.to_vec(), CipherNonce::Random(*nonce));
    let text = sealing_key(key).decrypt(&cipher).map_err(|_| PeerError::WrongCode)?;
    let contradiction = PeerError::Contradiction("it is not the reference of a token");
    let text = std::str::from_utf8(&text).map_err(|_| contradiction)?;
    match AnyReference::parse(text) {
        Ok(AnyReference::Token(reference)) => {
            let text = Zeroizing::new(text.to_owned());
            Ok(ReceivedReference { reference, text, fingerprint: Fingerprint::of(key) })
        }
        _ => Err(contradiction),
    }
}

fn refuse<T>(refusal: Refusal, error: PeerError) -> Turn<T> {
    Turn::refuse(CodeMessage::Refused(refusal).to_frame(), error)
}
