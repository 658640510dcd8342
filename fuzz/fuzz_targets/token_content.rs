//! Token contents: what is accepted must survive being written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transport::peer::DirectDevices;
use transport::token::TokenContent;

fuzz_target!(|text: &str| {
    let Ok(content) = TokenContent::parse_open(text, true) else { return };
    if let Some(devices) = DirectDevices::of(&content) {
        let mut written = content.clone();
        devices.add_to(&mut written);
        assert_eq!(DirectDevices::of(&written), Some(devices));
    }
    let written = content.to_text();
    assert_eq!(TokenContent::parse_open(&written, true).map(|content| content.to_text()), Ok(written));
});
