//! references.json

use serde_json::Value;
use transport::wire::reference::Referable;
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
