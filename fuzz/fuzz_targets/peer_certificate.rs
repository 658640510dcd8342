//! Device certificates: what is accepted is the only encoding of its claims, and none verifies by chance.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transport::peer::{DeviceCertificate, Message};

fuzz_target!(|bytes: &[u8]| {
    let Ok(certificate) = DeviceCertificate::decode(bytes) else { return };
    assert_eq!(certificate.encode(), bytes);
    let claims = certificate.claims();
    assert!(certificate.verify(&claims.peer_id, claims.valid_from, |_, _| false).is_err());
});
