//! References of any kind: what is accepted must survive being written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transport::wire::AnyReference;

fuzz_target!(|text: &str| {
    let Ok(reference) = AnyReference::parse(text) else { return };
    let (truncated, url) = match &reference {
        AnyReference::Token(reference) => (reference.to_truncated(), reference.to_url(None)),
        AnyReference::File(reference) => (reference.to_truncated(), reference.to_url(None)),
        AnyReference::RelationshipTemplate(reference) => (reference.to_truncated(), reference.to_url(None)),
    };
    assert_eq!(AnyReference::parse(&truncated).as_ref(), Ok(&reference));
    if let Some(url) = url {
        assert!(AnyReference::parse(&url).is_ok(), "{url}");
    }
});
