//! Headers of the tus protocol, one a line, as anybody sends them.
#![no_main]

use backbone_mock::testing::{UploadRequest, read_upload_request};
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

fn headers(lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n').take(16) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii())) {
            headers.append(name, value);
        }
    }
    headers
}

/// The headers of a request that asks for the same.
fn written(request: &UploadRequest) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut put = |name, value: &str| {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).expect("what was read is text"));
    };
    match (&*request.parts, request.length) {
        ([], Some(length)) => put("upload-length", &length.to_string()),
        ([], None) if request.is_new => put("upload-defer-length", "1"),
        (parts, _) => put("upload-concat", &format!("final;{}", parts.join(" "))),
    }
    if request.is_partial {
        put("upload-concat", "partial");
    }
    put("upload-metadata", &request.metadata);
    headers
}

fuzz_target!(|data: &[u8]| {
    if let Some(request) = read_upload_request(&headers(data)) {
        assert!(request.metadata.len() <= 32 * 1024);
        assert_eq!(read_upload_request(&written(&request)), Some(request));
    }
});
