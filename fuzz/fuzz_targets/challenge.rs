//! Challenges: what is accepted must survive being written and read again, signed ones as well.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transport::challenge::{Challenge, ChallengeSigned};

fuzz_target!(|text: &str| {
    if let Ok(challenge) = Challenge::from_text(text) {
        // Dates get longer, and there is a longest text.
        let written = challenge.to_text();
        assert!(written.len() > text.len() || Challenge::from_text(&written).ok() == Some(challenge));
    }
    if let Ok(signed) = ChallengeSigned::from_json(text) {
        assert_eq!(ChallengeSigned::from_json(&signed.to_json()).ok(), Some(signed));
    }
});
