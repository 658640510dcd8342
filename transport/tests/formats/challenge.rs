//! challenge.json

use std::time::Duration;

use transport::challenge::{Challenge, ChallengeError, ChallengeSigned};
use transport::crypto::{SignatureHash, SignatureKeypair};
use transport::wire::backbone::challenges;

use crate::vectors::{Vector, load};

fn challenges() -> Vec<(Challenge, SignatureKeypair, serde_json::Value)> {
    let vectors = load("challenge");
    let read = |case: &serde_json::Value| {
        let id = serde_json::from_str::<serde_json::Value>(case.text("signedUtf8Text")).unwrap();
        let challenge = challenges::Challenge {
            id: id.text("id").parse().unwrap(),
            expires_at: case.text("backboneExpiresAt").parse().unwrap(),
            created_by: case.optional_text("createdBy").map(|address| address.parse().unwrap()),
            created_by_device: case.optional_text("createdByDevice").map(|id| id.parse().unwrap()),
        };
        let kind = serde_json::from_value(case["type"].clone()).unwrap();
        (Challenge::new(challenge, kind), SignatureKeypair::from_seed(&case.hex_array("signerSeedHex")), case.clone())
    };
    vectors.list("cases").iter().map(read).collect()
}

#[test]
fn texts_and_signatures_are_those_of_other_clients() {
    for (challenge, key, case) in challenges() {
        assert_eq!(challenge.to_text(), case.text("signedUtf8Text"));
        let signed = challenge.sign(&key);
        assert_eq!(signed.signature().as_raw(), &case.hex_array("signatureHex"));
        assert_eq!(signed.to_json(), case.text("signedChallengeJsonVerbose"));
        let wire = serde_json::to_string(&signed.to_wire()).unwrap();
        assert_eq!(wire, case.text("signedChallengeJsonCompact"));
    }
}

#[test]
fn signed_challenges_of_others_are_verified() {
    for (challenge, key, case) in challenges() {
        let before = challenge.expires_at.saturating_sub(Duration::from_millis(1));
        for form in ["signedChallengeJsonVerbose", "signedChallengeJsonCompact"] {
            let signed = ChallengeSigned::from_json(case.text(form)).unwrap();
            assert_eq!(signed.verify(&key.public_key(), before), Ok(challenge.clone()));
            assert_eq!(signed.verify(&key.public_key(), challenge.expires_at), Err(ChallengeError::Expired));
            let stranger = SignatureKeypair::generate().public_key();
            assert_eq!(signed.verify(&stranger, before), Err(ChallengeError::Signature));
        }
    }
}

#[test]
fn an_altered_text_is_refused() {
    let (challenge, key, _) = challenges().remove(1);
    let signed = challenge.sign(&key);
    let altered = signed.text().replace("Identity", "Device");
    let altered = ChallengeSigned::from_parts(altered, *signed.signature());
    assert_eq!(altered.verify(&key.public_key(), challenge.expires_at), Err(ChallengeError::Signature));
}

#[test]
fn a_signed_text_that_is_no_challenge_is_refused() {
    let (challenge, key, _) = challenges().remove(0);
    for text in ["{}", "text", &" ".repeat(2000)] {
        let signature = key.sign(text.as_bytes(), SignatureHash::Sha512);
        let signed = ChallengeSigned::from_parts(text.to_owned(), signature);
        assert_eq!(signed.verify(&key.public_key(), challenge.expires_at), Err(ChallengeError::Malformed));
    }
}
