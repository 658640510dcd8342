//! References of any kind: what is accepted must survive being written and read again, and what it says of a node is nothing or
//! reads back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transport::peer::Direct;
use transport::wire::AnyReference;

fuzz_target!(|text: &str| {
    reads_back(text);
    let Ok(reference) = AnyReference::parse(text) else { return };
    reference.direct().map(reads_back);
    let (truncated, url) = match &reference {
        AnyReference::Token(reference) => (reference.to_truncated(), reference.to_url(None)),
        AnyReference::File(reference) => (reference.to_truncated(), reference.to_url(None)),
        AnyReference::RelationshipTemplate(reference) => (reference.to_truncated(), reference.to_url(None)),
    };
    match AnyReference::parse(&truncated) {
        // Only the URL says where a node can be reached.
        Ok(read) if reference.direct().is_none() => assert_eq!(read, reference),
        outcome => assert!(outcome.is_ok()),
    }
    if let Some(url) = url {
        assert_eq!(AnyReference::parse(&url).ok().as_ref().and_then(AnyReference::direct), reference.direct(), "{url}");
    }
});

fn reads_back(text: &str) {
    if let Some(direct) = Direct::of_reference_text(text) {
        assert_eq!(Direct::of_reference_text(&direct.to_reference_text()), Some(direct));
    }
}
