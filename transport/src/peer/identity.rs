//! `/enlace/identity/1`: who is at the other end of a connection (specification, section 5).
//!
//! ```text
//! initiator                       responder
//!     hello [1, nonce]         ->
//!                              <- hello [1, nonce]
//!     proof [2, certificate?, signature?] ->
//!                              <- proof [2, certificate?, signature?]
//! ```
//!
//! The handshake of the transport has authenticated both peer ids. A certificate says whose peer that is; the signature
//! with the device key, over the binding of the channel, shows that it was not taken from somebody else. The initiator proves
//! first, so a responder need not tell strangers whose node it is.

use std::time::Duration;

use libp2p_identity::PeerId;

use super::cbor::{self, Array, Bytes};
use super::channel::{ChannelBinding, NONCE_LENGTH, ProvenIdentity};
use super::{Channel, DeviceCertificate, FrameError, Message, Now, PeerError, Refusal, Side, Turn};
use crate::crypto::hash::sha256;
use crate::crypto::{Signature, SignatureHash, SignatureKeypair};
use crate::wire::{Address, DeviceId};

/// The name of the protocol.
pub const IDENTITY_PROTOCOL: &str = "/enlace/identity/1";

const SIGNED_CONTEXT: &[u8] = b"enlace peer proof 1\0";

/// A message of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityMessage {
    /// A nonce that was never used before.
    Hello {
        /// Random.
        nonce: [u8; NONCE_LENGTH],
    },
    /// Who the sender is, or nothing.
    Proof(Option<Box<IdentityProof>>),
    /// The sender does not go on.
    Refused(Refusal),
}

/// A certificate, and the signature that shows that the sender has the device key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityProof {
    /// The certificate.
    pub certificate: DeviceCertificate,
    /// See [`IdentityProof::signed_bytes`].
    pub signature: [u8; Signature::LENGTH],
}

type WireProof = (u8, Option<Bytes>, Option<Array<{ Signature::LENGTH }>>);

impl Message for IdentityMessage {
    const MAX_LENGTH: usize = DeviceCertificate::MAX_LENGTH + 128;

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hello { nonce } => cbor::encode(&(1_u8, Array(*nonce))),
            Self::Proof(proof) => {
                let certificate = proof.as_ref().map(|proof| Bytes(proof.certificate.encode()));
                let wire: WireProof = (2, certificate, proof.as_ref().map(|proof| Array(proof.signature)));
                cbor::encode(&wire)
            }
            Self::Refused(refusal) => cbor::encode(&(3_u8, refusal.number())),
        }
    }

    fn read(bytes: &[u8]) -> Result<Self, FrameError> {
        match cbor::kind(bytes)? {
            1 => cbor::decode(bytes).map(|(_, nonce): (u8, Array<NONCE_LENGTH>)| Self::Hello { nonce: nonce.0 }),
            2 => match cbor::decode::<WireProof>(bytes)? {
                (_, Some(certificate), Some(signature)) => {
                    let certificate = DeviceCertificate::decode(&certificate.0)?;
                    Ok(Self::Proof(Some(Box::new(IdentityProof { certificate, signature: signature.0 }))))
                }
                _ => Ok(Self::Proof(None)),
            },
            3 => cbor::decode(bytes).map(|(_, number): (u8, u8)| Self::Refused(Refusal::of_number(number))),
            _ => Err(FrameError::Malformed),
        }
    }
}

/// Which side of a channel. A proof of one side is none of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Opened the connection.
    Initiator = 1,
    /// Accepted the connection.
    Responder = 2,
}

impl Role {
    fn other(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }
}

impl IdentityProof {
    fn new(credentials: Credentials, role: Role, binding: &ChannelBinding) -> Self {
        let signed = Self::signed_bytes(&credentials.certificate, role, binding);
        let signature = *credentials.device_key.sign(&signed, SignatureHash::Sha512).as_raw();
        Self { certificate: credentials.certificate, signature }
    }

    /// What the device key signs: `"enlace peer proof 1" 00 ‖ role (1 byte) ‖ binding ‖ SHA-256(certificate)`.
    #[must_use]
    pub fn signed_bytes(certificate: &DeviceCertificate, role: Role, binding: &ChannelBinding) -> Vec<u8> {
        [SIGNED_CONTEXT, &[role as u8], binding.as_bytes(), &sha256(&certificate.encode())].concat()
    }
}

/// With what a node proves who it is.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The certificate of this device.
    pub certificate: DeviceCertificate,
    /// The key of this device.
    pub device_key: SignatureKeypair,
}

/// To whom a responder proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disclosure {
    /// To everybody.
    Everyone,
    /// To those who have proven an identity of their own.
    Identified,
}

/// One end of the exchange. `R` says whether a device was removed from its identity.
pub struct IdentityExchange<R> {
    role: Role,
    local: PeerId,
    remote: PeerId,
    nonce: [u8; NONCE_LENGTH],
    credentials: Option<Credentials>,
    disclosure: Disclosure,
    is_removed: R,
    /// Known once the other side has said hello.
    binding: Option<ChannelBinding>,
}

impl<R: Fn(&Address, &DeviceId) -> bool> IdentityExchange<R> {
    /// The exchange on a connection that this node has opened to `remote`. `nonce` must be fresh. Without credentials this node
    /// is a stranger to the other side.
    pub fn initiator(
        [local, remote]: [PeerId; 2],
        nonce: [u8; NONCE_LENGTH],
        credentials: Option<Credentials>,
        is_removed: R,
    ) -> Self {
        let disclosure = Disclosure::Everyone;
        Self { role: Role::Initiator, local, remote, nonce, credentials, disclosure, is_removed, binding: None }
    }

    /// The exchange on a connection that `remote` has opened to this node.
    pub fn responder(
        [local, remote]: [PeerId; 2],
        nonce: [u8; NONCE_LENGTH],
        credentials: Option<(Credentials, Disclosure)>,
        is_removed: R,
    ) -> Self {
        let (credentials, disclosure) = credentials.unzip();
        let disclosure = disclosure.unwrap_or(Disclosure::Identified);
        Self { role: Role::Responder, local, remote, nonce, credentials, disclosure, is_removed, binding: None }
    }

    fn hello(&mut self, nonce: [u8; NONCE_LENGTH]) -> Turn<Channel> {
        let (mine, theirs) = ((&self.local, &self.nonce), (&self.remote, &nonce));
        let binding = match self.role {
            Role::Initiator => ChannelBinding::new(mine, theirs),
            Role::Responder => ChannelBinding::new(theirs, mine),
        };
        self.binding = Some(binding);
        match self.role {
            Role::Initiator => Turn::reply(self.prove(&binding, None)),
            Role::Responder => Turn::reply(IdentityMessage::Hello { nonce: self.nonce }.to_frame()),
        }
    }

    fn proof(&mut self, binding: ChannelBinding, proof: Option<Box<IdentityProof>>, now: Now) -> Turn<Channel> {
        let proven = match proof.map(|proof| self.verify(&proof, &binding, now)).transpose() {
            Ok(proven) => proven,
            Err((refusal, error)) => return Turn::refuse(IdentityMessage::Refused(refusal).to_frame(), error),
        };
        let channel = Channel { remote: self.remote, binding, proven, host: None, via: None };
        match self.role {
            Role::Initiator => Turn::finish(channel),
            Role::Responder => {
                let frame = self.prove(&binding, Some(&channel));
                Turn::reply_and_finish(frame, channel)
            }
        }
    }

    fn prove(&mut self, binding: &ChannelBinding, to: Option<&Channel>) -> Vec<u8> {
        let hides = self.disclosure == Disclosure::Identified && to.is_some_and(|channel| channel.proven.is_none());
        let credentials = self.credentials.take().filter(|_| !hides);
        let proof = credentials.map(|credentials| IdentityProof::new(credentials, self.role, binding));
        IdentityMessage::Proof(proof.map(Box::new)).to_frame()
    }

    fn verify(
        &self,
        proof: &IdentityProof,
        binding: &ChannelBinding,
        now: Now,
    ) -> Result<ProvenIdentity, (Refusal, PeerError)> {
        let verified = proof
            .certificate
            .verify(&self.remote, now.time, &self.is_removed)
            .map_err(|error| (error.into(), error.into()))?;
        let signed = IdentityProof::signed_bytes(&proof.certificate, self.role.other(), binding);
        let signature = Signature::from_raw(proof.signature, SignatureHash::Sha512);
        let has_device_key = verified.claims().device_key.verify(&signed, &signature).is_ok();
        if has_device_key { Ok(ProvenIdentity::new(verified)) } else { Err((Refusal::Certificate, PeerError::Proof)) }
    }
}

impl<R: Fn(&Address, &DeviceId) -> bool> Side for IdentityExchange<R> {
    type Outcome = Channel;

    const TIME_LIMIT: Duration = Duration::from_secs(15);

    fn open(&mut self) -> Option<Vec<u8>> {
        (self.role == Role::Initiator).then(|| IdentityMessage::Hello { nonce: self.nonce }.to_frame())
    }

    fn bound(&self) -> usize {
        IdentityMessage::MAX_LENGTH
    }

    fn receive(&mut self, message: &[u8], now: Now) -> Turn<Channel> {
        match (IdentityMessage::decode(message), self.binding) {
            (Err(error), _) => Turn::fail(error),
            (Ok(IdentityMessage::Refused(refusal)), _) => Turn::fail(PeerError::Refused(refusal)),
            (Ok(IdentityMessage::Hello { nonce }), None) => self.hello(nonce),
            (Ok(IdentityMessage::Proof(proof)), Some(binding)) => self.proof(binding, proof, now),
            (Ok(_), _) => Turn::fail(PeerError::OutOfTurn),
        }
    }
}
