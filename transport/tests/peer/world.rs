//! Nodes, the time, and a stream between two sides, in memory.

use std::time::{Duration, Instant};

use transport::crypto::SignatureKeypair;
use transport::identity::derive_address;
use transport::peer::{
    CertificateRequest, Channel, Claims, Conversation, Credentials, DeviceCertificate, Disclosure, IdentityExchange,
    Now, PeerError, PeerId, PeerKey, RequestClaims, Side,
};
use transport::wire::{Address, DeviceId, Timestamp};

/// How one side of a conversation ended; `None` if it still waits.
pub(crate) type End<T> = Option<Result<T, PeerError>>;

/// 2025-11-29, in whole days.
pub(crate) const TODAY: i64 = 1_764_374_400_000;

/// The clock of a driver.
pub(crate) fn now() -> Now {
    Now { instant: Instant::now(), time: Timestamp::from_unix_milliseconds(TODAY) }
}

/// An identity with one device.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) identity_key: SignatureKeypair,
    pub(crate) device_key: SignatureKeypair,
}

impl Node {
    /// Always the same one for a number.
    pub(crate) fn new(number: u8) -> Self {
        let [identity_key, device_key] = [0, 100].map(|offset| SignatureKeypair::from_seed(&[number + offset; 32]));
        Self { identity_key, device_key }
    }

    pub(crate) fn peer_id(&self) -> PeerId {
        PeerKey::derive(&self.device_key).peer_id()
    }

    pub(crate) fn address(&self) -> Address {
        derive_address(&self.identity_key.public_key(), "example.org").unwrap()
    }

    pub(crate) fn device_id() -> DeviceId {
        "DVCabcDEF123ghiJKL45".parse().unwrap()
    }

    /// Valid for a week from the current day on.
    pub(crate) fn claims(&self) -> Claims {
        let valid_from = Timestamp::from_unix_milliseconds(TODAY);
        Claims {
            address: self.address(),
            identity_key: self.identity_key.public_key(),
            device_id: Self::device_id(),
            device_key: self.device_key.public_key(),
            peer_id: self.peer_id(),
            valid_from,
            valid_until: valid_from.saturating_add(Duration::from_secs(7 * 24 * 60 * 60)),
        }
    }

    pub(crate) fn certificate(&self) -> DeviceCertificate {
        self.claims().sign(&self.identity_key).unwrap()
    }

    pub(crate) fn request_claims(&self) -> RequestClaims {
        RequestClaims {
            address: self.address(),
            device_id: Self::device_id(),
            device_key: self.device_key.public_key(),
            peer_id: self.peer_id(),
            requested_at: Timestamp::from_unix_milliseconds(TODAY),
        }
    }

    pub(crate) fn request(&self) -> CertificateRequest {
        self.request_claims().sign(&self.device_key).unwrap()
    }

    pub(crate) fn credentials(&self) -> Credentials {
        Credentials { certificate: self.certificate(), device_key: self.device_key.clone() }
    }

    /// The channels that this node and another one have after they have proven their identities to each other. Nonces are
    /// made of `number`.
    pub(crate) fn meet(&self, other: &Self, number: u8) -> [Channel; 2] {
        let ids = [self.peer_id(), other.peer_id()];
        let [one, two] = [[number; 32], [number + 1; 32]];
        let one = IdentityExchange::initiator(ids, one, Some(self.credentials()), nobody_removed);
        let proof = (other.credentials(), Disclosure::Identified);
        let two = IdentityExchange::responder([ids[1], ids[0]], two, Some(proof), nobody_removed);
        let (one, two) = Link::whole().run(one, two);
        [one.unwrap().unwrap(), two.unwrap().unwrap()]
    }
}

pub(crate) fn nobody_removed(_: &Address, _: &DeviceId) -> bool {
    false
}

/// A stream that hands over pieces of a given size and breaks after a given number of bytes in both directions together.
#[derive(Clone, Copy)]
pub(crate) struct Link {
    pub(crate) piece: usize,
    pub(crate) cut_at: usize,
    pub(crate) delivered: usize,
}

impl Link {
    pub(crate) fn whole() -> Self {
        Self::cut_at(usize::MAX)
    }

    pub(crate) fn cut_at(cut_at: usize) -> Self {
        Self { piece: usize::MAX, cut_at, delivered: 0 }
    }

    /// Runs two sides until both have ended or none moves.
    pub(crate) fn run<A: Side, B: Side>(&mut self, a: A, b: B) -> (End<A::Outcome>, End<B::Outcome>) {
        let now = now();
        let (mut a, mut b) = (Conversation::new(a, now.instant), Conversation::new(b, now.instant));
        while self.delivered < self.cut_at {
            let moved = [self.carry(&mut a, &mut b, now), self.carry(&mut b, &mut a, now)];
            if moved == [false; 2] {
                break;
            }
        }
        if self.delivered >= self.cut_at {
            a.cut();
            b.cut();
        }
        (a.end(), b.end())
    }

    /// Carries what one side has to say to the other one.
    fn carry<A: Side, B: Side>(&mut self, from: &mut Conversation<A>, to: &mut Conversation<B>, now: Now) -> bool {
        let Some(bytes) = from.outgoing() else { return false };
        self.feed(&bytes, to, now);
        true
    }

    /// Hands bytes to a side as a driver reads them: never more than it wants.
    pub(crate) fn feed<S: Side>(&mut self, mut bytes: &[u8], to: &mut Conversation<S>, now: Now) {
        while !bytes.is_empty() && self.delivered < self.cut_at && to.wants() > 0 {
            let length = bytes.len().min(self.piece).min(to.wants()).min(self.cut_at - self.delivered);
            let taken = to.receive(&bytes[..length], now);
            self.delivered += length;
            bytes = &bytes[taken.max(1).min(bytes.len())..];
        }
    }
}

/// Hands frames to one side, which is all that a peer without a state machine does, and returns what it says and how it ends.
pub(crate) fn tell<S: Side>(side: S, frames: &[Vec<u8>]) -> (Vec<Vec<u8>>, End<S::Outcome>) {
    let now = now();
    let mut conversation = Conversation::new(side, now.instant);
    let mut said: Vec<_> = conversation.outgoing().into_iter().collect();
    for frame in frames {
        Link::whole().feed(frame, &mut conversation, now);
        said.extend(conversation.outgoing());
    }
    (said, conversation.end())
}
