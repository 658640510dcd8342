//! JSON texts: what is accepted is written in one way, which is read again as the same value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transport::wire::json;

fuzz_target!(|text: &str| {
    let Ok(value) = json::from_text(text) else { return };
    let written = json::to_text(&value);
    let read = json::from_text(&written).expect("a written text is JSON");
    assert_eq!(json::to_text(&read), written);
});
