//! Ranges and conditions of requests for a part: a line with a size, then lines with headers.
#![no_main]

// The listener has much besides that would take minutes to build.
#[allow(dead_code, reason = "the target needs a part of the module")]
#[path = "../../support/listener/src/range.rs"]
mod range;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use libfuzzer_sys::fuzz_target;
use range::{Representation, Selection, select};

const ETAG: HeaderValue = HeaderValue::from_static("\"a,b\"");

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

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let Some(size) = std::str::from_utf8(&data[..end]).ok().and_then(|text| text.parse().ok()) else { return };
    let (asked, representation) = (headers(&data[end..]), Representation { etag: &ETAG, size });
    let selection = select(&Method::GET, &asked, representation);
    let answer = selection.headers(representation);
    assert_eq!(answer[header::ETAG], ETAG);
    match selection {
        Selection::Part(part) => {
            assert!(part.length() > 0 && part.offset() < size && part.length() <= size - part.offset());
            let (first, last) = (part.offset(), part.offset() + (part.length() - 1));
            assert_eq!(answer[header::CONTENT_RANGE], format!("bytes {first}-{last}/{size}"));
        }
        Selection::Unsatisfiable => assert_eq!(answer[header::CONTENT_RANGE], format!("bytes */{size}")),
        Selection::Whole | Selection::NotModified | Selection::PreconditionFailed => {
            assert!(!answer.contains_key(header::CONTENT_RANGE));
        }
    }
    // A range is for `GET` only; conditions are for all.
    let others = select(&Method::HEAD, &asked, representation);
    assert!(!matches!(others, Selection::Part(_) | Selection::Unsatisfiable));
});
