//! File metadata: what is accepted must survive being written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transport::file::FileMetadata;

fuzz_target!(|text: &str| {
    let Ok(metadata) = FileMetadata::parse(text) else { return };
    let written = metadata.to_text();
    assert_eq!(FileMetadata::parse(&written).map(|metadata| metadata.to_text()).ok(), Some(written));
});
