//! Filters of lists: every query is refused or finds out whether an object matches.
#![no_main]

use libfuzzer_sys::fuzz_target;
use runtime::testing::query_matches;
use serde_json::json;

fuzz_target!(|parameters: Vec<(&str, &str)>| {
    let parameters: Vec<_> =
        parameters.into_iter().take(8).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let object = json!({
        "id": "FIL00000000000000000", "isOwn": true, "filename": "a.txt", "filesize": 12, "tags": ["x:a", "x:b"],
        "createdAt": "2026-01-01T00:00:00.000Z", "title": "12", "passwordProtection": {"password": "p", "passwordIsPin": true},
    });
    let _ = query_matches(&parameters, object.as_object().expect("it is one"));
});
