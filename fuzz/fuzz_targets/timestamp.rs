//! ISO 8601 dates: an accepted text names a moment, and the text of that moment names it, too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transport::wire::Timestamp;

fuzz_target!(|text: &str| {
    let Ok(timestamp) = text.parse::<Timestamp>() else { return };
    let written = timestamp.to_string();
    assert_eq!(written.len(), 24);
    assert_eq!(written.parse(), Ok(timestamp));
});
