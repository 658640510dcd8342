//! Token contents: what is accepted must survive being written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transport::token::TokenContent;

fuzz_target!(|text: &str| {
    let Ok(content) = TokenContent::parse_open(text, true) else { return };
    let _ = transport::peer::Direct::of(&content);
    let written = content.to_text();
    assert_eq!(TokenContent::parse_open(&written, true).map(|content| content.to_text()), Ok(written));
});
