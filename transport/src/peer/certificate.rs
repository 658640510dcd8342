//! Device certificates: an identity says which of its devices is which peer, and until when (specification, section 4).
//!
//! ```text
//! claims      = [1, address, identity key, device id, device key, peer id, valid from, valid until]
//! certificate = [bytes(claims), Ed25519(identity key, "enlace device certificate 1" 00 ‖ bytes(claims))]
//! ```

use std::fmt;
use std::time::Duration;

use libp2p_identity::PeerId;

use super::cbor::{self, Array, Bytes};
use super::{FrameError, Message, key};
use crate::crypto::{Signature, SignatureHash, SignatureKeypair, SignaturePublicKey};
use crate::identity::address_belongs_to;
use crate::wire::{Address, DeviceId, Timestamp};

/// The longest time between the two ends of a validity. The removal of a device takes effect by then at nodes that nobody told.
pub const MAX_VALIDITY: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// By how much the clocks of two peers may differ.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(5 * 60);

const VERSION: u8 = 1;
const SIGNED_CONTEXT: &[u8] = b"enlace device certificate 1\0";

/// Why a certificate is not issued or not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// Its address does not belong to its identity key.
    #[error("address in the certificate does not belong to the identity key")]
    Address,
    /// The identity key did not sign it.
    #[error("signature of the certificate is not valid")]
    Signature,
    /// It is the certificate of another peer.
    #[error("certificate belongs to another peer")]
    OtherPeer,
    /// Its validity ends before it begins, or is longer than [`MAX_VALIDITY`].
    #[error("certificate is valid for too long")]
    Validity,
    /// It has expired or is not valid yet.
    #[error("certificate is not valid at this time; is the clock of both machines right?")]
    Time,
    /// The device was removed from its identity.
    #[error("certificate belongs to a device that was removed")]
    Removed,
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The identity.
    pub address: Address,
    /// The key that the address is derived from, and that signs the certificate.
    pub identity_key: SignaturePublicKey,
    /// The device.
    pub device_id: DeviceId,
    /// The key of the device.
    pub device_key: SignaturePublicKey,
    /// The peer that the device is; the id of an Ed25519 key.
    pub peer_id: PeerId,
    /// The first moment at which it is valid.
    pub valid_from: Timestamp,
    /// The first moment at which it is not valid any more.
    pub valid_until: Timestamp,
}

/// Version, address, identity key, device id, device key, peer id, valid from, valid until.
type WireClaims = (u8, Address, Array<32>, DeviceId, Array<32>, Array<{ key::PEER_ID_LENGTH }>, i64, i64);

impl Claims {
    /// Signs them with the identity key.
    ///
    /// # Errors
    /// [`CertificateError`] for claims that no peer would accept.
    pub fn sign(self, identity_key: &SignatureKeypair) -> Result<DeviceCertificate, CertificateError> {
        if self.identity_key != identity_key.public_key() {
            return Err(CertificateError::Signature);
        }
        if key::peer_id(&self.peer_id.to_bytes()).is_none() {
            return Err(CertificateError::OtherPeer);
        }
        self.check()?;
        let signature = *identity_key.sign(&self.signed_bytes(), SignatureHash::Sha512).as_raw();
        Ok(DeviceCertificate { claims: self, signature })
    }

    fn check(&self) -> Result<(), CertificateError> {
        address_belongs_to(&self.address, &self.identity_key).map_err(|_| CertificateError::Address)?;
        let is_bounded =
            self.valid_from < self.valid_until && self.valid_until <= self.valid_from.saturating_add(MAX_VALIDITY);
        if is_bounded { Ok(()) } else { Err(CertificateError::Validity) }
    }

    fn encode(&self) -> Vec<u8> {
        let peer_id = self.peer_id.to_bytes().try_into().map(Array).unwrap_or(Array([0; key::PEER_ID_LENGTH]));
        let wire: WireClaims = (
            VERSION,
            self.address.clone(),
            Array(*self.identity_key.as_raw()),
            self.device_id.clone(),
            Array(*self.device_key.as_raw()),
            peer_id,
            self.valid_from.as_unix_milliseconds(),
            self.valid_until.as_unix_milliseconds(),
        );
        cbor::encode(&wire)
    }

    fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let (version, address, identity_key, device_id, device_key, peer_id, from, until): WireClaims =
            cbor::decode(bytes)?;
        if version != VERSION {
            return Err(FrameError::Malformed);
        }
        Ok(Self {
            address,
            identity_key: SignaturePublicKey::from_raw(identity_key.0),
            device_id,
            device_key: SignaturePublicKey::from_raw(device_key.0),
            peer_id: key::peer_id(&peer_id.0).ok_or(FrameError::Malformed)?,
            valid_from: Timestamp::from_unix_milliseconds(from),
            valid_until: Timestamp::from_unix_milliseconds(until),
        })
    }

    fn signed_bytes(&self) -> Vec<u8> {
        [SIGNED_CONTEXT, &self.encode()].concat()
    }
}

/// Claims and the signature over them, which is not verified yet.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceCertificate {
    claims: Claims,
    signature: [u8; Signature::LENGTH],
}

impl DeviceCertificate {
    /// What it claims. Nothing of it is proven.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Verifies everything that a certificate by itself can prove: that the identity made it for the peer at the other end of a
    /// connection, that it is valid now, and that the device is not known to be removed.
    ///
    /// # Errors
    /// [`CertificateError`] says what does not hold.
    pub fn verify(
        &self,
        peer_id: &PeerId,
        now: Timestamp,
        is_removed: impl FnOnce(&Address, &DeviceId) -> bool,
    ) -> Result<VerifiedCertificate, CertificateError> {
        let claims = &self.claims;
        claims.check()?;
        let signature = Signature::from_raw(self.signature, SignatureHash::Sha512);
        claims.identity_key.verify(&claims.signed_bytes(), &signature).map_err(|_| CertificateError::Signature)?;
        if claims.peer_id != *peer_id {
            return Err(CertificateError::OtherPeer);
        }
        if now.saturating_add(CLOCK_TOLERANCE) < claims.valid_from || is_over(claims.valid_until, now) {
            return Err(CertificateError::Time);
        }
        if is_removed(&claims.address, &claims.device_id) {
            return Err(CertificateError::Removed);
        }
        Ok(VerifiedCertificate(claims.clone()))
    }
}

impl Message for DeviceCertificate {
    const MAX_LENGTH: usize = 512;

    fn encode(&self) -> Vec<u8> {
        cbor::encode(&(Bytes(self.claims.encode()), Array(self.signature)))
    }

    fn read(bytes: &[u8]) -> Result<Self, FrameError> {
        let (claims, signature): (Bytes, Array<{ Signature::LENGTH }>) = cbor::decode(bytes)?;
        Ok(Self { claims: Claims::decode(&claims.0)?, signature: signature.0 })
    }
}

/// Shows whom it claims to be of.
impl fmt::Debug for DeviceCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Claims { address, device_id, peer_id, .. } = &self.claims;
        write!(f, "DeviceCertificate({address}, {device_id}, {peer_id})")
    }
}

/// The claims of a certificate that was verified for a peer. Who sent it still has to prove that it has the device key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCertificate(Claims);

impl VerifiedCertificate {
    /// What it says.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.0
    }
}

/// Whether the end of a validity has passed, by any clock within the tolerance.
pub(super) fn is_over(valid_until: Timestamp, now: Timestamp) -> bool {
    valid_until.saturating_add(CLOCK_TOLERANCE) <= now
}
