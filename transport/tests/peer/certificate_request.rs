//! Requests for certificates (specification, section 4.1).

use std::time::Duration;

use transport::identity::PublicIdentity;
use transport::peer::{
    CLOCK_TOLERANCE, CertificateError, CertificateRequest, DeviceCertificate, MAX_REQUEST_AGE, MAX_VALIDITY, Message,
    RequestClaims, RequestError, VerifiedRequest, of_property, to_property,
};
use transport::wire::{DeviceId, Timestamp};

use crate::world::{Node, TODAY, nobody_removed};

const MOMENT: Duration = Duration::from_millis(1);
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

fn today() -> Timestamp {
    Timestamp::from_unix_milliseconds(TODAY)
}

/// As the devices with the identity key do, which know id and key of the device.
fn verified(node: &Node, request: &CertificateRequest, now: Timestamp) -> Result<VerifiedRequest, RequestError> {
    request.verify(&node.address(), &Node::device_id(), &node.device_key.public_key(), now)
}

#[test]
fn a_request_is_answered_with_a_certificate_that_peers_accept() {
    let node = Node::new(1);
    let identity = PublicIdentity { address: node.address(), public_key: node.identity_key.public_key() };
    let certify = |validity| {
        verified(&node, &node.request(), today()).unwrap().certify(&identity, &node.identity_key, today(), validity)
    };
    let certificate = certify(WEEK).unwrap();
    assert_eq!(certificate, node.certificate(), "as if the device had issued it");
    assert!(certificate.verify(&node.peer_id(), today(), nobody_removed).is_ok());
    assert_eq!(certify(MAX_VALIDITY + MOMENT), Err(CertificateError::Validity));
}

#[test]
fn a_request_of_another_device_is_refused() {
    let [node, other] = [1, 2].map(Node::new);
    let other_id: DeviceId = "DVCabcDEF123ghiJKL46".parse().unwrap();
    let claims = [
        RequestClaims { address: other.address(), ..node.request_claims() },
        RequestClaims { device_id: other_id, ..node.request_claims() },
    ];
    for claims in claims {
        let request = claims.sign(&node.device_key).unwrap();
        assert_eq!(verified(&node, &request, today()), Err(RequestError::OtherDevice));
    }
    let with_other_key = RequestClaims { device_key: other.device_key.public_key(), ..node.request_claims() };
    let request = with_other_key.clone().sign(&other.device_key).unwrap();
    assert_eq!(verified(&node, &request, today()), Err(RequestError::OtherDevice));
    assert_eq!(with_other_key.sign(&node.device_key), Err(RequestError::OtherDevice));
}

#[test]
fn a_request_that_the_device_did_not_sign_is_refused() {
    let [node, other] = [1, 2].map(Node::new);
    let forged = RequestClaims { peer_id: other.peer_id(), ..node.request_claims() }.sign(&node.device_key).unwrap();
    let (mut bytes, signed) = (forged.encode(), node.request().encode());
    let place = bytes.len() - 64;
    bytes[place..].copy_from_slice(&signed[place..]);
    let request = CertificateRequest::decode(&bytes).unwrap();
    assert_eq!(request.claims().peer_id, other.peer_id());
    assert_eq!(verified(&node, &request, today()), Err(RequestError::Signature));
}

#[test]
fn a_request_is_answered_within_its_time() {
    let node = Node::new(1);
    let at = |requested_at: Timestamp, now: Timestamp| {
        let request = RequestClaims { requested_at, ..node.request_claims() }.sign(&node.device_key).unwrap();
        verified(&node, &request, now).map(drop)
    };
    assert_eq!(at(today(), today().saturating_add(MAX_REQUEST_AGE)), Ok(()));
    assert_eq!(at(today(), today().saturating_add(MAX_REQUEST_AGE + MOMENT)), Err(RequestError::Time));
    assert_eq!(at(today().saturating_add(CLOCK_TOLERANCE), today()), Ok(()));
    assert_eq!(at(today().saturating_add(CLOCK_TOLERANCE + MOMENT), today()), Err(RequestError::Time));
}

#[test]
fn a_property_is_read_up_to_the_bound_of_its_message() {
    let node = Node::new(1);
    let text = to_property(&node.request());
    assert_eq!(of_property::<CertificateRequest>(&text), Some(node.request()));
    assert_eq!(of_property::<DeviceCertificate>(&text), None);
    for other in ["", "*", &format!("{text}AAAA"), &"A".repeat(1 << 20)] {
        assert_eq!(of_property::<CertificateRequest>(other), None);
    }
}
