//! A connection between two peers, and what each has proven to the other on it (specification, sections 2.2 and 2.3).

use std::net::IpAddr;

use libp2p_identity::PeerId;
use subtle::ConstantTimeEq as _;

use super::certificate::{VerifiedCertificate, is_over};
use crate::crypto::{ContextHash, HashContext, PasswordHash};
use crate::identity::PublicIdentity;
use crate::wire::{Address, DeviceId, Timestamp, TokenId};

/// Bytes of the nonce that each side adds to a channel.
pub const NONCE_LENGTH: usize = 32;

/// What is different for each channel: who its ends are, who opened it, and a fresh nonce of each.
///
/// ```text
/// binding = KDF("channel", peer id of the initiator ‖ peer id of the responder ‖ its nonce ‖ its nonce)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelBinding([u8; 32]);

impl ChannelBinding {
    pub(super) fn new(initiator: (&PeerId, &[u8; NONCE_LENGTH]), responder: (&PeerId, &[u8; NONCE_LENGTH])) -> Self {
        let mut hash = ContextHash::new(HashContext::Channel);
        for (peer_id, _) in [initiator, responder] {
            hash.update(&peer_id.to_bytes());
        }
        for (_, nonce) in [initiator, responder] {
            hash.update(nonce);
        }
        Self(hash.finish())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// How a connection gets to the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Via {
    /// Straight, in the local network, over the internet or through holes in NATs.
    Direct,
    /// Through a relay.
    Relay,
}

/// A connection on which identities were exchanged. Everything that is decided about the other side is decided by this value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    pub(super) remote: PeerId,
    pub(super) binding: ChannelBinding,
    pub(super) proven: Option<ProvenIdentity>,
    pub(super) host: Option<IpAddr>,
    pub(super) via: Option<Via>,
}

impl Channel {
    /// The peer at the other end, as the handshake of the transport has authenticated it.
    #[must_use]
    pub fn remote(&self) -> &PeerId {
        &self.remote
    }

    /// The same channel, to a peer at this host, or behind it.
    #[must_use]
    pub fn at(self, host: Option<IpAddr>) -> Self {
        Self { host, ..self }
    }

    /// The host that the connection comes from or goes to, as the driver says: of the peer, a NAT or a relay. For bounds only, since
    /// it proves nothing.
    #[must_use]
    pub fn host(&self) -> Option<IpAddr> {
        self.host
    }

    /// The same channel, over this path. A connection can turn out to take another one, so the driver says it with each request.
    #[must_use]
    pub fn over(self, via: Via) -> Self {
        Self { via: Some(via), ..self }
    }

    /// The path of the connection, as the driver says; `None` if it has not, which permits nothing that depends on the path.
    #[must_use]
    pub fn via(&self) -> Option<Via> {
        self.via
    }

    /// What proofs on this channel are bound to.
    #[must_use]
    pub fn binding(&self) -> &ChannelBinding {
        &self.binding
    }

    /// What the other side has proven, as long as its certificate is valid; `None` for a stranger.
    #[must_use]
    pub fn identity(&self, now: Timestamp) -> Option<&ProvenIdentity> {
        self.proven.as_ref().filter(|proven| !is_over(proven.valid_until, now))
    }

    /// The identity of the other side for decisions about access; `None` for a stranger.
    #[must_use]
    pub fn caller(&self, now: Timestamp) -> Option<&Address> {
        self.identity(now).map(ProvenIdentity::address)
    }
}

/// An identity and device that the peer at the other end of a channel has proven to be. Only the exchange of identities
/// makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenIdentity {
    identity: PublicIdentity,
    device_id: DeviceId,
    valid_until: Timestamp,
}

impl ProvenIdentity {
    pub(super) fn new(certificate: VerifiedCertificate) -> Self {
        let claims = certificate.claims();
        Self {
            identity: PublicIdentity { address: claims.address.clone(), public_key: claims.identity_key },
            device_id: claims.device_id.clone(),
            valid_until: claims.valid_until,
        }
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.identity.address
    }

    /// Address and key, which belong together.
    #[must_use]
    pub fn identity(&self) -> &PublicIdentity {
        &self.identity
    }

    /// The device.
    #[must_use]
    pub fn device_id(&self) -> &DeviceId {
        &self.device_id
    }

    /// When the peer has to prove it again.
    #[must_use]
    pub fn valid_until(&self) -> Timestamp {
        self.valid_until
    }
}

/// The proof that a peer knows the password of a token. It is worth nothing on another channel, for another token or at a
/// backbone.
///
/// ```text
/// proof = KDF("password proof", password hash ‖ binding ‖ token id)
/// ```
#[derive(Debug, Clone, Copy)]
pub struct PasswordProof([u8; Self::LENGTH]);

impl PasswordProof {
    /// Length in bytes.
    pub const LENGTH: usize = 32;

    /// Proves it on a channel.
    #[must_use]
    pub fn new(hash: &PasswordHash, binding: &ChannelBinding, token: &TokenId) -> Self {
        let mut proof = ContextHash::new(HashContext::PasswordProof);
        proof.update(hash.expose());
        proof.update(&binding.0);
        proof.update(token.as_str().as_bytes());
        Self(proof.finish())
    }

    /// Wraps what a peer has sent.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

/// Compares in constant time.
impl PartialEq for PasswordProof {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for PasswordProof {}
