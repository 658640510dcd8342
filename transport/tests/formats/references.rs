//! references.json, reference-direct.json

use serde_json::Value;
use transport::peer::{Direct, MultiaddrText};
use transport::wire::reference::{MAX_DIRECT_LENGTH, Referable};
use transport::wire::{
    AnyReference, FileReference, Reference, ReferenceError, RelationshipTemplateReference, TokenReference,
};

use crate::vectors::{Vector, load};

/// Deviations from both major versions: the case, whether it is accepted here, and why. None so far: what is refused only
/// here (addresses with credentials, other schemes) is not among the recorded cases.
const DEVIATIONS: [(&str, bool, &str); 0] = [];

fn parse_all(kind: &str, text: &str) -> Result<(String, Option<String>, Option<String>, Value), ReferenceError> {
    fn all<I: Referable>(
        reference: Result<Reference<I>, ReferenceError>,
    ) -> Result<(String, Option<String>, Option<String>, Value), ReferenceError> {
        let reference = reference?;
        Ok((reference.to_truncated(), reference.to_url(None), reference.to_url(Some("appid")), reference.to_json(true)))
    }
    match kind {
        "TOK" => all(TokenReference::parse(text)),
        "FIL" => all(FileReference::parse(text)),
        "RLT" => all(RelationshipTemplateReference::parse(text)),
        other => panic!("{other}"),
    }
}

#[test]
fn references_of_other_clients_round_trip_in_every_form() {
    for case in load("references").list("cases") {
        let forms = ["truncated", "url", "urlWithAppId"].into_iter().filter_map(|form| case.optional_text(form));
        for form in forms {
            let (truncated, url, url_with_app, json) = parse_all(case.text("kind"), form).unwrap();
            assert_eq!(truncated, case.text("truncated"));
            assert_eq!(url.as_deref(), case.optional_text("url"));
            assert_eq!(url_with_app.as_deref(), case.optional_text("urlWithAppId"));
            assert_eq!(json.to_string(), case.text("json"));
        }
    }
}

#[test]
fn the_kind_is_determined_from_the_reference_alone() {
    for case in load("references").list("cases") {
        let any = AnyReference::parse(case.text("truncated")).unwrap();
        let kind = match &any {
            AnyReference::Token(_) => "TOK",
            AnyReference::File(_) => "FIL",
            AnyReference::RelationshipTemplate(_) => "RLT",
        };
        assert_eq!(kind, case.text("kind"));
        assert_eq!(any.backbone_base_url(), case.optional_text("backboneBaseUrl"));
    }
}

#[test]
fn a_plaintext_password_is_kept() {
    for case in load("references").list("v700ClearTextPassword") {
        let reference = TokenReference::parse(case.text("truncated")).unwrap();
        assert_eq!(reference.password.as_deref(), Some(case.text("clearTextPassword")));
        assert_eq!(reference.to_truncated(), case.text("truncated"));
        let shown = format!("{reference:?}");
        assert!(!shown.contains(case.text("clearTextPassword")), "{shown}");
    }
}

#[test]
fn what_either_major_version_accepts_is_accepted_and_nothing_else() {
    for case in load("references").list("decode") {
        let parsed = TokenReference::parse(case.text("input"));
        let theirs = ["v7", "v6"].into_iter().find(|version| case[version].flag("accepted"));
        let deviation = DEVIATIONS.iter().find(|(name, ..)| *name == case.text("case"));
        let expected = deviation.map_or(theirs.is_some(), |(_, accepted, _)| *accepted);
        assert_eq!(parsed.is_ok(), expected, "{}: {parsed:?}", case.text("case"));
        if let (Ok(reference), Some(version)) = (parsed, theirs) {
            let json = match &case[version]["json"] {
                Value::String(text) => serde_json::from_str(text).unwrap(),
                value => value.clone(),
            };
            assert_eq!(reference.to_json(true), json, "{}", case.text("case"));
        }
    }
}

#[test]
fn a_reference_of_another_kind_is_reported_as_such() {
    let cases = load("references");
    let file = cases.list("cases").iter().find(|case| case.text("kind") == "FIL").unwrap();
    assert_eq!(TokenReference::parse(file.text("truncated")), Err(ReferenceError::Kind { expected: "TOK" }));
}

#[test]
fn a_truncated_reference_is_refused_or_still_names_the_same_object() {
    let cases = load("references");
    let case = cases.list("cases").iter().find(|case| case.text("variant") == "all").unwrap();
    for form in ["truncated", "url"] {
        let whole = TokenReference::parse(case.text(form)).unwrap();
        for length in 0..case.text(form).len() {
            // the format cannot distinguish a cut-off last part from an absent one
            if let Ok(cut) = TokenReference::parse(&case.text(form)[..length]) {
                assert_eq!((&cut.id, &cut.key), (&whole.id, &whole.key), "{length}");
                assert_eq!(cut.backbone_base_url, whole.backbone_base_url, "{length}");
            }
        }
    }
}

#[test]
fn unsafe_backbone_addresses_are_refused() {
    let key = "oe9DQRyocBgVaKkwNTCqxDvw06IrBSkz6jQnI9qGR4U";
    let fragment = transport::wire::bytes::to_base64url(format!("3|{key}||").as_bytes());
    for base_url in [
        "ftp://example.com",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://",
        "http://user:secret@example.com",
        "http://example.com?x=1",
        "http://example.com#x",
        "http://exa mple.com",
        "example.com",
        "",
    ] {
        let inner = format!("TOKabcDEF123ghiJKL45@{base_url}|3|{key}||");
        let truncated = transport::wire::bytes::to_base64url(inner.as_bytes());
        assert_eq!(TokenReference::parse(&truncated), Err(ReferenceError::BaseUrl), "{base_url}");
    }
    for url in [
        format!("http://user@example.com/r/TOKabcDEF123ghiJKL45#{fragment}"),
        format!("httpx://example.com/r/TOKabcDEF123ghiJKL45#{fragment}"),
        format!("https://user:secret@example.com/r/TOKabcDEF123ghiJKL45#{fragment}"),
    ] {
        assert_eq!(TokenReference::parse(&url), Err(ReferenceError::BaseUrl), "{url}");
    }
    let long = format!("https://example.com/{}/r/TOKabcDEF123ghiJKL45#{fragment}", "a".repeat(5000));
    assert_eq!(TokenReference::parse(&long), Err(ReferenceError::TooLong));
}

#[test]
fn a_reference_says_where_a_node_can_be_reached_and_is_the_same_otherwise() {
    let texts = |case: &Value, name| -> Vec<MultiaddrText> {
        case[name].as_array().unwrap().iter().map(|text| MultiaddrText::new(text.as_str().unwrap()).unwrap()).collect()
    };
    for case in load("reference-direct").list("cases") {
        let (addresses, relays) = (texts(case, "addresses"), texts(case, "relays"));
        let direct = Direct { peer_id: case.text("peer").parse().unwrap(), addresses, relays };
        assert_eq!(direct.to_reference_text(), case.text("text"), "{}", case.text("name"));
        let plain = TokenReference::parse(case.text("plainUrl")).unwrap();
        let reference = plain.clone().reached_at(case.text("text")).unwrap();
        assert_eq!(reference.to_url(None).as_deref(), Some(case.text("url")));
        assert_eq!(reference.to_truncated(), plain.to_truncated());
        assert_eq!(reference.to_json(true), plain.to_json(true));
        let read = TokenReference::parse(case.text("url")).unwrap();
        assert_eq!(Direct::of_reference_text(read.direct.as_deref().unwrap()), Some(direct));
        assert_eq!(read, reference);
        assert_eq!(AnyReference::parse(case.text("url")).unwrap().direct(), Some(case.text("text")));
        assert_eq!(TokenReference { direct: None, ..read }, plain);
    }
    for case in load("reference-direct").list("alsoRead") {
        let read = TokenReference::parse(case.text("url")).unwrap();
        assert_eq!(read.direct.as_deref(), Some(case.text("direct")), "{}", case.text("name"));
        assert_eq!(TokenReference::parse(&read.to_url(Some("a b")).unwrap()), Ok(read));
    }
}

#[test]
fn a_reference_works_without_what_it_says_of_a_node_if_that_is_malformed() {
    for case in load("reference-direct").list("ignored") {
        let read = TokenReference::parse(case.text("url")).unwrap();
        assert_eq!(read.direct.as_deref().and_then(Direct::of_reference_text), None, "{}", case.text("name"));
    }
}

#[test]
fn what_a_reference_says_of_a_node_has_a_bound() {
    let plain = TokenReference::parse(load("reference-direct").list("cases")[0].text("plainUrl")).unwrap();
    let longest = "A".repeat(MAX_DIRECT_LENGTH);
    let reference = plain.clone().reached_at(&longest).unwrap();
    assert_eq!(TokenReference::parse(&reference.to_url(None).unwrap()), Ok(reference));
    for text in [longest + "A", String::new(), "a=".into(), "a b".into(), "\u{e9}".into()] {
        assert_eq!(plain.clone().reached_at(&text), Err(ReferenceError::Direct));
    }
    let long = format!("?direct={}#", "A".repeat(MAX_DIRECT_LENGTH + 1));
    let url = plain.to_url(None).unwrap().replace('#', &long);
    assert_eq!(TokenReference::parse(&url), Ok(plain));
}
