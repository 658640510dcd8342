//! How a device without the key of its identity asks the devices that have it for a certificate (specification, section 4.1).
//!
//! ```text
//! claims  = [1, address, device id, device key, peer id, requested at]
//! request = [bytes(claims), Ed25519(device key, "enlace device certificate request 1" 00 ‖ bytes(claims))]
//! ```

use std::fmt;
use std::time::Duration;

use libp2p_identity::PeerId;

use super::cbor::{self, Array, Bytes};
use super::{CLOCK_TOLERANCE, CertificateError, Claims, DeviceCertificate, FrameError, Message, key};
use crate::crypto::{Signature, SignatureHash, SignatureKeypair, SignaturePublicKey};
use crate::identity::PublicIdentity;
use crate::wire::bytes::{from_base64url, to_base64url};
use crate::wire::{Address, DeviceId, Timestamp};

/// How old a request may be when it is answered. A device that still wants a certificate asks again.
pub const MAX_REQUEST_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const VERSION: u8 = 1;
const SIGNED_CONTEXT: &[u8] = b"enlace device certificate request 1\0";

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// It names another identity, device or device key than those that the device is known by.
    #[error("request for a certificate names another device than the one it is stored for")]
    OtherDevice,
    /// The device did not sign it.
    #[error("signature of the request for a certificate is not valid")]
    Signature,
    /// It is older than [`MAX_REQUEST_AGE`], or of the future.
    #[error("request for a certificate is too old or of the future; is the clock of both machines right?")]
    Time,
}

/// What a device says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestClaims {
    /// Its identity.
    pub address: Address,
    /// Its id.
    pub device_id: DeviceId,
    /// Its key, which signs the request.
    pub device_key: SignaturePublicKey,
    /// The peer that it is; the id of an Ed25519 key. Only the device can compute it.
    pub peer_id: PeerId,
    /// When it asks.
    pub requested_at: Timestamp,
}

/// Version, address, device id, device key, peer id, requested at.
type WireClaims = (u8, Address, DeviceId, Array<32>, Array<{ key::PEER_ID_LENGTH }>, i64);

impl RequestClaims {
    /// Signs them with the device key.
    ///
    /// # Errors
    /// [`RequestError::OtherDevice`] if it is another key than the one in the claims, or the peer id is not that of an Ed25519 key.
    pub fn sign(self, device_key: &SignatureKeypair) -> Result<CertificateRequest, RequestError> {
        if self.device_key != device_key.public_key() || key::peer_id(&self.peer_id.to_bytes()).is_none() {
            return Err(RequestError::OtherDevice);
        }
        let signature = *device_key.sign(&self.signed_bytes(), SignatureHash::Sha512).as_raw();
        Ok(CertificateRequest { claims: self, signature })
    }

    fn encode(&self) -> Vec<u8> {
        let peer_id = self.peer_id.to_bytes().try_into().map(Array).unwrap_or(Array([0; key::PEER_ID_LENGTH]));
        let wire: WireClaims = (
            VERSION,
            self.address.clone(),
            self.device_id.clone(),
            Array(*self.device_key.as_raw()),
            peer_id,
            self.requested_at.as_unix_milliseconds(),
        );
        cbor::encode(&wire)
    }

    fn decode(bytes: &[u8]) -> Result<Self, FrameError> {
        let (version, address, device_id, device_key, peer_id, requested_at): WireClaims = cbor::decode(bytes)?;
        if version != VERSION {
            return Err(FrameError::Malformed);
        }
        Ok(Self {
            address,
            device_id,
            device_key: SignaturePublicKey::from_raw(device_key.0),
            peer_id: key::peer_id(&peer_id.0).ok_or(FrameError::Malformed)?,
            requested_at: Timestamp::from_unix_milliseconds(requested_at),
        })
    }

    fn signed_bytes(&self) -> Vec<u8> {
        [SIGNED_CONTEXT, &self.encode()].concat()
    }
}

/// Claims and the signature over them, which is not verified yet.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateRequest {
    claims: RequestClaims,
    signature: [u8; Signature::LENGTH],
}

impl CertificateRequest {
    /// What it claims. Nothing of it is proven.
    #[must_use]
    pub fn claims(&self) -> &RequestClaims {
        &self.claims
    }

    /// Verifies that the device with this id and key, of this identity, has made it lately. Whether the device was removed is for
    /// the caller to know.
    ///
    /// # Errors
    /// [`RequestError`] says what does not hold.
    pub fn verify(
        &self,
        address: &Address,
        device_id: &DeviceId,
        device_key: &SignaturePublicKey,
        now: Timestamp,
    ) -> Result<VerifiedRequest, RequestError> {
        let claims = &self.claims;
        if (&claims.address, &claims.device_id, &claims.device_key) != (address, device_id, device_key) {
            return Err(RequestError::OtherDevice);
        }
        let signature = Signature::from_raw(self.signature, SignatureHash::Sha512);
        device_key.verify(&claims.signed_bytes(), &signature).map_err(|_| RequestError::Signature)?;
        let is_lately = claims.requested_at <= now.saturating_add(CLOCK_TOLERANCE)
            && now <= claims.requested_at.saturating_add(MAX_REQUEST_AGE);
        if is_lately { Ok(VerifiedRequest(claims.clone())) } else { Err(RequestError::Time) }
    }
}

impl Message for CertificateRequest {
    const MAX_LENGTH: usize = 512;

    fn encode(&self) -> Vec<u8> {
        cbor::encode(&(Bytes(self.claims.encode()), Array(self.signature)))
    }

    fn read(bytes: &[u8]) -> Result<Self, FrameError> {
        let (claims, signature): (Bytes, Array<{ Signature::LENGTH }>) = cbor::decode(bytes)?;
        Ok(Self { claims: RequestClaims::decode(&claims.0)?, signature: signature.0 })
    }
}

/// Shows whom it claims to be of.
impl fmt::Debug for CertificateRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RequestClaims { address, device_id, peer_id, .. } = &self.claims;
        write!(f, "CertificateRequest({address}, {device_id}, {peer_id})")
    }
}

/// A request that the named device has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRequest(RequestClaims);

impl VerifiedRequest {
    /// What it says.
    #[must_use]
    pub fn claims(&self) -> &RequestClaims {
        &self.0
    }

    /// Answers it with a certificate of the identity.
    ///
    /// # Errors
    /// [`CertificateError`] for a certificate that no peer would accept.
    pub fn certify(
        self,
        identity: &PublicIdentity,
        identity_key: &SignatureKeypair,
        valid_from: Timestamp,
        validity: Duration,
    ) -> Result<DeviceCertificate, CertificateError> {
        let RequestClaims { device_id, device_key, peer_id, .. } = self.0;
        let claims = Claims {
            address: identity.address.clone(),
            identity_key: identity.public_key,
            device_id,
            device_key,
            peer_id,
            valid_from,
            valid_until: valid_from.saturating_add(validity),
        };
        claims.sign(identity_key)
    }
}

/// A message as a property of an object in the datawallet: its encoding in base64url.
#[must_use]
pub fn to_property(message: &impl Message) -> String {
    to_base64url(&message.encode())
}

/// Reads a property; `None` for what is not one.
#[must_use]
pub fn of_property<M: Message>(text: &str) -> Option<M> {
    // Four characters for three bytes.
    let is_bounded = text.len() <= M::MAX_LENGTH.div_ceil(3) * 4;
    is_bounded.then(|| from_base64url(text).ok()).flatten().and_then(|bytes| M::decode(&bytes).ok())
}
