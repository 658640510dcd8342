//! Names of the parts of a form, and of downloads.
#![no_main]

// The REST interface keeps it to itself, and building all of that would take minutes.
#[path = "../../api/src/protocol/disposition.rs"]
#[allow(dead_code, reason = "what other parts of the REST interface use")]
mod disposition;

// What it uses of the runtime: the name of a file without one.
extern crate self as runtime;
pub mod file_name {
    pub const FALLBACK: &str = "file";
}

use disposition::{attachment, part_names};
use http::{HeaderMap, HeaderValue, header};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: (&[u8], &str)| {
    let (value, name) = data;
    if let Ok(value) = HeaderValue::from_bytes(value) {
        let _ = part_names(&HeaderMap::from_iter([(header::CONTENT_DISPOSITION, value)]));
    }
    if !name.is_empty() {
        let read = part_names(&HeaderMap::from_iter([(header::CONTENT_DISPOSITION, attachment(name))]));
        assert_eq!(read.file.as_deref(), Some(name));
    }
});
