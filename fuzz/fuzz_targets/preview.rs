//! Previews of any content with any parameters: a line with a query, then the content.
#![no_main]

use libfuzzer_sys::fuzz_target;
use preview::{Limits, Parameters, PreviewError, inline_type, render, sniff};

/// Small enough that each input takes milliseconds.
const LIMITS: Limits =
    Limits { input_bytes: 1 << 20, side: 1024, pixels: 1 << 16, memory: 64 << 20, output_bytes: 1 << 20 };

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let Ok(query) = std::str::from_utf8(&data[..end]) else { return };
    let content = data.get(end + 1..).unwrap_or_default();
    let media_type = sniff(content, query);
    assert!([media_type, "text/plain"].contains(&inline_type(media_type)));

    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let Ok(parameters) = Parameters::parse(pairs) else { return };
    assert!(parameters.canonical().is_ascii());
    match render(content, &parameters, &LIMITS) {
        Ok(preview) => assert_eq!(sniff(&preview.bytes, ""), preview.media_type),
        Err(error) => assert!(
            !matches!(error, PreviewError::Failed | PreviewError::Cancelled | PreviewError::Unencodable { .. }),
            "{error}"
        ),
    }
});
