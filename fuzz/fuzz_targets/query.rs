//! Filters of lists: every query is refused or finds out whether an object matches.
#![no_main]

// The runtime keeps it to itself, because it knows the fields of files and tokens; and building all of that would take minutes.
#[path = "../../runtime/src/query/mod.rs"]
#[allow(dead_code, unused_imports, reason = "what other parts of the runtime use")]
mod query;

use libfuzzer_sys::fuzz_target;
use query::{FILES, Ownership, Query, TOKENS};
use serde_json::json;

fuzz_target!(|parameters: Vec<(&str, &str)>| {
    let parameters: Vec<_> =
        parameters.into_iter().take(8).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let object = json!({
        "id": "FIL00000000000000000", "isOwn": true, "filename": "a.txt", "filesize": 12, "tags": ["x:a", "x:b"],
        "createdAt": "2026-01-01T00:00:00.000Z", "title": "12", "passwordProtection": {"password": "p", "passwordIsPin": true},
    });
    let object = object.as_object().expect("it is one");
    for fields in [FILES, TOKENS] {
        let _ = Query::parse(fields, &parameters, Ownership::Any).map(|query| query.matches(object));
    }
});
