//! The certificate of this device, which proves to peers whose device it is.
//!
//! A device that has the key of its identity issues the certificate itself. One that has not, because it is not an admin device,
//! gets it through the datawallet ([`crate::sync`]), and is a stranger to all peers until then.

use std::sync::{Arc, Mutex, PoisonError};
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
    /// Who certifies that it is a device of the identity.
    pub(crate) certifier: Certifier,
    /// The device.
    pub(crate) device_id: DeviceId,
    /// Its key.
    pub(crate) device_key: SignatureKeypair,
}

/// Who issues the certificates of a device.
#[derive(Clone)]
pub(crate) enum Certifier {
    /// The device itself, which has the key of the identity.
    Own(Box<SignatureKeypair>),
    /// Other devices of the identity. This says what they have issued last; it is not verified.
    Others(Arc<dyn Fn() -> Option<DeviceCertificate> + Send + Sync>),
}

/// Issues certificates or gets them, and keeps those that it has issued in memory.
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
        match &self.keys.certifier {
            Certifier::Own(key) => self.own(key, now),
            Certifier::Others(received) => received().filter(|certificate| self.may_use(certificate, now)),
        }
    }

    fn own(&self, key: &SignatureKeypair, now: Timestamp) -> Option<DeviceCertificate> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if !current.as_ref().is_some_and(|certificate| is_fresh(certificate.claims(), now)) {
            *current = self.issue(key, now);
        }
        current.clone()
    }

    fn issue(&self, key: &SignatureKeypair, now: Timestamp) -> Option<DeviceCertificate> {
        let claims = Claims {
            address: self.keys.identity.address.clone(),
            identity_key: self.keys.identity.public_key,
            device_id: self.keys.device_id.clone(),
            device_key: self.keys.device_key.public_key(),
            peer_id: self.peer_id,
            valid_from: now,
            valid_until: now.saturating_add(CERTIFICATE_VALIDITY),
        };
        // The address was checked when the identity was made, so this is a store with contradictory records.
        claims
            .sign(key)
            .inspect_err(|error| tracing::warn!(%error, "this device has no certificate, so peers see a stranger"))
            .ok()
    }

    /// Whether peers accept a certificate that others have issued: presenting another one would close the connection.
    fn may_use(&self, certificate: &DeviceCertificate, now: Timestamp) -> bool {
        is_of(certificate.claims(), &self.keys, self.peer_id)
            && certificate.verify(&self.peer_id, now, |_, _| false).is_ok()
    }
}

/// Whether claims are about this identity, device, device key and peer.
fn is_of(claims: &Claims, keys: &DeviceKeys, peer_id: PeerId) -> bool {
    let identity = PublicIdentity { address: claims.address.clone(), public_key: claims.identity_key };
    let is_of_device = claims.device_id == keys.device_id && claims.device_key == keys.device_key.public_key();
    identity == keys.identity && is_of_device && claims.peer_id == peer_id
}

/// Whether at least half of the validity is left. A clock that was set back makes a certificate one of the future.
pub(crate) fn is_fresh(claims: &Claims, now: Timestamp) -> bool {
    claims.valid_from <= now && now.saturating_add(CERTIFICATE_VALIDITY / 2) <= claims.valid_until
}

#[cfg(test)]
mod tests {
    use transport::peer::{CLOCK_TOLERANCE, of_property, to_property};

    use super::*;
    use crate::peer::testing::{Person, nobody_removed, today};

    const SECOND: Duration = Duration::from_secs(1);

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
    fn a_device_without_the_identity_key_has_what_others_have_issued_for_it() {
        let person = Person::new(1);
        let with = |received: Option<Claims>, signer: &Person| {
            let received = received.map(|claims| claims.sign(&signer.identity_key).unwrap());
            let certifier = Certifier::Others(Arc::new(move || received.clone()));
            Certificates::new(DeviceKeys { certifier, ..person.keys() })
        };
        let none = with(None, &person);
        assert!(none.credentials(today()).is_none());
        assert_eq!(none.valid_until(today()), None);

        let certificates = with(Some(person.claims()), &person);
        assert_eq!(certificates.credentials(today()).unwrap().certificate, person.credentials().certificate);
        assert_eq!(certificates.valid_until(after(CERTIFICATE_VALIDITY)), Some(after(CERTIFICATE_VALIDITY)));
        assert_eq!(certificates.valid_until(after(CERTIFICATE_VALIDITY + CLOCK_TOLERANCE)), None, "over");

        let other = Person::new(2);
        let of_other_device = "DVCabcDEF123ghiJKL46".parse().unwrap();
        let not_its_own = [
            (other.claims(), &other),
            (Claims { device_id: of_other_device, ..person.claims() }, &person),
            (Claims { device_key: other.device_key.public_key(), ..person.claims() }, &person),
            (Claims { peer_id: other.peer_id(), ..person.claims() }, &person),
        ];
        for (claims, signer) in not_its_own {
            assert!(with(Some(claims), signer).credentials(today()).is_none());
        }
    }

    #[test]
    fn a_certificate_that_the_identity_did_not_sign_is_not_used() {
        let person = Person::new(1);
        let signed = |claims: Claims| to_property(&claims.sign(&person.identity_key).unwrap());
        let (genuine, other) =
            (signed(person.claims()), signed(Claims { valid_from: after(SECOND), ..person.claims() }));
        // The end of the text is in the signature only.
        let place = genuine.len() - 80;
        let forged = of_property([&genuine[..place], &other[place..]].concat().as_str()).unwrap();
        let certifier = Certifier::Others(Arc::new(move || Some(DeviceCertificate::clone(&forged))));
        assert!(Certificates::new(DeviceKeys { certifier, ..person.keys() }).credentials(today()).is_none());
    }
}
