//! Device certificates and requests for them: what is accepted is the only encoding of its claims, and none verifies by chance.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transport::peer::{CertificateRequest, DeviceCertificate, Message};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = CertificateRequest::decode(bytes) {
        assert_eq!(request.encode(), bytes);
        let claims = request.claims();
        let verified = request.verify(&claims.address, &claims.device_id, &claims.device_key, claims.requested_at);
        assert!(verified.is_err());
    }
    let Ok(certificate) = DeviceCertificate::decode(bytes) else { return };
    assert_eq!(certificate.encode(), bytes);
    let claims = certificate.claims();
    assert!(certificate.verify(&claims.peer_id, claims.valid_from, |_, _| false).is_err());
});
