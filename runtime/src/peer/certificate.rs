//! The certificate of this device, which proves to peers whose device it is.
//!
//! A device that has the key of its identity issues the certificate itself. One that has not, because it is not an admin device,
//! has none and stays a stranger to all peers.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use transport::crypto::SignatureKeypair;
use transport::identity::PublicIdentity;
use transport::peer::{Claims, Credentials, DeviceCertificate, PeerId, PeerKey};
use transport::wire::{DeviceId, Timestamp};

/// How long a certificate is valid: nodes that do not learn of the removal of a device refuse it after this time. A new one is issued
/// when less than half of it is left.
pub(crate) const CERTIFICATE_VALIDITY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What a device is, and with what it proves that.
#[derive(Clone)]
pub(crate) struct DeviceKeys {
    /// Its identity.
    pub(crate) identity: PublicIdentity,
    /// Of admin devices only.
    pub(crate) identity_key: Option<SignatureKeypair>,
    /// The device.
    pub(crate) device_id: DeviceId,
    /// Its key.
    pub(crate) device_key: SignatureKeypair,
}

/// Issues certificates, and keeps the current one in memory.
pub(crate) struct Certificates {
    keys: DeviceKeys,
    peer_id: PeerId,
    current: Mutex<Option<DeviceCertificate>>,
}

impl Certificates {
    pub(crate) fn new(keys: DeviceKeys) -> Self {
        let peer_id = PeerKey::derive(&keys.device_key).peer_id();
        Self { keys, peer_id, current: Mutex::new(None) }
    }

    /// With what this device proves at this time who it is; nothing if it cannot.
    pub(crate) fn credentials(&self, now: Timestamp) -> Option<Credentials> {
        let certificate = self.certificate(now)?;
        Some(Credentials { certificate, device_key: self.keys.device_key.clone() })
    }

    /// Until when it can prove that without another certificate.
    pub(crate) fn valid_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.certificate(now).map(|certificate| certificate.claims().valid_until)
    }

    fn certificate(&self, now: Timestamp) -> Option<DeviceCertificate> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if !current.as_ref().is_some_and(|certificate| is_fresh(certificate.claims(), now)) {
            *current = self.issue(now);
        }
        current.clone()
    }

    fn issue(&self, now: Timestamp) -> Option<DeviceCertificate> {
        let claims = Claims {
            address: self.keys.identity.address.clone(),
            identity_key: self.keys.identity.public_key,
            device_id: self.keys.device_id.clone(),
            device_key: self.keys.device_key.public_key(),
            peer_id: self.peer_id,
            valid_from: now,
            valid_until: now.saturating_add(CERTIFICATE_VALIDITY),
        };
        let issued = claims.sign(self.keys.identity_key.as_ref()?);
        // The address was checked when the identity was made, so this is a store with contradictory records.
        issued
            .inspect_err(|error| tracing::warn!(%error, "this device has no certificate, so peers see a stranger"))
            .ok()
    }
}

/// Whether at least half of the validity is left. A clock that was set back makes a certificate one of the future.
fn is_fresh(claims: &Claims, now: Timestamp) -> bool {
    claims.valid_from <= now && now.saturating_add(CERTIFICATE_VALIDITY / 2) <= claims.valid_until
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::testing::{Person, nobody_removed, today};

    fn after(duration: Duration) -> Timestamp {
        today().saturating_add(duration)
    }

    #[test]
    fn it_is_renewed_when_less_than_half_is_left_and_verifies() {
        let (person, half) = (Person::new(1), CERTIFICATE_VALIDITY / 2);
        let certificates = Certificates::new(person.keys());
        let at = |time| certificates.credentials(time).unwrap().certificate;
        let first = at(today());
        assert!(first.verify(&person.peer_id(), today(), nobody_removed).is_ok());
        assert_eq!(first.claims().valid_until, after(CERTIFICATE_VALIDITY));
        assert_eq!(at(after(half)), first);
        let second = at(after(half + Duration::from_millis(1)));
        assert_ne!(second, first);
        assert_eq!(certificates.valid_until(after(half + Duration::from_millis(1))), Some(second.claims().valid_until));
        assert_ne!(at(today()), second, "a clock that was set back");
    }

    #[test]
    fn a_device_without_the_identity_key_has_none() {
        let keys = DeviceKeys { identity_key: None, ..Person::new(1).keys() };
        let certificates = Certificates::new(keys);
        assert!(certificates.credentials(today()).is_none());
        assert_eq!(certificates.valid_until(today()), None);
    }
}
