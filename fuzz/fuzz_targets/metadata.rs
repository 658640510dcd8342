//! File metadata: what is accepted must survive being written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transport::file::{AnyFileMetadata, FileMetadata, FileMetadataV2};

fuzz_target!(|text: &str| {
    match AnyFileMetadata::parse(text) {
        Ok(AnyFileMetadata::V1(metadata)) => {
            let written = metadata.to_text();
            assert_eq!(FileMetadata::parse(&written).map(|metadata| metadata.to_text()).ok(), Some(written));
        }
        Ok(AnyFileMetadata::V2(metadata)) => {
            let written = metadata.to_text();
            assert_eq!(FileMetadataV2::parse(&written).map(|metadata| metadata.to_text()).ok(), Some(written));
            assert!(FileMetadata::parse(text).is_err());
        }
        Err(_) => assert!(FileMetadata::parse(text).is_err()),
    }
});
